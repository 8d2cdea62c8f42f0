from lovasz_opt.solvers import frank_wolfe

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "frank_wolfe"

    def solve(self, problem, **limits):
        return frank_wolfe(problem, **limits)
