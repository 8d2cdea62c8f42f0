"""From the image sets of lovasz_opt to the data of the objective."""

import numpy as np


def as_data(train, test):
    """Arguments of `Objective.set_data`; float64, since products with mixed types copy the features."""
    return {
        "features": [X.astype(np.float64, copy=False) for X in train.features],
        "targets": train.targets,
        "test_features": [X.astype(np.float64, copy=False) for X in test.features],
        "test_targets": test.targets,
    }
