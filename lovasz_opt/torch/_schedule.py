"""How the step of the Moreau envelope changes over a training run."""

from __future__ import annotations

from typing import Any

from .._validation import as_step
from ._modules import MoreauLovaszHingeLoss


class GammaSchedule:
    """Geometric schedule for the step of `MoreauLovaszHingeLoss`, used as a learning-rate scheduler is.

    After k calls of `step` the loss has gamma = start·(end/start)^min(k/steps, 1). With a falling step the
    envelope starts smooth and ends close to the Lovász hinge.

    Parameters
    ----------
    loss : MoreauLovaszHingeLoss
        Its gamma at this moment is the start.
    end : float
        Last step, > 0.
    steps : int
        Number of calls until the last step is reached, ≥ 1.

    Raises
    ------
    ValueError
        If `end` is not finite and positive or `steps` is less than 1.

    Examples
    --------
    >>> from lovasz_opt.torch import GammaSchedule, MoreauLovaszHingeLoss
    >>> loss = MoreauLovaszHingeLoss(gamma=8.0)
    >>> schedule = GammaSchedule(loss, end=2.0, steps=2)
    >>> for _ in range(3):
    ...     schedule.step()
    ...     print(round(schedule.gamma, 6))
    4.0
    2.0
    2.0
    """

    def __init__(self, loss: MoreauLovaszHingeLoss, end: float, steps: int) -> None:
        if int(steps) != steps or steps < 1:
            raise ValueError(f"steps is {steps}; it must be an integer ≥ 1")
        self.loss = loss
        self.start = loss.gamma.item()
        self.end = as_step(end, "end")
        self.steps = int(steps)
        self.taken = 0

    @property
    def gamma(self) -> float:
        """The step after the calls so far."""
        return self.start * (self.end / self.start) ** min(self.taken / self.steps, 1.0)

    def step(self) -> None:
        """Go one step further and set the gamma of the loss."""
        self.taken += 1
        self.loss.gamma.fill_(self.gamma)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {name: getattr(self, name) for name in ("start", "end", "steps", "taken")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        vars(self).update({name: state[name] for name in ("start", "end", "steps", "taken")})
        self.loss.gamma.fill_(self.gamma)
