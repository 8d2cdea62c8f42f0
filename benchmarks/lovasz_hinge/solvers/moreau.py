from lovasz_opt.solvers import moreau

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "moreau"

    def solve(self, problem, **limits):
        return moreau(problem, **limits)
