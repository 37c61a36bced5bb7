"""Traces of a HEKA bundle: where their samples lie in the file, and what takes them to mV and pA.

Source: record layouts as published by HEKA Elektronik, "PulsedFile", v9. What PatchMaster measured in a zero
segment (TrZeroData) is not subtracted: values are what was recorded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import check_map
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.samples import packed, unpacked
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import LazyArray, RecordingError

_LEAST_BYTES, _INTERLEAVED_BYTES = (
    152,
    300,
)  # of a trace record; versions from 2011 on say if blocks are mixed
_FORMATS = ("i2", "i4", "f4", "f8")
_DISPLAY = {"V": ("mV", 1e3), "A": ("pA", 1e12)}


@dataclass(frozen=True)
class HekaTrace:
    """One channel of one sweep.

    Attributes
    ----------
    data : (n_samples,) array-like as stored, on the memory map.
    gain : takes `data` to the channel's unit.
    """

    channel: Channel
    data: Any
    gain: float

    def scaled_to(self, gain: float) -> LazyArray | Regained:
        """Return the samples as if they had been stored with another gain."""
        return self.data if self.gain == gain else Regained(self.data, self.gain / gain)


def text_of(data: bytes) -> str:
    """Return a zero-terminated text."""
    return data.split(b"\0")[0].decode("latin-1").strip()


def trace_of(path: Path, pages: NDArray[np.uint8], order: str, record: bytes) -> HekaTrace:
    """Return the trace that a record describes.

    Parameters
    ----------
    pages : the whole file.
    order : byte order, as in `struct`.

    Raises
    ------
    RecordingError
        If it cannot be, or reaches beyond the file.
    """
    if len(record) < _LEAST_BYTES:
        raise RecordingError(f"a trace record of {len(record)} bytes in {path.name}")
    start, n = struct.unpack_from(f"{order}ii", record, 40)
    kind = record[70]
    (gain,) = struct.unpack_from(f"{order}d", record, 72)
    (interval,) = struct.unpack_from(f"{order}d", record, 104)
    if kind >= len(_FORMATS) or n < 1 or start < 0 or not (np.isfinite(interval) and interval > 0):
        raise RecordingError(f"{path.name}: a trace of {n} samples, format {kind}, every {interval} s")
    unit = clean_unit(text_of(record[96:104]))
    shown, factor = _DISPLAY.get(unit, (unit, 1.0))
    if not np.isfinite(gain * factor) or gain == 0:
        raise RecordingError(f"{path.name}: a trace with the gain {gain} {unit}")
    rate = 1.0 / interval
    rate = float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate
    data = _samples(path, pages, order, record, np.dtype(order + _FORMATS[kind]), start, n)
    return HekaTrace(Channel(text_of(record[4:36]), shown, rate), data, gain * factor)


def _samples(
    path: Path, pages: NDArray[np.uint8], order: str, record: bytes, dtype: np.dtype[Any], start: int, n: int
) -> Any:
    block, skip = (0, 0)
    if len(record) >= _INTERLEAVED_BYTES:
        block, skip = struct.unpack_from(f"{order}ii", record, 292)
    if block <= 0 or skip <= 0:
        block = skip = n * dtype.itemsize
    per_block = block // dtype.itemsize
    if per_block < 1 or block % dtype.itemsize or skip < block:
        raise RecordingError(f"{path.name}: a trace in blocks of {block} bytes, every {skip}")
    whole, rest = divmod(n, per_block)
    ends = start + (whole - 1) * skip + block if not rest else start + whole * skip + rest * dtype.itemsize
    if ends > len(pages):
        raise RecordingError(f"{path.name} is cut off: a trace ends at byte {ends} of {len(pages)}")
    if per_block >= n:
        return pages[start:ends].view(dtype)
    return Blocks(pages, dtype.str, start, n, per_block, skip)


@dataclass(frozen=True)
class Regained:
    """Samples multiplied by a factor when they are read."""

    data: Any
    factor: float

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_samples,)."""
        shape: tuple[int, ...] = self.data.shape
        return shape

    def __getitem__(self, span: slice) -> NDArray[np.float32]:
        return np.asarray(self.data[span] * self.factor, np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "data": packed(self.data)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, data=unpacked(state["data"]))


@dataclass(frozen=True)
class Blocks:
    """A trace whose samples lie in blocks between those of other traces.

    Attributes
    ----------
    pages : the whole file.
    start : of the first block, bytes.
    n : samples.
    per_block, skip : samples in a block, and bytes from block to block.
    """

    pages: NDArray[np.uint8]
    dtype: str
    start: int
    n: int
    per_block: int
    skip: int

    @property
    def shape(self) -> tuple[int]:
        """(n_samples,)."""
        return (self.n,)

    def __getitem__(self, span: slice) -> NDArray[Any]:
        check_map(self.pages)
        first, last, _ = span.indices(self.n)
        pieces, size = [], np.dtype(self.dtype).itemsize
        while first < last:
            block, within = divmod(first, self.per_block)
            count = min(self.per_block - within, last - first)
            begin = self.start + block * self.skip + within * size
            pieces.append(self.pages[begin : begin + count * size].view(self.dtype))
            first += count
        return np.concatenate(pieces) if pieces else np.zeros(0, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pages": packed(self.pages)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, pages=unpacked(state["pages"]))
