"""Spikes and the calcium signals they cause."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CalciumKinetics:
    """How an indicator answers to one action potential.

    The defaults are of GCaMP6f in cortex: half rise near 45 ms, half decay near 140 ms, 19 % dF/F per
    action potential (Chen et al., Nature 499:295, 2013; decay constant = half decay / ln 2).
    """

    rise_s: float = 0.045
    decay_s: float = 0.2
    amplitude: float = 0.19
    saturation: float = 4.0  # dF/F at which the indicator is half saturated

    def kernel(self, frame_rate: float) -> NDArray[np.float64]:
        """Return the response to one spike sampled at `frame_rate` (Hz), peak = `amplitude`."""
        t = np.arange(0, 8 * self.decay_s, 1 / frame_rate)
        shape = (1 - np.exp(-t / self.rise_s)) * np.exp(-t / self.decay_s)
        fine = np.linspace(0, 8 * self.decay_s, 4000)
        peak = ((1 - np.exp(-fine / self.rise_s)) * np.exp(-fine / self.decay_s)).max()
        return np.asarray(self.amplitude * shape / peak)


def spike_trains(
    n_cells: int, duration: float, rate: float = 0.4, burst: float = 2.0, seed: int = 0
) -> list[NDArray[np.float64]]:
    """Draw spike times (s) of `n_cells` cells: bursts at Poisson times, 2 ms refractory.

    Parameters
    ----------
    n_cells : number of trains.
    duration : seconds.
    rate : mean bursts per second of a cell; cells differ by a factor drawn from a gamma distribution.
    burst : mean number of extra spikes in a burst (geometric).
    seed : the same seed gives the same trains.
    """
    rng = np.random.default_rng(seed)
    trains = []
    for _ in range(n_cells):
        n_bursts = rng.poisson(rate * rng.gamma(4.0, 0.25) * duration)
        starts = rng.uniform(0, duration, n_bursts)
        spikes = [starts]
        for start in starts:
            extra = rng.geometric(1 / (1 + burst)) - 1
            spikes.append(start + np.cumsum(rng.uniform(0.006, 0.03, extra)))
        times = np.sort(np.concatenate(spikes))
        times = times[(times > 0) & (times < duration)]
        keep = np.concatenate([[True], np.diff(times) > 0.002]) if len(times) else np.zeros(0, bool)
        trains.append(times[keep])
    return trains


def calcium_traces(
    spikes: list[NDArray[np.float64]],
    frame_times: NDArray[np.float64],
    kinetics: CalciumKinetics | None = None,
) -> NDArray[np.float64]:
    """Return noise-free dF/F, (n_cells, n_frames).

    Responses add linearly in bound calcium and saturate in fluorescence by a Hill curve of order one.

    Parameters
    ----------
    spikes : spike times of each cell, seconds.
    frame_times : (n_frames,) seconds, evenly spaced up to clock drift.
    kinetics : of the indicator.
    """
    kinetics = kinetics or CalciumKinetics()
    rate = (len(frame_times) - 1) / max(frame_times[-1] - frame_times[0], 1e-9)
    oversample = max(1, int(np.ceil(200 / rate)))
    fine_rate = rate * oversample
    start = frame_times[0] - 8 * kinetics.decay_s
    n = int(np.ceil((frame_times[-1] - start) * fine_rate)) + 2
    kernel = kinetics.kernel(fine_rate)
    fine_times = start + np.arange(n) / fine_rate
    traces = np.zeros((len(spikes), len(frame_times)))
    for row, times in zip(traces, spikes, strict=True):
        counts = np.histogram(times, np.append(fine_times, fine_times[-1] + 1 / fine_rate))[0]
        linear = np.convolve(counts, kernel)[:n]
        row[:] = np.interp(frame_times, fine_times, linear / (1 + linear / kinetics.saturation))
    return traces
