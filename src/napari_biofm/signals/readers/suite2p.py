"""suite2p's results folder: fluorescence, neuropil and, from Fall.mat, masks and frame rate.

suite2p keeps masks and settings as Python pickles (stat.npy, ops.npy), which are never opened here.
Its own option `save_mat` writes the same as Fall.mat.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Channel, Recording, checked_rate
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.types import RecordingError

# what suite2p calls it, and what it is; deconvolved activity is in the units of the fluorescence, no spikes/s
PARTS = {"F": "fluorescence (F)", "Fneu": "neuropil (Fneu)", "spks": "deconvolved (spks)"}


def read_suite2p(
    path: Path, *, sampling_rate: float | None = None, unit: str | None = None, part: int = 0
) -> Recording:
    """Open a suite2p plane folder, its F.npy or its Fall.mat as raw traces of cells.

    Parameters
    ----------
    sampling_rate : frame rate in Hz; needed where there is no Fall.mat.
    unit : of the fluorescence; "a.u." unless given.
    part : which of the traces there are: fluorescence, neuropil, deconvolved activity; see
        `metadata["parts"]`.

    Raises
    ------
    RecordingError
        If F is missing, the frame rate is neither stored nor given, or there is no such part.
    """
    folder = path if path.is_dir() else path.parent
    mat = folder / "Fall.mat"
    stored = _mat(mat) if mat.is_file() else {}
    found: dict[str, Any] = {key: _array(folder / f"{key}.npy") if (folder / f"{key}.npy").is_file() else stored.get(key)
             for key in PARTS}  # fmt: skip
    if getattr(found["F"], "ndim", 0) != 2:
        raise RecordingError(f"{folder.name} holds no F.npy of (n_cells, n_frames)")
    shape = found["F"].shape
    there = [key for key, values in found.items() if getattr(values, "shape", None) == shape]
    if not 0 <= part < len(there):
        raise RecordingError(f"part {part} of {len(there)} asked for in {folder.name}; they count from 0")
    traces = found[there[part]]
    ops = stored.get("ops") or {}
    rate = ops.get("fs", sampling_rate)
    if rate is None:
        raise RecordingError(
            f"the frame rate of {folder.name} is in ops.npy, a pickle that is not opened: give "
            "sampling_rate (Hz), or save with suite2p's option save_mat"
        )
    rate = checked_rate(rate)
    is_cell = _is_cell(folder, stored, len(traces))
    channels = tuple(Channel(f"cell {i + 1}", unit or "a.u.", rate, i + 1) for i in range(len(traces)))
    return Recording(
        channels,
        ArraySamples([list(traces)]),
        np.zeros(1),
        path=folder / "F.npy" if (folder / "F.npy").is_file() else mat,
        format="suite2p",
        metadata={
            "accepted": [int(i) + 1 for i in np.flatnonzero(is_cell)],
            "parts": [PARTS[key] for key in there],
            "part": part,
            "part_option": "part",
        },
        rois=_rois(stored.get("stat"), ops),
    )


def is_suite2p(path: Path) -> bool:
    """Say whether `path` is a suite2p folder or a file in one."""
    folder = path if path.is_dir() else path.parent
    return (folder / "F.npy").is_file() and (path.is_dir() or path.name in ("F.npy", "Fall.mat"))


def _array(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise RecordingError(f"{path.name} is no plain array: {error}") from error
    return values


def _mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        found: dict[str, Any] = loadmat(path, simplify_cells=True)
    except (ValueError, NotImplementedError, TypeError, OSError) as error:
        raise RecordingError(f"{path.name} is no readable MATLAB file: {error}") from error
    return found


def _is_cell(folder: Path, stored: dict[str, Any], n: int) -> NDArray[np.bool_]:
    table = _array(folder / "iscell.npy") if (folder / "iscell.npy").is_file() else stored.get("iscell")
    if table is None or len(table) != n:
        return np.ones(n, bool)
    return np.asarray(np.atleast_2d(table)[:, 0] > 0)


def _rois(stat: Any, ops: dict[str, Any]) -> NDArray[np.int32] | None:
    """Return masks; where cells overlap, the pixel's heavier weight wins."""
    if stat is None or "Ly" not in ops or "Lx" not in ops:
        return None
    labels = np.zeros((int(ops["Ly"]), int(ops["Lx"])), np.int32)
    best = np.zeros(labels.shape, np.float32)
    for i, one in enumerate(np.atleast_1d(stat)):
        y, x, weight = (np.atleast_1d(one[key]) for key in ("ypix", "xpix", "lam"))
        wins = weight > best[y, x]
        labels[y[wins], x[wins]] = i + 1
        best[y[wins], x[wins]] = weight[wins]
    return labels
