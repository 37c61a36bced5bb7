"""HDF5: CaImAn's results, and plain datasets for which the user says rate and unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.readers.footprints import labels_of
from napari_biofm.signals.readers.optional import H5Trace, need
from napari_biofm.signals.readers.wavesurfer import is_wavesurfer, read_wavesurfer
from napari_biofm.signals.recorded import NOTES, Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.sizes import whole_dataset
from napari_biofm.types import RecordingError

# CaImAn's traces, what they are, and their unit; S is in the units of C, no spikes/s
CAIMAN_PARTS = {
    "F_dff": ("dF/F (F_dff)", "dF/F"), "C": ("denoised (C)", "a.u."), "S": ("deconvolved (S)", "a.u."),
}  # fmt: skip

_LEAST_WEIGHT = 0.2  # of a footprint's largest weight, that a pixel of its mask must have


def read_hdf5(
    path: Path,
    *,
    sampling_rate: float | None = None,
    unit: str | None = None,
    dataset: str | None = None,
    part: int = 0,
) -> Recording:
    """Open an HDF5 file: CaImAn's results, NWB under another ending, or a dataset of sweeps.

    Parameters
    ----------
    sampling_rate, unit : of the dataset, unless its attributes `sampling_rate` and `unit` say so; of CaImAn's traces
        it goes before the rate in the file, which may be CaImAn's default.
    dataset : which to read where there are several; (n_samples,) or (n_sweeps, n_samples).
    part : which of CaImAn's traces; `metadata["parts"]` names them.

    Raises
    ------
    RecordingError
        If h5py is missing, the file is damaged, or dataset, rate or unit are neither clear nor given.
    """
    h5py = need("h5py", path)
    try:
        check_hdf5(path)
        with h5py.File(path, "r") as file:
            if "estimates" in file and dataset is None:
                return _caiman(path, file, sampling_rate, part)
            if "nwb_version" in file.attrs:
                from napari_biofm.signals.readers.nwb import read_nwb

                return read_nwb(path)
            if dataset is None and is_wavesurfer(file):
                return read_wavesurfer(path, file, sampling_rate)
            return _plain(path, file, h5py, dataset, sampling_rate, unit)
    except RecordingError:
        raise
    except Exception as error:  # h5py raises whatever a damaged byte leads the library to
        raise RecordingError(f"{path.name} is no readable HDF5 file: {error}") from error


def _plain(
    path: Path, file: Any, h5py: Any, dataset: str | None, sampling_rate: float | None, unit: str | None
) -> Recording:
    found = _signals(file, h5py)
    if dataset is None and len(found) == 1:
        dataset = found[0]
    if dataset not in found:
        asked = "which dataset is meant" if dataset is None else f"no dataset of samples called {dataset}"
        raise RecordingError(
            f"{path.name}: {asked}; give dataset=... one of {', '.join(found[:20]) or 'none'}"
        )
    data = file[dataset]
    rate = data.attrs.get("sampling_rate", sampling_rate)
    name = data.attrs.get("unit", unit)
    if rate is None or name is None:
        raise RecordingError(
            f"{dataset} of {path.name} does not state its sampling_rate and unit: give both; "
            "neither is ever guessed"
        )
    name = name.decode() if isinstance(name, bytes) else str(name)
    n = data.shape[-1]
    rows = [None] if data.ndim == 1 else range(data.shape[0])
    arrays: list[list[Any]] = [[H5Trace(str(path), dataset, (n,), row)] for row in rows]
    return Recording.from_arrays(arrays, float(rate), name, path=path, format="HDF5")


def datasets_of(path: Path) -> list[str]:
    """Return the datasets of an HDF5 file that can be signals; none for a file that is damaged."""
    h5py = need("h5py", path)
    try:
        check_hdf5(path)
        with h5py.File(path, "r") as file:
            return _signals(file, h5py)
    except OSError:
        return []


def _signals(file: Any, h5py: Any) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if _is_signal(item, h5py) else None)
    return found


def _is_signal(item: Any, h5py: Any) -> bool:
    return (
        isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and 1 <= item.ndim <= 2 and item.size > 1
    )


def _caiman(path: Path, file: Any, sampling_rate: float | None, part: int) -> Recording:
    """Return CaImAn's dF/F, or its denoised traces or deconvolved activity, with masks."""
    estimates = file["estimates"]
    there = [k for k in CAIMAN_PARTS if k in estimates and getattr(estimates[k], "ndim", 0) == 2]
    if not there or there == ["S"]:
        raise RecordingError(
            f"{path.name} holds neither estimates/F_dff nor estimates/C: run CaImAn's CNMF first"
        )
    stored = whole_dataset(file["params/data/fr"]) if "params/data/fr" in file else None
    told = sampling_rate or (None if stored is None else float(stored))
    if told is None:
        raise RecordingError(f"{path.name} does not state its frame rate: give sampling_rate (Hz)")
    rate = checked_rate(told)
    if not 0 <= part < len(there):
        raise RecordingError(f"part {part} of {len(there)} asked for in {path.name}; they count from 0")
    key = there[part]
    n_cells, n_frames = estimates[key].shape
    accepted = _indices(estimates, "idx_components")
    unit = CAIMAN_PARTS[key][1]
    channels = tuple(Channel(f"cell {i + 1}", unit, rate, i + 1) for i in range(n_cells))
    arrays = [[H5Trace(str(path), f"estimates/{key}", (n_frames,), i) for i in range(n_cells)]]
    rois, notes = _caiman_rois(estimates, n_cells)
    return Recording(
        channels,
        ArraySamples(arrays),
        np.zeros(1),
        path=path,
        format="CaImAn",
        metadata={
            "source": f"estimates/{key}",
            **({} if accepted is None else {"accepted": sorted(i + 1 for i in accepted)}),
            "parts": [CAIMAN_PARTS[k][0] for k in there],
            "part": part,
            "part_option": "part",
            NOTES: notes,
        },
        rois=rois,
    )


def _indices(estimates: Any, key: str) -> list[int] | None:
    """Return the numbers that CaImAn kept, None where it did not judge its components."""
    item = estimates.get(key)
    if item is None or getattr(item, "dtype", None) is None or item.dtype.kind not in "iu":
        return None
    return [int(i) for i in whole_dataset(item)]


def _caiman_rois(estimates: Any, n_cells: int) -> tuple[NDArray[np.int32] | None, list[str]]:
    """Return masks from the sparse footprints `A` (pixels x cells, column-major pixels), and what is to be known."""
    if "A" not in estimates or "indptr" not in estimates["A"]:
        return None, ["The file holds no footprints (estimates/A): traces without masks."]
    dims = estimates.get("dims")
    sizes = whole_dataset(dims) if getattr(dims, "dtype", np.dtype(object)).kind in "iuf" else None
    if sizes is None or np.ndim(sizes) != 1:
        return None, ["CaImAn did not keep the size of the field (estimates/dims): traces without masks."]
    if len(sizes) != 2:
        field = " x ".join(str(int(n)) for n in sizes)
        return None, [
            f"The footprints are those of a volume ({field}): traces without masks, which are flat here."
        ]
    height, width = (int(n) for n in sizes)
    data, rows, ends = (whole_dataset(estimates["A"][k]) for k in ("data", "indices", "indptr"))
    if len(rows) and int(rows.max()) >= height * width:
        return None, [
            f"The footprints do not fit a field of {height} x {width} pixels: traces without masks."
        ]
    prints = []
    for cell in range(min(n_cells, len(ends) - 1)):
        pixels, weights = rows[ends[cell] : ends[cell + 1]], data[ends[cell] : ends[cell + 1]]
        strong = weights > _LEAST_WEIGHT * weights.max(initial=0)
        x, y = np.divmod(pixels[strong].astype(np.intp), height)
        prints.append((y, x, weights[strong]))
    return labels_of(prints, range(1, len(prints) + 1), (height, width))
