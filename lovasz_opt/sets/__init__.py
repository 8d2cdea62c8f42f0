"""Set functions: losses of the mistakes of a segmentation, and general ones."""

from .base import SetFunction, SubmodularityReport
from .cardinality import Cardinality
from .counts import CountFunction
from .coverage import Coverage
from .cut import Cut
from .dice import Dice
from .jaccard import Jaccard
from .modular import Modular
from .tversky import Tversky

__all__ = [
    "Cardinality",
    "CountFunction",
    "Coverage",
    "Cut",
    "Dice",
    "Jaccard",
    "Modular",
    "SetFunction",
    "SubmodularityReport",
    "Tversky",
]
