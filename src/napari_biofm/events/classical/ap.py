"""What detectors of action potentials share: millivolts, onset, amplitude, rise and decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_biofm.events.classical.common import Cleaned, Floats, Indices, Samples, clean, scores, table
from napari_biofm.events.classical.kinetics import measure, windows
from napari_biofm.events.options import option_values
from napari_biofm.signals.units import si_unit
from napari_biofm.types import DetectionSettings, Events, Kind, Option, Progress, Task, Trace, no_events


@dataclass(frozen=True)
class Found:
    """Peaks of one method.

    Attributes
    ----------
    smooth : (n_samples,) the trace the events are measured on, mV.
    peak : (n,) sorted samples. criterion : (n,) of each, `customary` at the customary threshold.
    """

    smooth: Samples
    peak: Indices
    criterion: Floats
    customary: float


class ApDetector:
    """Set-up of detectors of action potentials; subclasses say in `find` where the peaks are."""

    name = "ap"
    kinds: Sequence[Kind] = ("ap",)
    options: Sequence[Option] = ()

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return action potentials; `time_s` is the peak of each."""
        option_values(self, settings)  # told before the work begins, also where there is nothing to find
        cleaned, words = clean(signal)
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        factor = np.float32(millivolts(signal.unit))
        volts = cleaned.values * factor if factor != 1 else cleaned.values
        found = yield from self.find(volts, signal.sampling_rate, settings)
        rows: Events = ap_rows(
            signal, cleaned, found.smooth / factor, found.peak, found.criterion, found.customary
        )
        return rows

    def find(self, volts: Samples, fs: float, settings: DetectionSettings) -> Task[Found]:
        """Return the peaks of a trace in mV, (n_samples,), without gaps."""
        raise NotImplementedError


def millivolts(unit: str) -> float:
    """Return the factor that takes values in `unit` to mV; 1 for a unit that is no voltage.

    A trace in current clamp whose file says pA, or nothing, is in mV more often than not.
    """
    base, factor = si_unit(unit)
    return 1e3 * factor if base == "V" else 1.0


def onsets(smooth: Samples, peak: Indices, sampling_rate: float, fraction: float = 0.1) -> Indices:
    """Return where each AP starts: the last sample before its steepest rise below `fraction` of that slope.

    Looked for up to 4 ms before the peak.
    """
    if not len(peak):
        return peak
    back = max(3, round(4e-3 * sampling_rate))
    result = np.empty(len(peak), np.intp)
    for a in range(0, len(peak), 1024):
        part = slice(a, a + 1024)
        slope = np.diff(windows(smooth, peak[part] - back, back + 1), axis=1)
        steepest = np.argmax(slope, axis=1)
        limit = fraction * slope[np.arange(len(slope)), steepest]
        gentle = (slope < limit[:, None]) & (np.arange(back) < steepest[:, None])
        last = np.where(gentle.any(axis=1), back - np.argmax(gentle[:, ::-1], axis=1), 0)
        result[part] = peak[part] - back + last
    return np.clip(result, 0, peak)


def ap_rows(
    signal: Trace, cleaned: Cleaned, smooth: Samples, peak: Indices, criterion: Floats, customary: float
) -> Events:
    """Return the table of APs; amplitude is peak minus onset, in the unit of the trace.

    Parameters
    ----------
    smooth : (n_samples,) lightly smoothed trace in the unit of the signal.
    peak, criterion : (n_events,) sorted.
    """
    fs = signal.sampling_rate
    keep = cleaned.usable(peak, max(1, round(1e-3 * fs)))
    peak, criterion = peak[keep], criterion[keep]
    onset = onsets(smooth, peak, fs)
    after = max(8, round(10e-3 * fs))
    before = max(1, round(0.2e-3 * fs))
    shape = measure(smooth, onset, peak, 1.0, fs, before=before, after=after)
    return table(
        signal, peak / fs, "AP", scores(criterion, customary), shape.amplitude, shape.rise_s, shape.decay_s
    )
