import os

from benchopt import BaseDataset
from lovasz_opt.datasets import voc

from benchmark_utils.images import as_data

VARIABLE = "LOVASZ_OPT_DATA"


class Dataset(BaseDataset):
    """VOC images that show a class, with the features of a DeepLab network on a 33 × 33 grid."""

    name = "voc"
    requirements = ("pip::lovasz-opt",)
    parameters = {"category": ["cat", "dog", "person", "horse", "sheep", "cow"], "images": [120]}
    test_config = {"category": "cat", "images": 3}

    def get_data(self):
        directory = os.environ.get(VARIABLE)
        if not directory:
            return {"unavailable": f"set {VARIABLE} to the folder of deeplab_train.npz and deeplab_val.npz"}
        seed = self.get_seed()
        return as_data(
            *(voc(directory, self.category, split, self.images, seed) for split in ("train", "val"))
        )
