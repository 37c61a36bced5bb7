"""The words of a feature table: columns of equal length, each with a definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]  # name with unit -> (n_rows,)
Values = dict[str, float]  # name with unit -> one number


def mean_sd(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation (n - 1) of the finite values; nan where there are too few."""
    finite = values[np.isfinite(values)]
    mean = float(finite.mean()) if len(finite) else float("nan")
    return mean, float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")
