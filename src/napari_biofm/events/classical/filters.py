"""Filters with finite kernels, block by block: the result does not depend on the size of the blocks."""

from __future__ import annotations

import numpy as np
from scipy import signal as sps

from napari_biofm.events.classical.common import BLOCK, Floats, Trace
from napari_biofm.types import Progress, Task


def convolve(values: Trace, kernel: Floats, centre: int, message: str = "filter") -> Task[Trace]:
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
        out[start:stop] = sps.oaconvolve(piece, wave, mode="valid")
        yield Progress(stop, n, message)
    return out


def extended(values: Trace, start: int, stop: int) -> Trace:
    """Return samples [start, stop) with the end values repeated outside the trace."""
    left, right = max(0, -start), max(0, stop - len(values))
    piece = values[max(start, 0) : min(stop, len(values))]
    return np.pad(piece, (left, right), mode="edge") if left or right else piece


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
