"""suite2p's results folder: fluorescence, neuropil and, from Fall.mat, masks and frame rate.

suite2p keeps masks and settings as Python pickles (stat.npy, ops.npy), which are never opened here.
Its own option `save_mat` writes the same as Fall.mat.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import load_numpy
from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.readers.footprints import labels_of
from napari_biofm.signals.readers.matlab import is_version_7_3, read_version_5
from napari_biofm.signals.recorded import NOTES, Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.sizes import whole_dataset
from napari_biofm.types import RecordingError

# what suite2p calls it, and what it is; deconvolved activity is in the units of the fluorescence, no spikes/s
PARTS = {"F": "fluorescence (F)", "Fneu": "neuropil (Fneu)", "spks": "deconvolved (spks)"}
MAT_VARIABLES = (*PARTS, "iscell", "stat", "ops")  # of Fall.mat; others are not read
DEFAULT_RATE = 10.0  # Hz, what suite2p writes where nobody told it
_PLANE = re.compile(r"^plane(\d+)$")


def read_suite2p(
    path: Path, *, sampling_rate: float | None = None, unit: str | None = None, part: int | None = None
) -> Recording:
    """Open a suite2p plane folder, its F.npy or its Fall.mat, or the folder of all planes, as raw traces of cells.

    Parameters
    ----------
    path : folder or file.
    sampling_rate : frame rate in Hz; it goes before that of Fall.mat, and is needed where there is none.
    unit : of the fluorescence; "a.u." unless given.
    part : which of the traces there are: fluorescence, neuropil, deconvolved activity of each plane; see
        `metadata["parts"]`. The fluorescence of the plane (the first of several) if None.

    Raises
    ------
    RecordingError
        If F is missing or holds no cell, the frame rate is neither stored nor given, or there is no such part.
    """
    folder = path if path.is_dir() else path.parent
    planes = _planes(folder)
    several = len(planes) > 1
    stored = {plane: _Plane(plane) for plane in planes}
    there = [(plane, key) for plane in planes for key in stored[plane].there]
    own = folder if folder in stored else planes[0]
    if part is None:
        part = next((i for i, (plane, _) in enumerate(there) if plane == own), -1)
        stored[own].check()
    if not 0 <= part < len(there):
        raise RecordingError(f"part {part} of {len(there)} asked for in {folder.name}; they count from 0")
    plane, key = there[part]
    chosen = stored[plane]
    rate = sampling_rate or chosen.rate
    if rate is None:
        raise RecordingError(
            f"the frame rate of {plane.name} is in ops.npy, a pickle that is not opened: give "
            "sampling_rate (Hz), or save with suite2p's option save_mat"
        )
    notes = list(chosen.notes)
    if sampling_rate is None and rate == DEFAULT_RATE:
        notes.append(
            "10 Hz is what suite2p writes where nobody told it the rate: give the true one if it is another."
        )
    rois, about = chosen.rois()
    rate = checked_rate(rate)
    traces = chosen.arrays[key]
    channels = tuple(Channel(f"cell {i + 1}", unit or "a.u.", rate, i + 1) for i in range(len(traces)))
    return Recording(
        channels,
        ArraySamples([list(traces)]),
        np.zeros(1),
        path=plane / "F.npy" if (plane / "F.npy").is_file() else plane / "Fall.mat",
        format="suite2p",
        metadata={
            "accepted": [int(i) + 1 for i in np.flatnonzero(chosen.is_cell())],
            "parts": [f"{one.name}: {PARTS[k]}" if several else PARTS[k] for one, k in there],
            "part": part,
            "part_option": "part",
            NOTES: [*notes, *about],
        },
        rois=rois,
    )


def is_suite2p(path: Path) -> bool:
    """Say whether `path` is a suite2p folder, that of its planes, or a file in one."""
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and any(_has_traces(one) for one in folder.glob("plane*")):
        return True
    return _has_traces(folder) and (path.is_dir() or path.name in ("F.npy", "Fall.mat"))


def _has_traces(folder: Path) -> bool:
    return (folder / "F.npy").is_file() or (
        (folder / "Fall.mat").is_file() and _PLANE.match(folder.name) is not None
    )


def _planes(folder: Path) -> list[Path]:
    """Return the folders of all planes of a run, in their order: `folder` and its neighbours, or those inside it."""
    inside = [one for one in folder.glob("plane*") if _PLANE.match(one.name) and _has_traces(one)]
    around = [one for one in folder.parent.glob("plane*") if _PLANE.match(one.name) and _has_traces(one)]
    planes = inside or (around if folder in around else [folder])
    return sorted(planes, key=lambda one: int(match[1]) if (match := _PLANE.match(one.name)) else -1)


class _Plane:
    """What lies in the folder of one plane."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, []  # type: Path, list[str]
        self.stored = self._mat()
        self.arrays: dict[str, Any] = {}
        for key in PARTS:
            file = folder / f"{key}.npy"
            values = _array(file) if file.is_file() else self.stored.get(key)
            if getattr(values, "ndim", 0) == 2 and values is not None and len(values):
                self.arrays[key] = values
        shape = self.arrays["F"].shape if "F" in self.arrays else None
        self.there = [key for key, values in self.arrays.items() if values.shape == shape]

    @property
    def rate(self) -> float | None:
        """Hz, None where there is no readable Fall.mat."""
        value = (self.stored.get("ops") or {}).get("fs")
        return None if value is None else float(value)

    def check(self) -> None:
        """Raise RecordingError where there are no traces, saying why."""
        if self.there:
            return
        file = self.folder / "F.npy"
        values = _array(file) if file.is_file() else self.stored.get("F")
        if values is not None and getattr(values, "size", 1) == 0:
            raise RecordingError(
                f"suite2p found no cell in {self.folder.name}: F is empty. Run it with a lower threshold_scaling."
            )
        raise RecordingError(f"{self.folder.name} holds no F.npy of (n_cells, n_frames)")

    def is_cell(self) -> NDArray[np.bool_]:
        """Return (n,) which regions were accepted as cells."""
        file, n = self.folder / "iscell.npy", len(self.arrays["F"])
        table = _array(file) if file.is_file() else self.stored.get("iscell")
        if table is None or len(table) != n:
            return np.ones(n, bool)
        return np.asarray(np.asarray(table).reshape(n, -1)[:, 0] > 0)

    def rois(self) -> tuple[NDArray[np.int32] | None, list[str]]:
        """Return masks, None where they are not stored, and what the user should know."""
        stat, ops = self.stored.get("stat"), self.stored.get("ops") or {}
        if stat is None or "Ly" not in ops or "Lx" not in ops:
            return None, []
        cells = [stat] if isinstance(stat, dict) else list(stat)
        try:
            prints = [
                (
                    *(np.atleast_1d(one[k]).astype(np.intp).ravel() for k in ("ypix", "xpix")),
                    np.ravel(one["lam"]),
                )
                for one in cells
            ]
            return labels_of(prints, range(1, len(prints) + 1), (int(ops["Ly"]), int(ops["Lx"])))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            return None, [
                f"The masks in Fall.mat of {self.folder.name} are damaged ({error!r}): traces only."
            ]

    def _mat(self) -> dict[str, Any]:
        """Return Fall.mat, nothing where it is missing; where it is damaged, the traces beside it still count."""
        path = self.folder / "Fall.mat"
        if not path.is_file():
            return {}
        try:
            return _read_mat(path)
        except Exception as error:  # damaged MATLAB files raise anything
            if not (self.folder / "F.npy").is_file():
                raise RecordingError(f"{path.name} is no readable MATLAB file: {error}") from error
            self.notes.append(
                f"Fall.mat of {self.folder.name} cannot be read ({error}): no masks and no frame rate."
            )
            return {}


def _array(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = load_numpy(path, mapped=True)
    except (ValueError, EOFError) as error:
        raise RecordingError(f"{path.name} is no plain array: {error}") from error
    return values


def _read_mat(path: Path) -> dict[str, Any]:
    """Return what a MATLAB file holds, of version 5 or, as MATLAB itself saves large ones, 7.3."""
    if is_version_7_3(path):
        return _read_mat73(path)
    found = read_version_5(path, MAT_VARIABLES)
    for key in PARTS:
        if getattr(found.get(key), "ndim", 0) == 1:
            found[key] = found[key][None]  # a single cell
    if not isinstance(found.get("ops", {}), dict):
        del found["ops"]
    return found


def _read_mat73(path: Path) -> dict[str, Any]:
    """Return the traces, masks and settings of a MATLAB file of version 7.3, whose axes are the other way round."""
    from napari_biofm.signals.readers.optional import need

    h5py = need("h5py", path)
    check_hdf5(path)
    with h5py.File(path, "r") as file:
        found: dict[str, Any] = {key: whole_dataset(file[key]).T for key in (*PARTS, "iscell") if key in file}
        if "ops" in file:
            found["ops"] = {
                key: float(np.ravel(whole_dataset(file["ops"][key]))[0]) for key in ("fs", "Ly", "Lx")
            }
        stat = file.get("stat")
        keys = ("ypix", "xpix", "lam")
        if isinstance(stat, h5py.Group):  # a struct array: one dataset of references per field
            columns = {key: np.ravel(whole_dataset(stat[key])) for key in keys}
            found["stat"] = [
                {key: np.ravel(file[columns[key][i]][()]) for key in keys}
                for i in range(len(columns["ypix"]))
            ]
        elif stat is not None:  # a cell array of structs
            found["stat"] = [
                {key: np.ravel(whole_dataset(file[one][key])) for key in keys}
                for one in np.ravel(whole_dataset(stat))
            ]
    return found
