# Imported here so that benchopt reports the data set as not installed without it.
import skimage  # noqa: F401
from benchopt import BaseDataset
from lovasz_opt.datasets import motorcycle, tiles

from benchmark_utils.images import as_data


class Dataset(BaseDataset):
    """Tiles of a photograph that scikit-image ships, dealt into training and test halves."""

    name = "photograph"
    requirements = ("pip::lovasz-opt[study]",)
    parameters = {"scale": [2], "tile": [40]}
    test_config = {"scale": 4, "tile": 20}

    def get_data(self):
        return as_data(*tiles(motorcycle(self.scale), self.tile, self.get_seed()))
