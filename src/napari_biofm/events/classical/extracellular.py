"""Extracellular spikes: band-pass and threshold after Quiroga et al., Neural Comput 16:1661 (2004)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from napari_biofm.events.classical.common import (
    BLOCK,
    Samples,
    clean,
    criterion_at,
    lowest_score,
    noise_sd,
    scores,
    table,
)
from napari_biofm.events.classical.kinetics import measure
from napari_biofm.events.options import option_values
from napari_biofm.types import DetectionSettings, Events, Kind, Option, Progress, Task, Trace, no_events


class SpikeDetector:
    """Troughs of the 300 to 6,000 Hz band beyond 4 sigma, sigma = median(abs(band)) / 0.6745.

    The zero-phase band-pass (Butterworth, order 2 each way) leaves the trough where it is.
    """

    name = "extracellular"
    kinds: Sequence[Kind] = ("spike", "loose")
    options: Sequence[Option] = (
        Option("low_hz", "Hz", 0, 1e6, 300.0, "Lower edge of the band."),
        Option("high_hz", "Hz", 0, 1e6, 6000.0, "Upper edge of the band."),
        Option("sigma", "", 0.1, 1000, 4.0, "Height of a spike in standard deviations of the noise."),
        Option("refractory_s", "s", 0, 1, 1e-3, "Shortest time between two spikes."),
        Option(
            "sign", "", -1, 1, -1.0,
            "Side of the spike, -1 trough or +1 peak; 0 takes the one that reaches further (inverted amplifiers).",
        ),
    )  # fmt: skip

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return spikes; `time_s` is the trough, `amplitude` that of the filtered trace."""
        chosen = option_values(self, settings)
        cleaned, words = clean(signal, 32)
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        fs = signal.sampling_rate
        band = yield from band_passed(cleaned.values, fs, chosen["low_hz"], chosen["high_hz"])
        noise = noise_sd(band)
        noise = noise if noise > 0 else 1e-6 * float(np.ptp(band))
        sign = float(np.sign(chosen["sign"])) or further_side(band, noise)
        customary = chosen["sigma"]
        floor = criterion_at(lowest_score(settings), customary)
        refractory = max(1, round(chosen["refractory_s"] * fs))
        peak, found = scipy.signal.find_peaks(sign * band, height=floor * noise, distance=refractory)
        height = found["peak_heights"]
        keep = cleaned.usable(peak, max(2, round(2e-3 * fs)))
        peak, height = peak[keep], height[keep]
        onset = np.maximum(peak - max(1, round(0.3e-3 * fs)), 0)
        shape = measure(
            band, onset, peak, sign, fs, before=max(2, round(0.3e-3 * fs)), after=max(6, round(1e-3 * fs))
        )
        amplitude = sign * np.asarray(height, np.float64)
        score = scores(height / noise, customary)
        return table(signal, peak / fs, "spike", score, amplitude, shape.rise_s, shape.decay_s)


def band_passed(values: Samples, sampling_rate: float, low: float, high: float) -> Task[Samples]:
    """Return the trace between two frequencies without phase shift, block by block.

    Blocks overlap by 20 periods of the lower edge, after which a Butterworth of order 2 has forgotten its
    start; what remains of the seam is below float32. Above 0.45 of the sampling rate there is no upper
    edge; where even the lower edge lies there, it is moved down to a tenth of the sampling rate.
    """
    nyquist = 0.45 * sampling_rate
    low = min(max(low, 1e-3), 0.1 * sampling_rate)
    if high < nyquist:
        sos = scipy.signal.butter(2, (low, max(high, 1.5 * low)), "bandpass", fs=sampling_rate, output="sos")
    else:
        sos = scipy.signal.butter(2, low, "highpass", fs=sampling_rate, output="sos")
    overlap = int(20 * sampling_rate / low)
    out = np.empty(len(values), np.float32)
    centre = np.float64(np.median(values[:: max(1, len(values) // 100_000)]))
    for start in range(0, len(values), BLOCK):
        stop = min(start + BLOCK, len(values))
        first, last = max(0, start - overlap), min(len(values), stop + overlap)
        piece = values[first:last] - centre
        filtered = scipy.signal.sosfiltfilt(sos, piece, padlen=min(len(piece) - 1, 3 * 4 * 5))
        out[start:stop] = filtered[start - first : stop - first]
        yield Progress(stop, len(values), f"{low:g} to {min(high, nyquist):g} Hz")
    return out


def further_side(band: Samples, noise: float, surely: float = 1.0) -> float:
    """Return +1 or -1, the side with more excess over 4 sigma; +1 only where it has `surely` times as much."""
    z = band / noise
    up, down = np.clip(z - 4, 0, 20).sum(), np.clip(-z - 4, 0, 20).sum()
    return 1.0 if up > surely * down + (surely > 1) * 20 else -1.0
