"""k-sigma threshold on the baseline-subtracted trace: the plainest detector there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from scipy import signal as sps

from napari_biofm.types import EVENT_DTYPE, DetectionSettings, Events, Kind, Progress, Signal, Task, no_events

# class given to an upward / downward event, and the time scale (s) of one event, by kind
_CLASSES: dict[str, tuple[str, str, float]] = {
    "ap": ("AP", "rejected", 0.002),
    "psc": ("IPSC", "EPSC", 0.010),
    "calcium": ("calcium", "rejected", 0.5),
    "spike": ("spike", "spike", 0.001),
    "ecg": ("R", "R", 0.1),
    "channel": ("open", "open", 0.005),
}


SMALLEST_AP_V = 0.015  # V; smaller deflections are spikelets or synaptic potentials


def _volts(unit: str) -> float:
    return {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6}.get(unit.strip(), 1e-3)


def kind_of_unit(unit: str) -> Kind:
    """Guess what is recorded from the unit: volts are APs, amperes synaptic currents, dF/F calcium."""
    text = unit.strip().lower()
    if text.endswith("a"):
        return "psc"
    if text.endswith("v"):
        return "ap"
    return "calcium"


class ThresholdDetector:
    """Peaks that leave the noise by k sigma.

    The baseline is a running median over 25 event lengths; sigma is 1.4826 times the median absolute
    deviation of what is left after smoothing by an eighth of an event. Confidence is a logistic
    function of the prominence in units of sigma, 0.5 at the threshold of the preset.
    """

    name = "threshold"
    kinds: tuple[Kind, ...] = ("auto", "psc", "ap", "calcium", "spike", "ecg", "channel")

    def detect(self, signal: Signal, settings: DetectionSettings) -> Task[Events]:
        """Return the events of one sweep.

        Parameters
        ----------
        signal : values may hold NaN gaps; fewer than 8 finite samples give no events.
        settings : `options["sigma"]` sets k, by default 5 (balanced) or 7 (precise).
        """
        kind = kind_of_unit(signal.unit) if settings.kind == "auto" else settings.kind
        up, down, length_s = _CLASSES[kind]
        values = np.asarray(signal.values, np.float64)
        finite = np.isfinite(values)
        yield Progress(0, 2, "baseline")
        if finite.sum() < 8 or np.ptp(values[finite]) == 0:
            return no_events()
        rest, sigma = _flatten(values, finite, length_s * signal.sampling_rate)
        k = float(settings.options.get("sigma", 7.0 if settings.preset == "precise" else 5.0))
        floor = 2.5 if settings.all_scores else k
        yield Progress(1, 2, "peaks")
        if sigma <= 0:
            return no_events()
        if kind == "ap":  # synaptic potentials are no spikes, however quiet the baseline
            smallest = SMALLEST_AP_V / _volts(signal.unit)
            k, floor = max(k, smallest / sigma), max(floor, smallest / sigma)
        tables = []
        for sign, word in ((1.0, up), (-1.0, down)):
            if word != "rejected":
                tables.append(self._peaks(signal, sign * rest, sigma, (k, floor), word, sign, length_s))
        table = np.concatenate(tables)
        return table[np.argsort(table["time_s"], kind="stable")]

    @staticmethod
    def _peaks(
        signal: Signal,
        rest: NDArray[np.float64],
        sigma: float,
        limits: tuple[float, float],
        word: str,
        sign: float,
        length_s: float,
    ) -> Events:
        k, floor = limits
        distance = max(1, round(0.5 * length_s * signal.sampling_rate))
        peaks, found = sps.find_peaks(rest, height=floor * sigma, prominence=floor * sigma, distance=distance)
        table = np.zeros(len(peaks), EVENT_DTYPE)
        table["sweep"], table["channel"] = signal.sweep, signal.channel
        table["time_s"] = peaks / signal.sampling_rate
        table["class"], table["unit"] = word, signal.unit
        table["amplitude"] = sign * rest[peaks]
        table["score"] = 1 / (1 + np.exp(-(found["prominences"] / sigma - k)))
        table["rise_s"], table["decay_s"] = _rise_and_decay(rest, peaks, signal.sampling_rate)
        return table


def _flatten(
    values: NDArray[np.float64], finite: NDArray[np.bool_], samples: float
) -> tuple[NDArray[np.float64], float]:
    """Subtract a running median and smooth; return the rest (0 in gaps) and its robust sigma."""
    filled = np.interp(np.arange(len(values)), np.flatnonzero(finite), values[finite])
    step = max(1, int(samples // 4))
    coarse = filled[: len(filled) // step * step].reshape(-1, step).mean(axis=1) if step > 1 else filled
    size = min(101, max(3, len(coarse) // 2 * 2 - 1))
    median = ndi.median_filter(coarse, size=size, mode="nearest")
    at = (np.arange(len(coarse)) + 0.5) * step - 0.5
    rest = filled - np.interp(np.arange(len(values)), at, median)
    rest = ndi.gaussian_filter1d(rest, max(samples / 8, 0.3), mode="nearest")
    sigma = 1.4826 * float(np.median(np.abs(rest[finite] - np.median(rest[finite]))))
    rest[~finite] = 0.0
    return rest, sigma


def _rise_and_decay(
    rest: NDArray[np.float64], peaks: NDArray[np.intp], fs: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 10-90 % rise and the time from the peak to 37 % of it, seconds; NaN if cut off."""
    if len(peaks) == 0:
        return np.zeros(0), np.zeros(0)
    inner = sps.peak_widths(rest, peaks, rel_height=0.1, prominence_data=_from_zero(rest, peaks))
    outer = sps.peak_widths(rest, peaks, rel_height=0.9, prominence_data=_from_zero(rest, peaks))
    decay = sps.peak_widths(rest, peaks, rel_height=1 - np.exp(-1), prominence_data=_from_zero(rest, peaks))
    return (inner[2] - outer[2]) / fs, (decay[3] - peaks) / fs


def _from_zero(
    rest: NDArray[np.float64], peaks: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Measure widths from the baseline, up to the neighbouring peaks."""
    left = np.concatenate([[0], peaks[:-1]]).astype(np.intp)
    right = np.concatenate([peaks[1:], [len(rest) - 1]]).astype(np.intp)
    return rest[peaks], left, right
