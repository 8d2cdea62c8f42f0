"""Where the slope of a convex function on a ray passes 0: doubled steps, then safeguarded secants."""

from __future__ import annotations

import math


class Bracket:
    """Steps on both sides of the minimum along a ray, and the next one to try.

    Parameters
    ----------
    slope : float
        At step 0, < 0.
    """

    def __init__(self, slope: float) -> None:
        self._low, self._low_slope = 0.0, slope
        self._high, self._high_slope = math.inf, math.inf

    def narrow(self, step: float, slope: float) -> float:
        """Take note of the slope at a step; the step to try next."""
        if slope > 0:
            self._high, self._high_slope = step, slope
        else:
            self._low, self._low_slope = step, slope
        if self._high == math.inf:
            return 2.0 * step
        # The zero of the secant, kept away from the ends.
        share = self._low_slope / (self._low_slope - self._high_slope)
        return self._low + min(max(share, 0.1), 0.9) * (self._high - self._low)
