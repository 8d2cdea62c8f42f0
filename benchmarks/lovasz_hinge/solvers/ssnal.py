from lovasz_opt.solvers import ssnal

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "ssnal"

    def solve(self, problem, **limits):
        return ssnal(problem, **limits)
