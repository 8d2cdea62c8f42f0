import numpy as np

from benchmark_utils.risk import Risk
from benchmark_utils.solver import SampledSolver


class Solver(SampledSolver):
    """Subgradient descent with steps 2/(l2 (k + 1)) and the mean of the iterates with weights k, in NumPy.

    S. Lacoste-Julien, M. Schmidt, F. Bach, "A simpler approach to obtaining an O(1/t) convergence rate for
    the projected stochastic subgradient method", 2012.
    """

    name = "numpy_subgradient"
    requirements = ("numpy",)

    def set_objective(self, features, targets, l2, void):
        self.problem = Risk(features, targets, l2)

    def minimise(self, risk, callback):
        v = np.zeros(risk.n_features)
        self.v = v
        k = 0
        while callback():
            k += 1
            v = v - 2 / (risk.l2 * (k + 1)) * risk.subgradient(v)
            self.v = self.v + 2 / (k + 2) * (v - self.v)

    def get_result(self):
        return {"v": self.v}
