"""Propose the offset of a movie from what a cell did: its calcium trace against its spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.types import Progress, Task, TimelineError

# Responses tried: rise and decay constants of common indicators, seconds.
RISES = (0.02, 0.05, 0.1)
DECAYS = (0.15, 0.2, 0.3, 0.5, 0.8, 1.3, 2.0)
FINE = 8  # offsets tried per frame
SURROGATES = 200
LEAST_SPIKES = 5


@dataclass(frozen=True)
class OffsetProposal:
    """Where a movie fits best on the clock of a recording.

    Attributes
    ----------
    offset : second of the recording at which frame 0 began.
    correlation : of the trace with the response expected of the spikes, there.
    second : best correlation at offsets more than two decay constants away.
    p_value : fraction of spike trains with shuffled intervals that fit some offset as well.
    decay_s : decay constant of the response that fitted best.
    n_spikes : spikes during the movie at this offset.
    """

    offset: float
    correlation: float
    second: float
    p_value: float
    decay_s: float
    n_spikes: int

    @property
    def is_sure(self) -> bool:
        """Whether the fit is better than chance and stands alone."""
        return self.p_value < 0.02 and self.correlation > 1.25 * self.second

    def in_words(self) -> str:
        """Return the proposal as a sentence with its confidence."""
        how = "confident" if self.is_sure else "not to be trusted without another sign"
        return (
            f"Frame 0 at {self.offset:.3f} s: correlation {self.correlation:.2f} over {self.n_spikes} "
            f"spikes, "
            f"next best {self.second:.2f}, p = {self.p_value:.3g} against shuffled intervals - {how}."
        )


def propose_offset(
    trace: NDArray[np.floating],
    frame_rate: float,
    spikes: NDArray[np.float64],
    search: tuple[float, float] | None = None,
    seed: int = 0,
) -> Task[OffsetProposal]:
    """Find the offset at which a calcium trace looks like the response to a spike train.

    Spikes are convolved with responses of several rise and decay times; each is correlated with the trace
    at `FINE` offsets per frame, at the middle of frames. Chance is what spike trains with the same
    intervals in another order reach at their best offset.

    Parameters
    ----------
    trace : (n_frames,) dF/F of the cell; NaN is taken as the median.
    frame_rate : Hz.
    spikes : (n,) seconds on the clock of the recording.
    search : lowest and highest offset tried, seconds; all that let half the movie or half the spikes
        overlap when not given.
    seed : of the shuffling.

    Raises
    ------
    TimelineError
        If there are fewer than five spikes, the trace is flat, or the search is empty.
    """
    spikes = np.sort(np.asarray(spikes, float))
    if len(spikes) < LEAST_SPIKES:
        raise TimelineError(f"{len(spikes)} spikes are too few to find an offset; {LEAST_SPIKES} are needed.")
    values = np.asarray(trace, float)
    values = np.where(np.isfinite(values), values, np.nanmedian(values) if np.isfinite(values).any() else 0.0)
    if len(values) < 20 or not values.std() > 0:
        raise TimelineError("The calcium trace is too short or flat to be matched with spikes.")
    duration = len(values) / frame_rate
    low, high = search or (spikes[0] - duration / 2, spikes[-1] - duration / 2)
    if not high > low:
        raise TimelineError(f"No offset to try between {low:.3f} and {high:.3f} s.")
    matcher = _Matcher(values, frame_rate, low, high)
    best: tuple[float, float, float, NDArray[np.float64]] = (-2.0, 0.0, 0.0, np.zeros(0))
    for i, decay in enumerate(DECAYS):
        for rise in RISES:
            scores = matcher.scores(spikes, rise, decay)
            top = float(scores.max())
            if top > best[0]:
                best = (top, rise, decay, scores)
        yield Progress(i, len(DECAYS) + SURROGATES, f"responses with a decay of {decay:g} s")
    top, rise, decay, scores = best
    at = int(np.argmax(scores))
    offset = matcher.offsets[at] + _peak_shift(scores, at) * matcher.step
    away = np.abs(matcher.offsets - offset) > 2 * decay + 2 / frame_rate
    second = float(scores[away].max()) if away.any() else 0.0
    rng, reached = np.random.default_rng(seed), 0
    intervals = np.diff(spikes)
    for k in range(SURROGATES):
        shuffled = spikes[0] + np.concatenate([[0.0], np.cumsum(rng.permutation(intervals))])
        reached += bool(matcher.scores(shuffled, rise, decay).max() >= top)
        if k % 20 == 0:
            yield Progress(len(DECAYS) + k, len(DECAYS) + SURROGATES, "chance level")
    n_inside = int(((spikes >= offset) & (spikes <= offset + duration)).sum())
    return OffsetProposal(
        float(offset), top, max(second, 0.0), (reached + 1) / (SURROGATES + 1), decay, n_inside
    )


class _Matcher:
    """Correlation of a trace with expected responses at many offsets, by FFT."""

    def __init__(self, values: NDArray[np.float64], frame_rate: float, low: float, high: float) -> None:
        self.step = 1 / (frame_rate * FINE)
        self.n_offsets = max(int(np.ceil((high - low) / self.step)), 1)
        self.offsets = low + self.step * np.arange(self.n_offsets)
        self.start = low + 0.5 / frame_rate  # middle of frame 0 at the lowest offset
        n = len(values)
        self.n_fine = self.n_offsets + (n - 1) * FINE
        self.size = scipy.fft.next_fast_len(self.n_fine + n * FINE, real=True)
        self.trace = (values - values.mean()) / values.std()
        self.n = n
        self._trace_f = self._spread(self.trace)
        self._ones_f = self._spread(np.ones(n))

    def _spread(self, values: NDArray[np.float64]) -> NDArray[np.complex128]:
        wide = np.zeros(self.size)
        wide[: (self.n - 1) * FINE + 1 : FINE] = values
        return np.asarray(np.conj(scipy.fft.rfft(wide)))

    def scores(self, spikes: NDArray[np.float64], rise: float, decay: float) -> NDArray[np.float64]:
        """Return Pearson correlation at each offset; 0 where the expected response does not vary."""
        expected = self._expected(spikes, rise, decay)
        wide, square = np.zeros(self.size), np.zeros(self.size)
        wide[: self.n_fine], square[: self.n_fine] = expected, expected**2
        wide_f = scipy.fft.rfft(wide)
        cross = scipy.fft.irfft(wide_f * self._trace_f, self.size)[: self.n_offsets]
        total = scipy.fft.irfft(wide_f * self._ones_f, self.size)[: self.n_offsets]
        squares = scipy.fft.irfft(scipy.fft.rfft(square) * self._ones_f, self.size)[: self.n_offsets]
        variance = squares / self.n - (total / self.n) ** 2
        floor = 1e-3 * max(float(variance.max()), 1e-12)
        return np.where(variance > floor, cross / self.n / np.sqrt(np.maximum(variance, floor)), 0.0)

    def _expected(self, spikes: NDArray[np.float64], rise: float, decay: float) -> NDArray[np.float64]:
        """Return the response to the spikes on the fine grid, by two recursive filters."""
        from scipy.signal import lfilter

        lead = int(np.ceil(6 * decay / self.step))
        place = (spikes - self.start) / self.step + lead
        counts = np.zeros(self.n_fine + lead)
        left = np.floor(place).astype(int)
        inside = (left >= 0) & (left < len(counts) - 1)
        part = place[inside] - left[inside]
        np.add.at(counts, left[inside], 1 - part)
        np.add.at(counts, left[inside] + 1, part)
        slow, quick = np.exp(-self.step / decay), np.exp(-self.step * (1 / decay + 1 / rise))
        response = lfilter([1.0], [1.0, -slow], counts) - lfilter([1.0], [1.0, -quick], counts)
        return np.asarray(response[lead:])


def _peak_shift(scores: NDArray[np.float64], at: int) -> float:
    """Return how far, in steps, the top of a parabola through the peak lies from it."""
    if not 0 < at < len(scores) - 1:
        return 0.0
    before, here, after = scores[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0
