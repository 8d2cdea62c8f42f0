from lovasz_opt.solvers import pdhg

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "pdhg"

    def solve(self, problem, **limits):
        return pdhg(problem, **limits)
