from lovasz_opt.solvers import admm

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "admm"

    def solve(self, problem, **limits):
        return admm(problem, **limits)
