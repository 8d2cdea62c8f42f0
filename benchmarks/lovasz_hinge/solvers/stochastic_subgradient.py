from lovasz_opt.solvers import stochastic_subgradient

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "stochastic_subgradient"

    def solve(self, problem, **limits):
        return stochastic_subgradient(problem, **limits)
