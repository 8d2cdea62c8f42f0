from lovasz_opt.solvers import bundle

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "bundle"

    def solve(self, problem, **limits):
        return bundle(problem, **limits)
