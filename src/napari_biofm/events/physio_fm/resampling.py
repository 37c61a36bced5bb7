"""The ladder of sampling rates, and how a recording of any length is cut into windows on it.

A trace is brought by a power of two to the rate at which an event of its kind spans 20 to 200 samples.
Windows lie on a grid fixed by the trace alone, so that what is found does not depend on how much is read at
a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.gaps import filled
from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.input_encoding import LONGEST_STRIDE

TILE = 4096  # resampled samples per window
MARGIN = 384  # of them at each inner end, seen but not used
BATCH = 8  # windows per pass; fixed, so that a result never depends on the chunk
DENSEST = 16  # interpolated samples per native one at most
TAPS = 8  # filter taps on each side per unit of decimation


@dataclass(frozen=True)
class Resampling:
    """A rate a trace is resampled to: `thin` native samples per sample, or `dense` samples per native sample (one of them is 1)."""

    sampling_rate: float
    thin: int = 1
    dense: int = 1


def choose_resampling(sampling_rate: float, kind: str, coarser: int = 0) -> Resampling:
    """Return the rate to resample to for events of a kind; `coarser` halves the rate that many times more."""
    spec = KINDS[kind]
    target = spec.target_rate / 2**coarser
    steps = round(np.log2(sampling_rate / target))
    if steps >= 1:
        return Resampling(sampling_rate / 2**steps, thin=2**steps)
    if sampling_rate < spec.lowest_rate:
        dense = min(DENSEST, 2 ** int(np.ceil(np.log2(spec.lowest_rate / sampling_rate) - 1e-9)))
        return Resampling(sampling_rate * dense, dense=dense)
    return Resampling(sampling_rate)


class ResampledTrace:
    """A trace of any length, read in pieces and resampled.

    Parameters
    ----------
    values : (n,) anything that slices to an array; NaN marks gaps.
    factor : multiplies the values (unit conversion).
    """

    def __init__(self, values: Any, resampling: Resampling, factor: float = 1.0) -> None:
        self.values, self.resampling, self.factor = values, resampling, factor
        self.native = len(values)
        self.length = (
            self.native * resampling.dense if resampling.dense > 1 else -(-self.native // resampling.thin)
        )
        self._filter = None
        if resampling.thin > 1:
            half = TAPS * resampling.thin
            from scipy.signal import firwin

            self._filter = firwin(2 * half + 1, 0.85 / resampling.thin).astype(np.float32)

    def raw(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return native samples [start, stop), mirrored at the ends, gaps still NaN."""
        a, b = max(0, start), min(self.native, stop)
        x = np.asarray(self.values[a:b], dtype=np.float32)
        if self.factor != 1.0:
            x = x * np.float32(self.factor)
        x = np.where(np.isinf(x), np.float32(np.nan), x)
        if a > start or b < stop:
            x = np.pad(x, (a - start, stop - b), mode="reflect" if len(x) > 1 else "edge")
        return x

    def read(self, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return resampled samples [start, stop), gaps filled, and where the gaps are."""
        thin, dense = self.resampling.thin, self.resampling.dense
        if dense > 1:
            a, b = start // dense, -(-stop // dense) + 1
            x, gap = _bridge(self.raw(a, b))
            at = np.arange(start, stop) / dense - a
            return np.interp(at, np.arange(len(x)), x).astype(np.float32), gap[np.round(at).astype(int)]
        if self._filter is None:
            return _bridge(self.raw(start, stop))
        half = len(self._filter) // 2
        x, gap = _bridge(self.raw(start * thin - half, (stop - 1) * thin + half + 1))
        middle = x[len(x) // 2]  # keeps single precision where the offset is large
        from scipy.signal import upfirdn

        y = upfirdn(self._filter, x - middle, up=1, down=thin)
        first = 2 * half // thin
        return (y[first : first + stop - start] + middle).astype(np.float32), gap[
            half : len(gap) - half : thin
        ]


def _bridge(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace NaN by the noise beside them, see `gaps.filled`; return also where they were."""
    gap = np.isnan(x)
    return filled(x, gap), gap


@dataclass(frozen=True)
class Window:
    """Where a window lies in the resampled trace, [start, stop), and the part of it that is used, [first, last)."""

    start: int
    stop: int
    first: int
    last: int


def windows(length: int, tile: int = TILE) -> Iterator[Window]:
    """Yield the windows of a trace of `length` samples; every sample is used exactly once.

    A trace shorter than one window gets one window, a multiple of 128 samples long (mirrored).
    """
    if length <= tile:
        whole = max(2, -(-length // LONGEST_STRIDE)) * LONGEST_STRIDE
        yield Window(0, whole, 0, length)
        return
    step = tile - 2 * MARGIN
    first = 0
    start = 0
    while True:
        start = min(start, length - tile)
        last = length if start + tile >= length else start + tile - MARGIN
        yield Window(start, start + tile, first, last)
        if last >= length:
            return
        first = last
        start += step
