"""What a solver of your own is made of.

`require` refuses a problem that lacks something, `starting_point` checks x0, and `drive` runs the iterates
that you yield: it keeps the trace and the best point, improves the certificate with every minorant, stops by
gap, iterations, time and callback, keeps what was found on Ctrl-C, and resumes. `Iterate` is what to yield:
a candidate, its objective, and a minorant of the loss if the iteration found one, or None. The page "Add a
solver" of the documentation builds one.
"""

from ._driver import Callback, Iterate, LowerBound, Memory, drive, starting_point
from ._needs import require

__all__ = ["Callback", "Iterate", "LowerBound", "Memory", "drive", "require", "starting_point"]
