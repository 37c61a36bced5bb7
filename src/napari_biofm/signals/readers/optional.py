"""Libraries that only some formats need, and HDF5 arrays that are opened when read."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.types import RecordingError

if TYPE_CHECKING:
    import h5py

PIP = "pip install 'napari-biofm[formats]'"


def need(module: str, path: Path) -> ModuleType:
    """Return an optional module, or say how to get it.

    Raises
    ------
    RecordingError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise RecordingError(f"{path.name} needs {package}, which is not installed: {PIP}") from error


def open_hdf5(path: Path) -> h5py.File:
    """Return an open HDF5 file, the same for every trace in it until the file is replaced."""
    return _open_hdf5(str(path), changed(path))


def changed(path: str | Path) -> int:
    """Return when a file was changed last, for caches that must not outlive it; 0 where there is none."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=16)
def _open_hdf5(path: str, stamp: int) -> Any:  # noqa: ARG001 (part of the key of the cache)
    h5py = need("h5py", Path(path))
    check_hdf5(Path(path))
    return h5py.File(path, "r")


@dataclass(frozen=True)
class H5Trace:
    """One row or column of an HDF5 dataset, read when sliced; can be sent to another process.

    Attributes
    ----------
    path, key : file and dataset.
    shape : (n_samples,).
    index : which row or column; None for a one-dimensional dataset.
    axis : axis along which `index` counts.
    """

    path: str
    key: str
    shape: tuple[int]
    index: int | None = None
    axis: int = 0

    def __getitem__(self, span: slice) -> NDArray[Any]:
        try:
            data = open_hdf5(Path(self.path))[self.key]
            if self.index is None:
                values = data[span]
            else:
                values = data[self.index, span] if self.axis == 0 else data[span, self.index]
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise RecordingError(f"{self.key} of {Path(self.path).name} cannot be read: {error}") from error
        return np.asarray(values)
