"""Stage 1: uncalibrated ramps to count rates.

>>> from jwcal.detector1 import run
>>> result = run("jw..._uncal.fits", output_dir="products")
>>> print(result.products)
"""

from jwcal.detector1.process import RunResult, run

__all__ = ["RunResult", "run"]
