"""Extracellular spikes: band-pass and threshold after Quiroga et al., Neural Comput 16:1661 (2004)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import signal as sps

from napari_biofm.events.classical.common import (
    BLOCK,
    Samples,
    clean,
    criterion_at,
    lowest_score,
    noise_sd,
    option,
    scores,
    table,
)
from napari_biofm.events.classical.kinetics import measure
from napari_biofm.types import DetectionSettings, Events, Kind, Progress, Task, Trace, no_events


class SpikeDetector:
    """Troughs of the 300 to 6,000 Hz band beyond 4 sigma, sigma = median(abs(band)) / 0.6745.

    The zero-phase band-pass (Butterworth, order 2 each way) leaves the trough where it is.
    Options: `low_hz`, `high_hz`, `sigma` (4), `refractory_s` (1 ms), `sign` (-1 trough, +1 peak; 0 takes the
    side that reaches further, which is what inverted amplifiers need).
    """

    name = "extracellular"
    kinds: Sequence[Kind] = ("spike",)

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return spikes; `time_s` is the trough, `amplitude` that of the filtered trace."""
        cleaned, words = clean(signal, 32)
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        fs = signal.sampling_rate
        band = yield from band_passed(
            cleaned.values, fs, option(settings, "low_hz", 300.0), option(settings, "high_hz", 6000.0)
        )
        noise = noise_sd(band)
        noise = noise if noise > 0 else 1e-6 * float(np.ptp(band))
        sign = float(np.sign(option(settings, "sign", -1.0))) or further_side(band, noise)
        customary = option(settings, "sigma", 4.0)
        floor = criterion_at(lowest_score(settings), customary)
        refractory = max(1, round(option(settings, "refractory_s", 1e-3) * fs))
        peak, about = sps.find_peaks(sign * band, height=floor * noise, distance=refractory)
        height = about["peak_heights"]
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
        sos = sps.butter(2, (low, max(high, 1.5 * low)), "bandpass", fs=sampling_rate, output="sos")
    else:
        sos = sps.butter(2, low, "highpass", fs=sampling_rate, output="sos")
    overlap = int(20 * sampling_rate / low)
    out = np.empty(len(values), np.float32)
    centre = np.float64(np.median(values[:: max(1, len(values) // 100_000)]))
    for start in range(0, len(values), BLOCK):
        stop = min(start + BLOCK, len(values))
        first, last = max(0, start - overlap), min(len(values), stop + overlap)
        piece = values[first:last] - centre
        filtered = sps.sosfiltfilt(sos, piece, padlen=min(len(piece) - 1, 3 * 4 * 5))
        out[start:stop] = filtered[start - first : stop - first]
        yield Progress(stop, len(values), f"{low:g} to {min(high, nyquist):g} Hz")
    return out


def further_side(band: Samples, noise: float) -> float:
    """Return +1 or -1, the side with more excess over 4 sigma."""
    z = band / noise
    up, down = np.clip(z - 4, 0, 20).sum(), np.clip(-z - 4, 0, 20).sum()
    return 1.0 if up > down else -1.0
