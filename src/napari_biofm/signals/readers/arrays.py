"""NumPy files: `.npz` that say their rate and unit, and bare `.npy` for which the user says them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import load_numpy, numpy_archive
from napari_biofm.signals.calcium.result import shown_values
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

_ASK = "give sampling_rate (Hz) and unit, e.g. sampling_rate=10000, unit='pA'; neither is ever guessed"


ROWS = ("sweeps", "channels", "samples")


def read_numpy(
    path: Path, *, sampling_rate: float | None = None, unit: str | None = None, rows: str | None = None
) -> Recording:
    """Open `.npz` or `.npy`.

    `.npz` holds `signal` ((n_sweeps, n_samples) or (n_samples,)), `sampling_rate` (Hz) and `unit`; or
    what `napari-biofm traces` writes: `labels`, `dff`, `raw`, `neuropil`, `frame_rate`. A `.npy` is
    the signal alone, is memory-mapped, and needs `sampling_rate` and `unit`.

    Parameters
    ----------
    sampling_rate : Hz; of traces of cells it goes before the rate in the file.
    unit : of the values.
    rows : what the rows of a two-dimensional signal are, one of `ROWS`; sweeps unless said otherwise.
        A table of many short rows must say it.

    Raises
    ------
    RecordingError
        If a key is missing, a value is no number, or rate or unit are neither stored nor given.
    """
    try:
        if path.suffix.lower() == ".npy":
            return _from_npy(path, sampling_rate, unit, rows)
        with numpy_archive(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path.name} is no readable NumPy file: {error}") from error
    if "dff" in arrays and "frame_rate" in arrays:
        return _from_traces(path, arrays, sampling_rate)
    return _from_npz(path, arrays, sampling_rate, unit, rows)


def _from_npy(path: Path, sampling_rate: float | None, unit: str | None, rows: str | None) -> Recording:
    if sampling_rate is None or unit is None:
        raise RecordingError(f"{path.name} is a bare array: {_ASK}")
    values = load_numpy(path, mapped=True)
    _check_numbers(path, "array", values)
    return Recording.from_arrays(
        _laid_out(path, values, rows), sampling_rate, unit, path=path, format="NumPy"
    )


def _from_npz(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    sampling_rate: float | None,
    unit: str | None,
    rows: str | None,
) -> Recording:
    if "signal" not in arrays:
        raise RecordingError(
            f"{path.name} has no array called signal, only {', '.join(sorted(arrays)) or 'nothing'}; "
            "save it with np.savez(path, signal=..., sampling_rate=..., unit=...)"
        )
    key = next((k for k in ("sampling_rate", "fs") if k in arrays), None)
    rate = float(arrays[key]) if key is not None else sampling_rate
    name = str(arrays["unit"]) if "unit" in arrays else unit
    if rate is None or name is None:
        raise RecordingError(f"{path.name} does not store its sampling_rate or unit: {_ASK}")
    _check_numbers(path, "signal", arrays["signal"])
    return Recording.from_arrays(
        _laid_out(path, arrays["signal"], rows), rate, name, path=path, format="NumPy"
    )


def _laid_out(path: Path, values: NDArray[Any], rows: str | None) -> Any:
    """Return the signal as sweeps, by what its rows are."""
    if rows is not None and rows not in ROWS:
        raise RecordingError(f"rows={rows!r} for {path.name}: give one of {', '.join(ROWS)}")
    if values.ndim != 2 or rows == "sweeps":
        return values
    if rows is None:
        n, width = values.shape
        if n > 1000 and width <= 32:
            raise RecordingError(
                f"{path.name} would be {n} sweeps of {width} samples: give rows='samples' if its columns are "
                "channels, or rows='sweeps'"
            )
        return values
    return [list(values if rows == "channels" else values.T)]


def _from_traces(path: Path, arrays: Mapping[str, NDArray[Any]], sampling_rate: float | None) -> Recording:
    """Return traces of cells: dF/F, or z-scores where the file says that no F0 could be trusted."""
    dff = arrays["dff"]
    _check_numbers(path, "dff", dff)
    labels = arrays.get("labels", np.arange(1, len(dff) + 1))
    rate = sampling_rate or float(arrays["frame_rate"])
    values, units = dff, ["dF/F"] * len(dff)
    trusted, zscore = arrays.get("f0_trusted"), arrays.get("zscore")
    if (
        trusted is not None
        and zscore is not None
        and zscore.shape == dff.shape
        and trusted.shape == dff.shape[:1]
    ):
        values, units = shown_values(dff, zscore, trusted.astype(bool))
    about = {"bad_frames": arrays["bad_frames"].tolist()} if "bad_frames" in arrays else {}
    return Recording.from_arrays(
        values, rate, units, labels=labels, path=path, format="traces", metadata=about
    )


def _check_numbers(path: Path, key: str, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "iuf" or values.size == 0:
        raise RecordingError(
            f"{key} of {path.name} is {values.dtype} of shape {values.shape}; real numbers are needed"
        )
