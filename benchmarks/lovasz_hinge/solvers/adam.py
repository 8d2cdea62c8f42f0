from lovasz_opt.solvers import adam

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "adam"

    def solve(self, problem, **limits):
        return adam(problem, **limits)
