"""Action potentials by relative prominence: robust to noise, drift, hum and short artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from napari_biofm.events.classical.ap import ApDetector, Found
from napari_biofm.events.classical.common import (
    BLOCK,
    Floats,
    Indices,
    Samples,
    criterion_at,
    lowest_score,
    noise_sd,
)
from napari_biofm.events.classical.filters import boxcar, extended
from napari_biofm.events.classical.kinetics import highest
from napari_biofm.events.options import option_values
from napari_biofm.types import DetectionSettings, Option, Progress, Task

_ARTEFACT_S = 0.25e-3  # anything this short is no action potential
_WIDEST_S = 8e-3  # at half prominence; synaptic potentials are wider
_REACH_S = 0.2  # how far the feet of a peak are looked for


@dataclass(frozen=True)
class _Peaks:
    """Peaks of the filtered trace with prominence (mV)."""

    index: Indices
    prominence: Floats


class ProminenceDetector(ApDetector):
    """Peaks whose prominence is a good part of that of the largest ones.

    A median filter removes what is shorter than 0.25 ms, a short Gaussian lowers the noise. The prominence
    of a peak is its height over the higher of its two feet, so drift and steps do not matter. The
    threshold is the largest of: a fraction (`relative`, 0.35) of the typical large prominence, `sigma` (9)
    times the noise, and `smallest_mv` (7 mV). Peaks wider than 8 ms at half prominence are synaptic
    potentials, not APs. The criterion is prominence over threshold.
    """

    name = "prominence"
    options: Sequence[Option] = (
        Option("relative", "", 0, 1, 0.35, "Smallest prominence as a fraction of the typical large one."),
        Option("sigma", "", 0, 1000, 9.0, "Smallest prominence in standard deviations of the noise."),
        Option("smallest_mv", "mV", 0, 1000, 7.0, "Smallest prominence of an action potential."),
    )

    def find(self, volts: Samples, fs: float, settings: DetectionSettings) -> Task[Found]:
        chosen = option_values(self, settings)
        smooth = without_artefacts(volts, fs)
        yield Progress(1, 2, "peaks")
        floor = chosen["smallest_mv"]
        noise = noise_sd(smooth - boxcar(smooth, max(3, round(4e-3 * fs)) | 1))
        least = max(floor, chosen["sigma"] * noise)
        found = _sharp_peaks(smooth, fs, criterion_at(lowest_score(settings), least))
        threshold = max(least, chosen["relative"] * typical(found.prominence))
        keep = found.prominence >= criterion_at(lowest_score(settings), threshold)
        peak = _refined(volts, smooth, found.index[keep], found.prominence[keep], fs)
        criterion = found.prominence[keep] / threshold
        peak, first = np.unique(peak, return_index=True)
        return Found(smooth, peak, criterion[first], 1.0)


def without_artefacts(volts: Samples, sampling_rate: float) -> Samples:
    """Return the trace without excursions shorter than 0.25 ms, lightly smoothed."""
    size = 2 * int(np.ceil(_ARTEFACT_S * sampling_rate)) + 1
    sigma = 0.12e-3 * sampling_rate
    pad = size + int(np.ceil(5 * sigma))
    out = np.empty(len(volts), np.float32)
    for start in range(0, len(volts), BLOCK):
        stop = min(start + BLOCK, len(volts))
        piece = extended(volts, start - pad, stop + pad)
        piece = scipy.ndimage.median_filter(piece, size=size, mode="nearest")
        if sigma > 0.4:
            piece = scipy.ndimage.gaussian_filter1d(piece, sigma, mode="nearest")
        out[start:stop] = piece[pad : pad + stop - start]
    return out


def typical(prominence: Floats) -> float:
    """Return the median of the prominences above half of the 98 % quantile: the usual AP, if there is one."""
    if not len(prominence):
        return 0.0
    high = prominence[prominence >= 0.5 * np.quantile(prominence, 0.98)]
    return float(np.median(high))


def _sharp_peaks(smooth: Samples, fs: float, least: float) -> _Peaks:
    reach = max(3, round(_REACH_S * fs)) | 1
    peaks, found = scipy.signal.find_peaks(
        smooth, prominence=least, wlen=reach, distance=max(1, round(0.8e-3 * fs)), width=0, rel_height=0.5
    )
    narrow = found["widths"] <= max(_WIDEST_S * fs, 2.0)
    return _Peaks(peaks[narrow], np.asarray(found["prominences"][narrow], np.float64))


def _refined(volts: Samples, smooth: Samples, peak: Indices, prominence: Floats, fs: float) -> Indices:
    """Move each peak to the highest sample within 0.3 ms of the raw trace, unless an artefact is there."""
    reach = max(1, round(0.3e-3 * fs))
    top = highest(volts, np.maximum(peak - reach, 0), 2 * reach + 1, 1.0)
    calm = volts[top] - smooth[peak] < 0.5 * prominence
    return np.where(calm, top, peak)
