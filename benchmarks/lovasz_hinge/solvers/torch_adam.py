import torch

from benchmark_utils.solver import SampledSolver


class Solver(SampledSolver):
    """PyTorch's Adam on the whole risk, with a Lovász hinge differentiated by autograd."""

    name = "torch_adam"
    requirements = ("pip::torch",)
    parameters = {"lr": [0.01, 0.1]}

    def set_objective(self, features, targets, l2, void):
        self.l2 = l2
        self.problem = []
        for X, target in zip(features, targets, strict=True):
            valid = target != void
            self.problem.append((torch.from_numpy(X[valid]), torch.from_numpy(target[valid] == 1)))

    def minimise(self, images, callback):
        v = torch.zeros(images[0][0].shape[1], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([v], lr=self.lr)
        self.v = v
        while callback():
            optimizer.zero_grad()
            losses = torch.stack([_lovasz_hinge(X @ v, foreground) for X, foreground in images])
            (0.5 * self.l2 * v.dot(v) + losses.mean()).backward()
            optimizer.step()

    def get_result(self):
        return {"v": self.v.detach().numpy().copy()}


def _lovasz_hinge(scores, foreground):
    errors, order = torch.sort(1 - torch.where(foreground, scores, -scores), descending=True)
    hits = foreground[order].double()
    jaccard = 1 - (hits.sum() - hits.cumsum(0)) / (hits.sum() + (1 - hits).cumsum(0))
    return torch.relu(errors).dot(torch.diff(jaccard, prepend=jaccard.new_zeros(1)))
