"""R peaks of an ECG: Pan & Tompkins (IEEE Trans Biomed Eng 32:230, 1985), and two libraries beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from napari_biofm.events.classical.common import (
    Cleaned,
    Floats,
    Indices,
    Samples,
    baseline,
    clean,
    lowest_score,
    scores,
    table,
)
from napari_biofm.events.classical.extracellular import band_passed
from napari_biofm.events.classical.kinetics import highest, measure
from napari_biofm.events.options import option_values
from napari_biofm.types import (
    DetectionSettings,
    Events,
    Kind,
    ModelError,
    Option,
    Progress,
    Task,
    Trace,
    no_events,
)

_REFRACTORY_S = 0.2
_T_WAVE_S = 0.36


class _EcgDetector:
    """R peaks by one method; subclasses say where the beats are."""

    name = "ecg"
    kinds: Sequence[Kind] = ("ecg",)
    options: Sequence[Option] = ()

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return R peaks; `time_s` is the R peak, or the S trough where the lead is inverted."""
        option_values(self, settings)  # there are none to give
        fs = signal.sampling_rate
        cleaned, words = clean(signal, max(16, int(0.5 * fs)) if np.isfinite(fs) else 16)
        if cleaned is not None and fs < 50:
            cleaned, words = None, f"{fs:g} Hz is too slow for R peaks, 50 Hz are needed: no events"
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        beats, criterion = yield from self.beats(cleaned, signal)
        yield Progress(1, 2, f"{len(beats)} beats")
        return _rows(signal, cleaned, beats, criterion, lowest_score(settings))

    def beats(self, cleaned: Cleaned, signal: Trace) -> Task[tuple[Indices, Floats]]:
        """Return the place of each beat and its criterion, 1 at the customary threshold."""
        raise NotImplementedError


class PanTompkinsDetector(_EcgDetector):
    """Energy of the slope of the 5 to 15 Hz band over 150 ms, with thresholds that follow the beats.

    A beat must exceed a quarter of the way from the running noise level to the running signal level (1/8
    each new peak), come 200 ms after the last one, and within 360 ms have half its slope (else it is a T
    wave). After 1.66 times the usual interval without a beat, half the threshold is enough. The criterion
    is the square root of height over threshold.
    """

    name = "pan-tompkins"

    def beats(self, cleaned: Cleaned, signal: Trace) -> Task[tuple[Indices, Floats]]:
        fs = signal.sampling_rate
        band = yield from band_passed(cleaned.values, fs, 5.0, 15.0)
        slope = np.gradient(np.asarray(band, np.float64)) * fs
        energy = scipy.ndimage.uniform_filter1d(slope**2, max(1, round(0.15 * fs)), mode="nearest")
        peaks, _ = scipy.signal.find_peaks(energy, distance=max(1, round(_REFRACTORY_S * fs)))
        peaks = peaks[energy[peaks] > 0]
        steep = scipy.ndimage.maximum_filter1d(np.abs(slope), max(1, round(0.15 * fs)), mode="nearest")
        return follow(peaks, energy[peaks], steep[peaks], fs)


class XqrsDetector(_EcgDetector):
    """XQRS of the package wfdb, where it is installed."""

    name = "xqrs"

    def beats(self, cleaned: Cleaned, signal: Trace) -> Task[tuple[Indices, Floats]]:
        try:
            from wfdb.processing import XQRS
        except ImportError as error:
            raise ModelError("the detector xqrs needs the package wfdb: pip install wfdb") from error
        yield Progress(0, 2, "XQRS of wfdb")
        detector = XQRS(sig=np.asarray(cleaned.values, np.float64), fs=signal.sampling_rate)
        detector.detect(verbose=False)
        beats = np.asarray(detector.qrs_inds, np.intp)
        return beats, _by_height(cleaned.values, beats, signal.sampling_rate)


class NeuroKitDetector(_EcgDetector):
    """The default R-peak detector of NeuroKit2, where it is installed."""

    name = "neurokit"

    def beats(self, cleaned: Cleaned, signal: Trace) -> Task[tuple[Indices, Floats]]:
        try:
            import neurokit2
        except ImportError as error:
            raise ModelError("neurokit needs the package neurokit2: pip install neurokit2") from error
        yield Progress(0, 2, "NeuroKit2")
        rate = round(signal.sampling_rate)
        tidy = neurokit2.ecg_clean(np.asarray(cleaned.values, np.float64), sampling_rate=rate)
        _, found = neurokit2.ecg_peaks(tidy, sampling_rate=rate)
        peaks = np.asarray(found["ECG_R_Peaks"], np.float64)
        beats = np.asarray(peaks[np.isfinite(peaks)], np.intp)
        return beats, _by_height(cleaned.values, beats, signal.sampling_rate)


def follow(peaks: Indices, height: Floats, steep: Floats, fs: float) -> tuple[Indices, Floats]:
    """Return the peaks and their criterion after the running thresholds of Pan & Tompkins.

    Parameters
    ----------
    peaks : (n,) sorted places of the energy's peaks.
    height, steep : (n,) energy and steepest slope of each.
    fs : Hz.
    """
    n = len(peaks)
    ratio = np.zeros(n)
    if n == 0:
        return peaks, ratio
    first = height[peaks < peaks[0] + 4 * fs]
    level, noise = float(np.quantile(first, 0.9)), 0.3 * float(np.quantile(first, 0.2))
    last, usual = -1, 0.8 * fs
    for i in range(n):
        threshold = noise + 0.25 * (level - noise)
        since = peaks[i] - peaks[last] if last >= 0 else np.inf
        t_wave = since < _T_WAVE_S * fs and last >= 0 and steep[i] < 0.5 * steep[last]
        ratio[i] = height[i] / max(threshold, 1e-300) * (0.2 if t_wave else 1.0)
        if last >= 0 and since > 1.66 * usual:
            earliest = peaks[last] + 0.3 * usual
            back = _searched_back(range(last + 1, i), height, peaks, earliest, 0.5 * threshold)
            if back is not None:
                ratio[back] = max(ratio[back], 1.0)
        if ratio[i] >= 1:
            level += 0.125 * (min(height[i], 4 * level) - level)
            if last >= 0 and since < 2 * fs:
                usual += 0.125 * (since - usual)
            last = i
        else:
            noise += 0.125 * (height[i] - noise)
            level = max(level * 0.995, 2 * noise)
    return peaks, np.sqrt(ratio)


def _searched_back(
    candidates: range, height: Floats, peaks: Indices, earliest: float, enough: float
) -> int | None:
    """Return the highest candidate that half the threshold accepts, or None."""
    fit = [j for j in candidates if height[j] >= enough and peaks[j] >= earliest]
    return max(fit, key=lambda j: height[j]) if fit else None


def _by_height(values: Samples, beats: Indices, fs: float) -> Floats:
    """Return a criterion for beats a library has accepted: 1 to 2, by size against the median beat."""
    if not len(beats):
        return np.zeros(0)
    flat = np.abs(values - baseline(values, max(5, round(0.6 * fs))))
    size = flat[highest(flat, np.maximum(beats - round(0.05 * fs), 0), round(0.1 * fs) + 1, 1.0)]
    relative = np.asarray(size / max(float(np.median(size)), 1e-12), np.float64)
    return 1.0 + relative / (1.0 + relative)


def _rows(signal: Trace, cleaned: Cleaned, beats: Indices, criterion: Floats, lowest: float) -> Events:
    """Move each beat to its R peak, drop what a preset does not want, and measure."""
    fs, values = signal.sampling_rate, cleaned.values
    score = scores(criterion, 1.0)
    keep = (score >= lowest) & cleaned.usable(beats, round(0.05 * fs))
    beats, score = beats[keep], score[keep]
    flat = np.asarray(values - baseline(values, max(5, round(0.6 * fs))), np.float32)
    reach = round(0.1 * fs)
    start = np.maximum(beats - reach, 0)
    up, down = (highest(flat, start, 2 * reach + 1, sign) for sign in (1.0, -1.0))
    inverted = len(beats) > 0 and np.median(np.abs(flat[down])) > 1.5 * np.median(np.abs(flat[up]))
    peak, sign = (down, -1.0) if inverted else (up, 1.0)
    peak, first = np.unique(peak, return_index=True)
    onset = np.maximum(peak - round(0.04 * fs), 0)
    shape = measure(
        flat, onset, peak, sign, fs, before=max(2, round(0.02 * fs)), after=max(6, round(0.06 * fs))
    )
    amplitude = np.asarray(flat[peak], np.float64)
    return table(signal, peak / fs, "R", score[first], amplitude, shape.rise_s, shape.decay_s)
