"""Where to begin a fit: the best of a grid of shapes, from a fraction of a millisecond to seconds, for every event.

Bins grow with the distance from the place that a detector named, so one set of them holds every length. Each shape
of the grid is laid at several onsets; what it explains against what it leaves, by the square root of the samples
it stands on, decides. A trace wanders more over seconds than its samples scatter, and filtered samples scatter less
from one to the next than over a millisecond: each shape is held against the noise of its own length.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_biofm.events.measuring.bins import Bins, Floats, Sums, bins_between
from napari_biofm.events.measuring.shapes import Shapes, unit_shape

_RATIOS = (0.04, 0.2, 0.8)  # rise over decay
_SHIFTS = np.linspace(-1.9, 0.5, 9)  # of onsets, in times to peak
_AT_ONCE = 512
_LOOKS = 20_000  # places at which the noise of a length is read
_QUIET = 0.3, 0.385  # share of the places that are surely free of events, and the normal quantile of it


class Grid:
    """Shapes and onsets that are tried, for one sampling rate.

    Parameters
    ----------
    sampling_rate : Hz.
    longest : samples that a window may reach on each side.
    """

    def __init__(self, sampling_rate: float, longest: int) -> None:
        edges = np.unique(np.rint(np.geomspace(1, max(longest, 8), 48)).astype(np.intp))
        self.edges = np.concatenate([-edges[::-1], [0], edges])
        centre = 0.5 * (self.edges[:-1] + self.edges[1:] - 1.0)
        decays = np.geomspace(max(1.5, 0.25e-3 * sampling_rate), max(4.0, 0.25 * longest), 14)
        jitter = max(1.0, 0.4e-3 * sampling_rate)
        rows, shapes, windows = [], [], []
        inner = (np.arange(5) - 2) / 5 * np.diff(self.edges)[:, None]  # five places in each bin
        for decay in decays:
            for ratio in _RATIOS:
                rise = ratio * decay
                to_peak = rise * np.log1p(decay / rise)
                for shift in _SHIFTS:
                    onset = shift * to_peak + (shift + 0.7) * jitter
                    rows.append((onset, rise, decay))
                    shapes.append(
                        unit_shape(centre[:, None] + inner - onset, np.array(rise), np.array(decay)).mean(1)
                    )
                    near = (centre > onset - 1.5 * to_peak - decay - 4) & (
                        centre < onset + 2 * to_peak + 4 * decay + 4
                    )
                    windows.append(near.astype(np.float64))
        self.rows = np.array(rows)
        self.lengths, self.length_of = np.unique(self.rows[:, 2], return_inverse=True)
        self.window = np.array(windows).T
        self.shape = np.array(shapes).T * self.window
        self.square = np.array(shapes).T * self.shape

    def best(self, sums: Sums, at: Floats, sign: Floats, first: Floats, last: Floats, noise: float) -> Shapes:
        """Return the best shape of each event.

        Parameters
        ----------
        at : (n_events,) samples, where the detector marked the events.
        sign : (n_events,) +1 or -1; 0 where both are looked at.
        first, last : (n_events,) limits of each window, samples.
        noise : least standard deviation of one sample.
        """
        floor = np.maximum(noise_by_length(sums, self.lengths), noise)[self.length_of]
        parts = [
            self._best(sums, at[p], sign[p], first[p], last[p], floor)
            for p in (slice(k, k + _AT_ONCE) for k in range(0, len(at), _AT_ONCE))
        ]
        onset, rise, decay, size, offset = (np.concatenate(column) for column in zip(*parts, strict=True))
        smooth = np.clip(0.1 * rise * np.log1p(decay / rise), 0.2, None)
        return Shapes(onset, rise, smooth, decay, 4 * decay, size, np.zeros_like(size), offset)

    def _best(
        self, sums: Sums, at: Floats, sign: Floats, first: Floats, last: Floats, noise: Floats
    ) -> tuple[Floats, ...]:
        place = np.rint(at)
        edges = place[:, None] + self.edges
        edges = np.clip(edges, np.ceil(first)[:, None], np.floor(last)[:, None]).astype(np.intp)
        bins: Bins = bins_between(sums, edges)
        w, wy = bins.count, bins.count * bins.y
        n = np.maximum(w @ self.window, 1e-9)
        sy, syy = wy @ self.window, (wy * bins.y) @ self.window
        sf, sff, sfy = w @ self.shape, w @ self.square, wy @ self.shape
        bend = sff - sf**2 / n
        cross = sfy - sf * sy / n
        total = np.maximum(syy - sy**2 / n, 0)
        usable = bend > 1e-3 * np.maximum(sff, 1e-9)
        scale = np.where(usable, cross / np.where(usable, bend, 1), 0.0)
        gain = np.minimum(scale * cross, total)
        left = np.maximum(total - gain, 0) / np.maximum(n - 4, 1) + noise**2 + 1e-30
        score = np.where(n > 5, gain / left / np.sqrt(n), 0.0)
        wrong = (np.sign(scale) != sign[:, None]) & (sign[:, None] != 0)
        best = np.argmax(np.where(wrong, 0.0, score), axis=1)
        rows = np.arange(len(at))
        k, found = scale[rows, best], score[rows, best] > 0
        offset = (sy[rows, best] - k * sf[rows, best]) / n[rows, best]
        onset, rise, decay = self.rows[best].T
        return place + onset, rise, decay, np.where(found, k, 0.0), offset


def noise_by_length(sums: Sums, lengths: Floats) -> Floats:
    """Return the noise of one sample as events of each length meet it.

    A sixth of the squared second difference of the means of three neighbouring stretches, times their length (the Hadamard
    variance; Baugh, Proc 25th Annual Symposium on Frequency Control, 222, 1971): for white noise the variance of one sample
    at any length; larger where a trace wanders or neighbouring samples go together. A straight line adds nothing.

    Parameters
    ----------
    lengths : (n,) samples.

    Returns
    -------
    (n,) in the unit of the trace; read where the trace is quiet. 0 where the trace is too short to tell.
    """
    out = np.zeros(len(lengths))
    for k, length in enumerate(np.maximum(np.rint(lengths).astype(np.intp), 1)):
        room = sums.n - 3 * length
        if room < length:
            continue
        start = np.unique(np.linspace(0, room, min(_LOOKS, room + 1)).astype(np.intp))
        means, counts = sums.means(start[:, None] + length * np.arange(4))
        whole = counts.min(1) == length
        if whole.sum() >= 8:
            bends = np.abs(np.diff(means[whole], n=2, axis=1)[:, 0])
            out[k] = np.quantile(bends, _QUIET[0]) / _QUIET[1] * np.sqrt(length / 6)
    return out


@lru_cache(maxsize=8)
def grid(sampling_rate: float, longest: int) -> Grid:
    """Return the grid of a sampling rate, made once; see `Grid`."""
    return Grid(sampling_rate, longest)
