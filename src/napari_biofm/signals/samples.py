"""Where the numbers of a recording lie: in memory, on a memory map, behind a reader."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.files import check_map

Raw = NDArray[Any]  # (n,) as stored: int16, int32, float32 ...


class Samples(Protocol):
    """What a reader gives to a `Recording`: sizes without reading, values piece by piece."""

    def n_samples(self, sweep: int, channel: int) -> int: ...

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        """Return samples [start, stop) as stored, a view where that is possible."""
        ...

    def scale(self, channel: int) -> tuple[float, float] | None:
        """Return gain and offset that take `raw` to the channel's unit, None if it is there already."""
        ...


@dataclass(frozen=True)
class ArraySamples:
    """Arrays or array-likes that accept slices: numpy, memory maps, h5py datasets, zarr.

    Attributes
    ----------
    arrays : per sweep, per channel one (n_samples,) array-like.
    scales : per channel (gain, offset) or None; empty means "already in the channel's unit".
    """

    arrays: Sequence[Sequence[Any]]
    scales: Sequence[tuple[float, float] | None] = ()

    def n_samples(self, sweep: int, channel: int) -> int:
        return int(self.arrays[sweep][channel].shape[0])

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        array = self.arrays[sweep][channel]
        check_map(array)
        return np.asarray(array[start:stop])

    def scale(self, channel: int) -> tuple[float, float] | None:
        return self.scales[channel] if self.scales else None

    def release(self) -> None:
        """Give the pages of memory maps back to the system; they are read again when needed."""
        for mapped in {id(m): m for sweep in self.arrays for m in map(_map_of, sweep) if m}.values():
            mapped.madvise(mmap.MADV_DONTNEED)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "arrays": [[packed(one) for one in sweep] for sweep in self.arrays]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, arrays=[[unpacked(one) for one in sweep] for sweep in state["arrays"]])


@dataclass(frozen=True)
class InterleavedSamples:
    """Samples of all channels side by side, as a digitiser writes them.

    Attributes
    ----------
    data : (n_frames, n_channels) array-like, usually a memory map.
    bounds : (n_sweeps, 2) first and one-past-last frame of each sweep.
    scales : per channel (gain, offset), or None where `data` is in the channel's unit.
    """

    data: Any
    bounds: NDArray[np.int64]
    scales: Sequence[tuple[float, float] | None]

    def n_samples(self, sweep: int, channel: int) -> int:
        first, last = self.bounds[sweep]
        return int(last - first)

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        first = int(self.bounds[sweep, 0])
        check_map(self.data)
        return np.asarray(self.data[first + start : first + stop, channel])

    def scale(self, channel: int) -> tuple[float, float] | None:
        return self.scales[channel]

    def block(self, sweep: int) -> NDArray[Any]:
        """Return the (n_frames, n_channels) samples of a sweep as stored."""
        first, last = self.bounds[sweep]
        check_map(self.data)
        # a memory map makes a new map object of every slice; a plain view does not
        data = self.data.view(np.ndarray) if isinstance(self.data, np.memmap) else self.data
        block: NDArray[Any] = data[int(first) : int(last)]
        return block

    def release(self) -> None:
        """Give the pages of a memory map back to the system; they are read again when needed."""
        release_pages(self.data)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "data": packed(self.data)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, data=unpacked(state["data"]))


@dataclass(frozen=True)
class RescaledSamples:
    """The samples of another source, one channel multiplied by a factor."""

    source: Samples
    channel: int
    factor: float

    def n_samples(self, sweep: int, channel: int) -> int:
        return self.source.n_samples(sweep, channel)

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        return self.source.raw(sweep, channel, start, stop)

    def scale(self, channel: int) -> tuple[float, float] | None:
        scale = self.source.scale(channel)
        if channel != self.channel:
            return scale
        gain, offset = scale or (1.0, 0.0)
        return gain * self.factor, offset * self.factor


@dataclass(frozen=True)
class PickedSamples:
    """Some channels of another source, in another order if need be.

    Attributes
    ----------
    source : of all channels.
    channels : those that are meant, by their number in the source.
    """

    source: Samples
    channels: tuple[int, ...]

    def n_samples(self, sweep: int, channel: int) -> int:
        return self.source.n_samples(sweep, self.channels[channel])

    def raw(self, sweep: int, channel: int, start: int, stop: int) -> Raw:
        return self.source.raw(sweep, self.channels[channel], start, stop)

    def scale(self, channel: int) -> tuple[float, float] | None:
        return self.source.scale(self.channels[channel])


@dataclass(frozen=True)
class Mapped:
    """Where a memory-mapped array lies, so that another process maps it instead of receiving it."""

    file: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def open(self) -> NDArray[Any]:
        pages = np.memmap(self.file, np.uint8, "r")
        return np.ndarray(self.shape, self.dtype, pages, self.offset, self.strides)  # type: ignore[arg-type]


A = TypeVar("A")


def packed(array: A) -> A | Mapped:
    """Return where `array` lies if it is memory-mapped, else the array itself."""
    if not isinstance(array, np.memmap) or array.filename is None:
        return array
    root: np.memmap[Any, Any] = array
    while isinstance(root.base, np.memmap):
        root = root.base
    address, start = (a.__array_interface__["data"][0] for a in (array, root))
    return Mapped(
        str(array.filename), array.dtype.str, root.offset + address - start, array.shape, array.strides
    )


def unpacked(array: A | Mapped) -> A | NDArray[Any]:
    """Return the array that `packed` was given, mapped again where it was mapped."""
    return array.open() if isinstance(array, Mapped) else array


def release_pages(array: object) -> None:
    """Drop the resident pages of a memory-mapped array, where the system can."""
    mapped = _map_of(array)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> mmap.mmap | None:
    """Return the map behind an array, None where there is none or the system cannot drop its pages."""
    while getattr(array, "_mmap", None) is None and isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base  # a plain view of a map
    mapped: mmap.mmap | None = getattr(array, "_mmap", None)
    return mapped if hasattr(mmap, "MADV_DONTNEED") else None


def scaled(raw: Raw, scale: tuple[float, float] | None) -> NDArray[np.float32]:
    """Return `raw` times gain plus offset, computed in float32 as the makers of ABF do."""
    values: NDArray[np.float32] = np.array(raw, dtype=np.float32)
    if scale is not None:
        np.multiply(values, np.float32(scale[0]), out=values)
        np.add(values, np.float32(scale[1]), out=values)
    return values


def as_float32(values: ArrayLike) -> NDArray[np.float32]:
    """Return (n,) float32, contiguous; what is beyond float32 becomes infinite without a warning.

    Parameters
    ----------
    values : numbers of any kind, as damaged files hold them, too.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, np.float32)
