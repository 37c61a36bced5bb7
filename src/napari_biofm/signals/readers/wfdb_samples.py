"""Samples of one segment of a WFDB record, read by the wfdb library when they are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.readers.wfdb_header import WfdbHeader, WfdbSignal
from napari_biofm.signals.samples import Raw
from napari_biofm.types import RecordingError

_INVALID = -32768  # of format 16: no sample


@dataclass(frozen=True)
class WfdbSamples:
    """Samples of one record in physical units; each call reads the piece that is asked for.

    A signal with several samples in each frame keeps them all, at its own sampling rate.
    """

    header: WfdbHeader

    def n_samples(self, sweep: int, channel: int) -> int:
        return self.header.length * self.header.signals[channel].per_frame

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        return read_span(self.header, channel, start, stop)

    def scale(self, channel: int) -> tuple[float, float] | None:
        return None


def read_span(header: WfdbHeader, channel: int, start: int, stop: int) -> NDArray[np.float32]:
    """Return samples [start, stop) of one signal of one segment, in its unit.

    Raises
    ------
    RecordingError
        If the library fails on the file.
    """
    if stop <= start:
        return np.zeros(0, np.float32)
    signal = header.signals[channel]
    if not header.in_pieces:
        return _read_whole(header, channel)[start:stop]
    first, last = start // signal.per_frame, -(-stop // signal.per_frame)
    values = _read(header, channel, first, last) if signal.plain is None else _mapped(signal, first, last)
    return values[start - first * signal.per_frame :][: stop - start]


def _read(header: WfdbHeader, channel: int, first: int = 0, last: int | None = None) -> NDArray[np.float32]:
    record = Path(header.record)
    try:
        piece = need("wfdb", record).rdrecord(
            header.record, sampfrom=first, sampto=last, channels=[channel], smooth_frames=False, return_res=32
        )
    except RecordingError:
        raise
    except Exception as error:  # the library raises whatever a damaged byte leads it to
        raise RecordingError(
            f"the samples of {record.name} cannot be read ({type(error).__name__}: {error})"
        ) from error
    return np.asarray(piece.e_p_signal[0], np.float32)


def _mapped(signal: WfdbSignal, first: int, last: int) -> NDArray[np.float32]:
    """Return what the library would, from a memory map."""
    plain = signal.plain
    assert plain is not None
    try:
        about = Path(plain.file).stat()
        frames = _map(plain.file, plain.offset, plain.width, about.st_size, about.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise RecordingError(f"the samples in {Path(plain.file).name} cannot be read ({error})") from error
    stored = frames[first:last, plain.first : plain.first + signal.per_frame].reshape(-1)
    values = stored.astype(np.float32)
    np.subtract(values, plain.baseline, values)
    np.divide(values, plain.gain, values)
    values[stored == _INVALID] = np.nan
    return values


@lru_cache(maxsize=64)
def _map(
    file: str,
    offset: int,
    width: int,
    size: int,
    changed: int,  # noqa: ARG001 (part of the key of the cache)
) -> NDArray[np.int16]:
    """Return (frames, width) samples; `changed` makes a file that was replaced another one."""
    return np.memmap(file, "<i2", "r", offset, ((size - offset) // (2 * width), width))


@lru_cache(maxsize=4)
def _read_whole(header: WfdbHeader, channel: int) -> NDArray[np.float32]:
    return _read(header, channel)
