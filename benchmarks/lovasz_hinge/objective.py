import numpy as np
from benchopt import BaseObjective

from benchmark_utils.risk import VOID, Risk

#: By how much of the value rounding may lift a bound over it.
ROUNDING = 1e-9


class Objective(BaseObjective):
    """Ridge plus the mean Lovász hinge of the images, for a linear model of pixel features."""

    name = "Lovasz hinge risk"
    min_benchopt_version = "1.10"
    requirements = ("numpy",)
    parameters = {"l2": [1e-3]}
    sampling_strategy = "callback"

    def skip(self, unavailable=None, **data):
        return unavailable is not None, unavailable

    def set_data(self, features, targets, test_features, test_targets):
        self.features, self.targets = features, targets
        self.train = Risk(features, targets, self.l2)
        self.test = Risk(test_features, test_targets, self.l2)

    def get_objective(self):
        return {"features": self.features, "targets": self.targets, "l2": self.l2, "void": VOID}

    def evaluate_result(self, v, dual=0.0):
        """Everything from the coefficients alone, but for the lower bound that a solver may certify.

        Where it certifies none, all that is known is that the risk is not negative.
        """
        value = self.train.value(v)
        if dual > value + ROUNDING * abs(value):
            raise ValueError(f"the solver certifies the lower bound {dual!r}, and its point has {value!r}")
        gap = max(value - dual, 0.0)
        return {
            "value": value,
            "dual": dual,
            "gap": gap,
            "relative_gap": gap / value if value else gap,
            "train_iou": self.train.iou(v),
            "test_iou": self.test.iou(v),
        }

    def get_one_result(self):
        return {"v": np.zeros(self.train.n_features)}
