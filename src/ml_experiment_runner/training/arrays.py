"""Types of the arrays that models, thresholds and metrics exchange."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BinaryLabels = NDArray[np.int8]
"""0 or 1."""
Counts = NDArray[np.int64]
"""How often each row counts, shape (replicates, rows)."""
Positions = NDArray[np.int64]
"""Places of rows in a dataset's frame."""
