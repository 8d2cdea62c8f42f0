from benchopt import BaseDataset
from lovasz_opt.datasets import shapes

from benchmark_utils.images import as_data


class Dataset(BaseDataset):
    """Ellipses and rectangles under noise, four features a pixel."""

    name = "simulated"
    requirements = ("pip::lovasz-opt",)
    parameters = {"n": [8], "size": [48], "noise": [0.5]}
    test_config = {"n": 3, "size": 12}

    def get_data(self):
        # NumPy takes seeds of any size, so the test images cannot be training images of another seed.
        seed = self.get_seed()
        train, test = (shapes(self.n, self.size, self.noise, s) for s in (seed, seed + 2**32))
        return as_data(train, test)
