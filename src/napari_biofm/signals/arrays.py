"""Arrays in memory as sweeps of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from napari_biofm.types import RecordingError


def checked_rate(sampling_rate: SupportsFloat) -> float:
    """Return the sampling rate in Hz, or raise `RecordingError` if it is not a positive number."""
    rate = float(sampling_rate)
    if not (np.isfinite(rate) and rate > 0):
        raise RecordingError(f"a sampling rate of {sampling_rate} Hz: give a positive number")
    return rate


def as_sweeps(values: ArrayLike | Sequence[Sequence[ArrayLike]], *, cells: bool) -> list[list[Any]]:
    """Bring `values` to sweeps of channels of one-dimensional array-likes."""
    array: Any = values
    if isinstance(array, (list, tuple)) and array and hasattr(array[0], "shape"):
        if any(len(one.shape) != 1 for one in array):
            raise RecordingError("a list of arrays is a list of sweeps: give (n_samples,) arrays")
        return [list(array)] if cells else [[one] for one in array]
    if isinstance(array, (list, tuple)) and array and _is_list_of_arrays(array[0]):
        return [list(sweep) for sweep in array]
    if not hasattr(array, "ndim"):
        array = np.asarray(array)
    if array.ndim == 1:
        return [[array]]
    if array.ndim == 2:
        return [list(array)] if cells else [[sweep] for sweep in array]
    if array.ndim == 3:
        return [list(sweep) for sweep in array]
    raise RecordingError(
        f"values of {array.ndim} dimensions: give (n_samples,), (n_sweeps, n_samples) or "
        "(n_sweeps, n_channels, n_samples)"
    )


def _is_list_of_arrays(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(hasattr(one, "shape") for one in value)
