"""The risk in plain NumPy: the referee of the benchmark shares no code with the solvers it judges."""

import numpy as np

VOID = 255


def lovasz_hinge(scores, foreground):
    """Lovász hinge of one image without void pixels, and a subgradient in the scores."""
    signs = np.where(foreground, 1.0, -1.0)
    errors = 1.0 - signs * scores
    order = np.argsort(-errors, kind="stable")
    hits = foreground[order]
    intersection = hits.sum() - np.cumsum(hits)
    union = hits.sum() + np.cumsum(~hits)
    weights = np.empty(len(scores))
    weights[order] = np.diff(1.0 - intersection / union, prepend=0.0)
    weights[errors <= 0] = 0.0
    return float(weights @ errors), -signs * weights


class Risk:
    """l2/2‖v‖² + mean of the Lovász hinges of X_i v; an image without valid pixels counts 0."""

    def __init__(self, features, targets, l2):
        self.l2 = l2
        self._images = []
        for X, target in zip(features, targets, strict=True):
            valid = target != VOID
            self._images.append((X if valid.all() else X[valid], target[valid] == 1))

    @property
    def n_features(self):
        return self._images[0][0].shape[1]

    def value(self, v):
        losses = [lovasz_hinge(X @ v, foreground)[0] for X, foreground in self._images]
        return 0.5 * self.l2 * float(v @ v) + float(np.mean(losses))

    def subgradient(self, v):
        total = np.zeros_like(v)
        for X, foreground in self._images:
            total += X.T @ lovasz_hinge(X @ v, foreground)[1]
        return self.l2 * v + total / len(self._images)

    def iou(self, v):
        """Mean over the images; 1 where neither the mask nor the prediction has a pixel."""
        ratios = []
        for X, foreground in self._images:
            predicted = X @ v > 0
            union = np.count_nonzero(predicted | foreground)
            ratios.append(np.count_nonzero(predicted & foreground) / union if union else 1.0)
        return float(np.mean(ratios))
