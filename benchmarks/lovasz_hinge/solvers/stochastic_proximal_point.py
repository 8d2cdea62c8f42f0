from lovasz_opt.solvers import stochastic_proximal_point

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "stochastic_proximal_point"

    def solve(self, problem, **limits):
        return stochastic_proximal_point(problem, **limits)
