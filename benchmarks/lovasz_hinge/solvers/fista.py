from lovasz_opt.solvers import fista

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "fista"

    def solve(self, problem, **limits):
        return fista(problem, **limits)
