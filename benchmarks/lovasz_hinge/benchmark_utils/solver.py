"""What the solvers have in common."""

from abc import abstractmethod

from benchopt import BaseSolver
from benchopt.stopping_criterion import NoCriterion
from lovasz_opt.datasets import shapes
from lovasz_opt.problems import LinearHingeRisk

#: Relative certified gap at which a method stops by itself.
TOLERANCE = 1e-6
#: No limit: `--timeout` ends a run.
ITERATIONS = 10**9


class SampledSolver(BaseSolver):
    """A method whose every iteration may be a point of the curve.

    It runs until it stops by itself or time is up: a criterion of progress would end subgradient methods on
    their first plateau.
    """

    sampling_strategy = "callback"
    stopping_criterion = NoCriterion()
    requirements = ("pip::lovasz-opt[benchopt]",)

    def get_next(self, stop_val):
        """Denser than benchopt's factor 1.5: the timeout is looked at where the curve is sampled."""
        return max(stop_val + 1, int(1.2 * stop_val))

    def run(self, callback):
        # benchopt keeps all solvers until the end: the features must not stay with them.
        problem, self.problem = self.problem, None
        self.minimise(problem, callback)

    @abstractmethod
    def minimise(self, problem, callback):
        """Minimise what `set_objective` left in `problem`, until the callback returns False."""


class CertifiedSolver(SampledSolver):
    """A function of `lovasz_opt.solvers`: the best point so far, and the bound that certifies it."""

    def set_objective(self, features, targets, l2, void):
        self.problem = LinearHingeRisk(features, targets, l2, ignore=void)

    def warm_up(self):
        """Compile the kernels on another problem, so that this one keeps nothing that was computed before."""
        images = shapes(n=2, size=12)
        self.solve(LinearHingeRisk(images.features, images.targets, l2=0.1), max_iter=3)

    def minimise(self, problem, callback):
        def sample(state):
            if state.value == state.best:
                self.v = state.x.copy()
            self.dual = state.dual
            return not callback()

        self.solve(problem, tol=TOLERANCE, max_iter=ITERATIONS, callback=sample)

    def get_result(self):
        return {"v": self.v, "dual": self.dual}

    @abstractmethod
    def solve(self, problem, **limits):
        """Call the method with its own parameters and these limits."""
