"""EDF and BDF through pyedflib: channels at rates of their own, read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recorded import Channel, Tag
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import Raw
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError

_NOTES = ("EDF Annotations", "BDF Annotations")


@dataclass
class EdfSamples:
    """Samples of one file, in physical units; the reader is opened again after travelling."""

    path: Path
    rows: tuple[int, ...]
    sizes: tuple[int, ...]
    _reader: Any = field(default=None, repr=False)

    def n_samples(self, sweep: int, channel: int) -> int:
        return self.sizes[channel]

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        if self._reader is None:
            self._reader = _open(self.path)
        return np.asarray(self._reader.readSignal(self.rows[channel], start, stop - start), np.float32)

    def scale(self, channel: int) -> tuple[float, float] | None:
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": None}


def read_edf(path: Path) -> Recording:
    """Open an EDF, EDF+ or BDF file; annotations become tags.

    Raises
    ------
    RecordingError
        If pyedflib is missing, or the file is damaged or discontinuous.
    """
    reader = _open(path)
    labels = reader.getSignalLabels()
    rows = tuple(i for i, name in enumerate(labels) if name not in _NOTES)
    if not rows:
        raise RecordingError(f"{path.name} holds annotations only")
    sizes = reader.getNSamples()
    times, _, texts = reader.readAnnotations()
    channels = tuple(
        Channel(
            str(labels[i]).strip() or "?",
            clean_unit(reader.getPhysicalDimension(i)),
            float(reader.getSampleFrequency(i)),
        )
        for i in rows
    )
    if not all(np.isfinite(c.sampling_rate) and c.sampling_rate > 0 for c in channels):
        raise RecordingError(f"{path.name} has a channel without a sampling rate")
    return Recording(
        channels,
        EdfSamples(path, rows, tuple(int(sizes[i]) for i in rows), reader),
        np.zeros(1),
        t0=_start(reader),
        path=path,
        format=path.suffix[1:].upper() or "EDF",
        comment=str(reader.getRecordingAdditional() or ""),
        tags=tuple(Tag(float(t), str(text)) for t, text in zip(times, texts, strict=False)),
        metadata={"reader": "pyedflib"},
    )


def _start(reader: Any) -> Any:
    try:
        return reader.getStartdatetime()
    except ValueError:
        return None


def _open(path: Path) -> Any:
    pyedflib = need("pyedflib", path)
    try:
        return pyedflib.EdfReader(str(path))
    except (
        Exception
    ) as error:  # the library raises OSError with texts of its own, and others on damaged files
        raise RecordingError(f"pyedflib cannot read {path.name}: {error}") from error
