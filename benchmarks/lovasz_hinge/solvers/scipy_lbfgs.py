import numpy as np
from lovasz_opt.problems import LinearHingeRisk
from scipy.optimize import minimize

from benchmark_utils.solver import ITERATIONS, SampledSolver


class Solver(SampledSolver):
    """SciPy's L-BFGS-B on the risk with the loss replaced by its Moreau envelope.

    The gradients of the envelope are dual feasible, so they certify a bound; what remains of the gap is the
    price of smoothing. `smoothing` is about how far the envelope moves a margin.
    """

    name = "scipy_lbfgs"
    parameters = {"smoothing": [0.1, 0.01, 0.001]}

    def set_objective(self, features, targets, l2, void):
        self.problem = LinearHingeRisk(features, targets, l2, ignore=void)

    def warm_up(self):
        self.problem.prox_loss(np.zeros(self.problem.n_pixels), 1.0)

    def minimise(self, problem, callback):
        gamma = self.smoothing * problem.n_pixels
        self.v, self.dual = problem.center, 0.0

        def smoothed(v):
            scores = problem.apply(v)
            near = problem.prox_loss(scores, gamma)
            moved = scores - near
            minorant = problem.minorant(moved / gamma)
            self.dual = max(self.dual, problem.lower_bound(minorant))
            value = problem.quadratic(v) + problem.loss(near) + float(moved @ moved) / (2 * gamma)
            return value, problem.strong_convexity * v + minorant.slope

        def sample(v):
            self.v = v.copy()
            if not callback():
                raise StopIteration

        if callback():
            limits = {"maxiter": ITERATIONS, "maxfun": ITERATIONS, "ftol": 0.0, "gtol": 0.0}
            minimize(smoothed, self.v, jac=True, method="L-BFGS-B", callback=sample, options=limits)

    def get_result(self):
        return {"v": self.v, "dual": self.dual}
