"""Filters with finite kernels, block by block: the result does not depend on the size of the blocks."""

from __future__ import annotations

import numpy as np
import scipy

from napari_biofm.events.classical.common import BLOCK, Floats, Indices, Samples
from napari_biofm.types import Progress, Task


def convolve(values: Samples, kernel: Floats, centre: int, message: str = "filter") -> Task[Samples]:
    """Convolve a long trace with a short kernel by FFT, O(n log m); yields Progress between blocks.

    Parameters
    ----------
    values : (n_samples,).
    kernel : (m,).
    centre : index of the kernel that falls on the sample itself, 0 <= centre < m.
    message : shown with the progress.

    Returns
    -------
    (n_samples,) float32; the trace is continued by its end values.
    """
    n, m = len(values), len(kernel)
    out = np.empty(n, np.float32)
    wave = np.asarray(kernel, np.float32)
    block = max(BLOCK, 4 * m)
    for start in range(0, n, block):
        stop = min(start + block, n)
        piece = extended(values, start - (m - 1 - centre), stop + centre)
        out[start:stop] = scipy.signal.oaconvolve(piece, wave, mode="valid")
        yield Progress(stop, n, message)
    return out


def find_peaks(
    values: Samples, least: float, distance: int, reach: int, message: str = "peaks"
) -> Task[tuple[Indices, Floats, Floats]]:
    """Find peaks of at least `least` height and prominence, block by block (SciPy's works in float64).

    Blocks overlap by 25 distances and 4 reaches; peaks are taken from the inside of each.

    Parameters
    ----------
    values : (n_samples,).
    least : smallest height and prominence.
    distance : smallest distance of two peaks, samples; the higher one stays.
    reach : samples in which the feet of a peak are looked for.

    Returns
    -------
    Indices, heights and prominences, (n_peaks,) each.
    """
    overlap = 25 * distance + 4 * reach
    block = max(BLOCK, 4 * overlap)
    index, height, prominence = ([np.zeros(0, kind)] for kind in (np.intp, np.float64, np.float64))
    for start in range(0, max(len(values), 1), block):
        first, stop = max(0, start - overlap), min(start + block, len(values))
        piece = values[first : min(stop + overlap, len(values))]
        peaks, found = scipy.signal.find_peaks(
            piece, height=least, prominence=least, distance=max(1, distance), wlen=max(3, reach | 1)
        )
        inside = (peaks + first >= start) & (peaks + first < stop)
        index.append(peaks[inside] + first)
        height.append(found["peak_heights"][inside])
        prominence.append(found["prominences"][inside])
        yield Progress(stop, len(values), message)
    return np.concatenate(index), np.concatenate(height), np.concatenate(prominence)


def extended(values: Samples, start: int, stop: int) -> Samples:
    """Return samples [start, stop) with the end values repeated outside the trace."""
    left, right = max(0, -start), max(0, stop - len(values))
    piece = values[max(start, 0) : min(stop, len(values))]
    return np.pad(piece, (left, right), mode="edge") if left or right else piece


def boxcar(values: Samples, size: int) -> Samples:
    """Return the running mean over `size` samples (odd), in blocks: SciPy's takes a line as float64."""
    if size <= 1:
        return values
    out = np.empty(len(values), np.float32)
    for start in range(0, len(values), BLOCK):
        stop = min(start + BLOCK, len(values))
        piece = extended(values, start - size, stop + size)
        out[start:stop] = scipy.ndimage.uniform_filter1d(piece, size, mode="nearest")[
            size : size + stop - start
        ]
    return out


def gaussian_derivatives(sigma: float) -> tuple[Floats, Floats, Floats]:
    """Return a Gaussian of area 1 and its first two derivatives, (2 r + 1,) each with r = 5 sigma.

    Parameters
    ----------
    sigma : samples.
    """
    reach = max(2, int(np.ceil(5 * sigma)))
    t = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-0.5 * (t / sigma) ** 2)
    bell /= bell.sum()
    first = -t / sigma**2 * bell
    second = (t**2 / sigma**4 - 1 / sigma**2) * bell
    return bell, first, second - second.mean()
