"""Igor binary waves and packed experiments through igor2: one wave is one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import as_float32
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}


def read_igor(
    path: Path, *, sampling_rate: float | None = None, unit: str | None = None, wave: int = 0
) -> Recording:
    """Open a wave; columns of a two-dimensional one are sweeps.

    Parameters
    ----------
    path : .ibw, or .pxp with several waves.
    sampling_rate : Hz, where the wave's x axis is not in seconds.
    unit : where the wave names none.
    wave : which of a packed experiment, counted from 0; `metadata["parts"]` names them.

    Raises
    ------
    RecordingError
        If igor2 is missing, the file is damaged, holds no wave of numbers, or does not say rate or unit.
    """
    need("igor2", path)
    waves = _waves(path)
    if not 0 <= wave < len(waves):
        raise RecordingError(
            f"wave {wave} of {len(waves)} asked for in {path.name}"
            if waves
            else f"{path.name} holds no wave of numbers (text waves and empty ones are none)"
        )
    name, content = waves[wave]
    values: NDArray[Any] = np.asarray(content["wData"])
    header = content["wave_header"]
    step, start, axis_unit = _axis(header)
    rate = 1.0 / (step * _SECONDS[axis_unit]) if axis_unit in _SECONDS and step > 0 else sampling_rate
    told = _text(header.get("dataUnits", b"")) or unit
    if rate is None or not told:
        raise RecordingError(
            f"wave {name} of {path.name} does not say its {'rate' if rate is None else 'unit'}: give "
            "sampling_rate (Hz) and unit; neither is ever guessed"
        )
    sweeps = values[None] if values.ndim == 1 else values.reshape(len(values), -1).T
    begins = start * _SECONDS.get(axis_unit, 0.0)
    length = sweeps.shape[1] / rate
    return Recording.from_arrays(
        [[as_float32(one)] for one in sweeps],
        rate,
        clean_unit(told),
        names=[name or "wave"],
        sweep_starts=begins + np.arange(len(sweeps)) * length,
        path=path,
        format="Igor",
        comment=_text(content.get("note", b""))[:2000],
        metadata={
            "reader": "igor2",
            "parts": [one for one, _ in waves],
            "part": wave,
            "part_option": "wave",
        },
    )


def _waves(path: Path) -> list[tuple[str, Any]]:
    """Return name and content of the waves of numbers in a file."""
    from igor2 import binarywave, packed

    try:
        if path.suffix.lower() == ".ibw":
            found = [binarywave.load(str(path))["wave"]]
        else:
            records, _ = packed.load(str(path), strict=False)
            found = [one.wave["wave"] for one in records if hasattr(one, "wave")]
    except RecordingError:
        raise
    except Exception as error:  # the parser raises whatever a damaged byte leads it to
        raise RecordingError(f"igor2 cannot read {path.name} ({type(error).__name__}: {error})") from error
    named = [(_text(one["wave_header"].get("bname", b"")), one) for one in found]
    return [(name, one) for name, one in named if _is_numeric(one)]


def _is_numeric(wave: Any) -> bool:
    data = wave.get("wData")
    return data is not None and np.asarray(data).dtype.kind in "iuf" and np.asarray(data).size > 1


def _axis(header: Any) -> tuple[float, float, str]:
    """Return step, start and unit of the x axis."""
    if "sfA" in header:
        unit = header.get("dimUnits", b"")
        rows = np.asarray(unit)
        text = _text(b"".join(np.ravel(rows[0]).tolist()) if rows.ndim > 1 else unit)
        return float(np.ravel(header["sfA"])[0]), float(np.ravel(header["sfB"])[0]), text
    return float(header.get("hsA", 0.0)), float(header.get("hsB", 0.0)), _text(header.get("xUnits", b""))


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = b"".join(one for one in np.ravel(value).tolist() if isinstance(one, bytes))
    if isinstance(value, bytes):
        value = value.split(b"\0")[0].decode("latin-1")
    return str(value).strip()
