"""Arrays, and what is read and written like one. Axes are named in comments."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]  # (Y, X) or (Y, X, C), any real dtype
Labels = NDArray[np.int32]  # (Y, X) or (Z, Y, X); 0 is background, a value is a cell_id
Vectors = NDArray[np.float32]  # (n_cells, n_features)
Events = NDArray[np.void]  # (n_events,) of EVENT_DTYPE, or of MEASURED_DTYPE once measured


class LazyArray(Protocol):
    """An array that is read by slices: of numpy, zarr, dask, h5py, or a `LazyImage`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class WritableArray(LazyArray, Protocol):
    """A `LazyArray` that is written by slices."""

    def __setitem__(self, index: Any, values: Any, /) -> None: ...
