"""Scanners that go to and fro: odd lines lie beside even ones, all by the same number of pixels.

Source: bidirectional phase offset as in suite2p (Pachitariu et al., bioRxiv 061507, 2017), by phase correlation of lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import LazyArray

_LOOKED_AT = 100  # frames
_ABOVE = 7.0  # times the usual correlation at any other shift: noise has no phase
_CLEAR = 1.15  # how much better the best shift has to be than none


def line_phase(movie: LazyArray, most: int = 10) -> int:
    """Return by how many pixels odd lines (1, 3, ...) lie right of where the even ones beside them say; 0 where unclear.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    most : largest shift that is looked for, pixels.
    """
    n, height, width = (int(size) for size in movie.shape)
    if height < 8 or width < 4 * most:
        return 0
    whole = np.zeros(width)
    window = np.hanning(width)
    for at in np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(int)):
        frame = np.nan_to_num(np.asarray(movie[int(at) : int(at) + 1])[0].astype(np.float64))
        rows = height // 2 * 2
        even, odd = frame[0:rows:2], frame[1:rows:2]
        between = np.vstack([(even[:-1] + even[1:]) / 2, even[-1:]])  # what lies where the odd lines are
        spectra = [
            np.fft.rfft((one - one.mean(axis=1, keepdims=True)) * window, axis=1) for one in (odd, between)
        ]
        cross = spectra[0] * np.conj(spectra[1])
        found = np.fft.irfft((cross / np.maximum(np.abs(cross), 1e-9)).mean(axis=0), width)
        whole += found
    total = np.concatenate([whole[-most:], whole[: most + 1]])
    best = int(np.argmax(total))
    chance = 1.4826 * float(np.median(np.abs(whole - np.median(whole))))
    clear = total[best] > _CLEAR * max(total[most], 0) and total[best] > _ABOVE * chance
    return best - most if clear else 0


class InPhase:
    """A movie (T, Y, X) whose odd lines are moved back when it is sliced; the ends of moved lines repeat their last pixel.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    shift : pixels by which odd lines lie right of where they belong.
    """

    def __init__(self, movie: LazyArray, shift: int) -> None:
        self.shape, self.dtype, self.ndim = tuple(int(n) for n in movie.shape), np.dtype(movie.dtype), 3
        self._movie, self.shift = movie, int(shift)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return frames with lines in phase, and of them what is asked for."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        single = not isinstance(first, slice)
        frames = np.array(self._movie[slice(first, first + 1) if single and first >= 0 else first])
        if single and first < 0:
            frames = frames[None]
        columns = np.clip(np.arange(self.shape[2]) + self.shift, 0, self.shape[2] - 1)
        frames[:, 1::2] = frames[:, 1::2][..., columns]
        return np.asarray(frames[(0 if single else slice(None), *rest)])
