from lovasz_opt.solvers import subgradient

from benchmark_utils.solver import CertifiedSolver


class Solver(CertifiedSolver):
    name = "subgradient"
    parameters = {
        "step, step_size, average": [
            ("strong", 1.0, None),
            ("strong", 2.0, "weighted"),
            ("polyak", 1.0, None),
            ("sqrt", 0.1, None),
            ("normalised", 1.0, None),
        ]
    }

    def solve(self, problem, **limits):
        return subgradient(problem, self.step, self.step_size, self.average, **limits)
