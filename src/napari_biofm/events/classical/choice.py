"""The classical method that serves a kind of signal best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events import make_detector
from napari_biofm.events.classical.half_amplitude import levels_of
from napari_biofm.events.classical.small_signals import looks_cell_attached, only_synaptic_potentials
from napari_biofm.events.kinds import KINDS
from napari_biofm.signals.units import si_unit
from napari_biofm.types import DetectionSettings, Events, Kind, Option, Progress, Task, Trace

MOST_SKEWED = 0.5  # skewness of the large changes of a channel
RESTS_FROM_V = 20e-3  # further from zero no electrode outside of a cell drifts
LARGEST_CHANNEL_A = 100e-12  # larger steps of current are no single channels


def kind_of_unit(unit: str) -> Kind:
    """Guess what is recorded from the unit alone: volts are APs, amperes synaptic currents, else calcium."""
    base = si_unit(unit)[0]
    return "psc" if base == "A" else "ap" if base == "V" else "calcium"


def guess_kind(signal: Trace) -> Kind:
    """Guess what is recorded from unit, sampling rate and, for currents and small voltages, the values.

    Volts: below 1.1 kHz and within 20 mV of zero an ECG; within 5 mV of zero extracellular spikes (an ECG below 5 kHz); else APs,
    or synaptic potentials where nothing is large and fast.
    Amperes: single channels if the histogram has levels up to 100 pA apart and the trace jumps between
    them at least ten times, else synaptic currents, or spikes of a loose patch where they are short and of both signs. Anything else is calcium below 500 Hz, synaptic currents above.
    """
    base, factor = si_unit(signal.unit)
    values = signal.values[:: max(1, len(signal.values) // 200_000)]
    values = np.asarray(values[np.isfinite(values)], np.float32)
    if base == "V" and len(values):
        if rests_like_a_cell(signal):
            return finer_kind("ap", signal)
        if signal.sampling_rate < 1100:
            return "ecg"
        small = float(np.quantile(np.abs(values), 0.999)) * factor < 5e-3
        if small:
            return "spike" if signal.sampling_rate >= 5000 else "ecg"
        return finer_kind("ap", signal)
    if base == "V":
        return "ap"
    if base == "A":
        return "channel" if _has_openings(signal) else finer_kind("psc", signal)
    return "calcium" if signal.sampling_rate < 500 else "psc"


def rests_like_a_cell(signal: Trace) -> bool:
    """Return whether the median of a trace of volts lies 20 mV or more from zero, as only a membrane potential does."""
    base, factor = si_unit(signal.unit)
    values = signal.values[:: max(1, len(signal.values) // 200_000)]
    values = np.asarray(values[np.isfinite(values)], np.float32)
    return base == "V" and len(values) > 0 and abs(float(np.median(values))) * factor >= RESTS_FROM_V


def finer_kind(kind: Kind, *signals: Trace) -> Kind:
    """Return "psp" for membrane potentials without spikes, "loose" for currents of cell-attached spikes, else `kind`.

    Parameters
    ----------
    kind : what the channel was taken for.
    signals : sweeps of one channel; what is rare in each may be clear in all of them.
    """
    if kind == "ap" and only_synaptic_potentials(*signals):
        return "psp"
    if kind == "psc" and looks_cell_attached(*signals):
        return "loose"
    return kind


def _has_openings(signal: Trace) -> bool:
    """Say whether the first 200,000 samples jump between equally spaced levels at least ten times."""
    values = np.asarray(signal.values[:200_000], np.float32)
    values = values[np.isfinite(values)]
    if len(values) < 1000 or np.ptp(values) == 0:
        return False
    closed, step, noise, steps = levels_of(values)
    amperes = abs(step) * si_unit(signal.unit)[1]
    if steps == 0 or noise > 0.25 * abs(step) or amperes > LARGEST_CHANNEL_A:
        return False
    n_open = np.clip(np.rint((values - closed) / step), 0, steps)
    share = float(np.mean(n_open > 0))
    still = float(np.mean(np.abs(values - closed - step * n_open) < 2 * noise))
    jumps = 0.01 < share < 0.99 and still > 0.9 and int(np.sum(np.diff(n_open) > 0)) >= 10
    return jumps and _is_reversible(values, signal.sampling_rate, 2 * max(1, steps) * abs(step))


def _is_reversible(values: NDArray[np.float32], sampling_rate: float, most: float) -> bool:
    """Say whether a trace looks alike forwards and backwards in time.

    A channel at equilibrium does: it opens as abruptly as it closes. Synaptic currents rise faster than they decay,
    so that their large changes within 1 ms are skewed (Colquhoun & Hawkes, Phil Trans R Soc B 300:1, 1982, on
    microscopic reversibility). Changes beyond `most`, as artefacts make them, do not count.
    """
    lag = max(1, round(1e-3 * sampling_rate))
    change = np.asarray(values[lag:] - values[:-lag], np.float64)
    noise = 1.4826 * float(np.median(np.abs(change - np.median(change))))
    large = change[(np.abs(change) > 4 * noise) & (np.abs(change) <= most)]
    if len(large) <= 20:
        return True
    return abs(float(np.mean(large**3) / np.mean(large**2) ** 1.5)) < MOST_SKEWED


class ClassicalDetector:
    """Relative prominence for APs, deconvolution for synaptic currents, OASIS for calcium, half amplitude
    for channels, 4 sigma for extracellular spikes, Pan & Tompkins for ECG. Options are those of the method
    that a kind gets; another method's option is refused.
    """

    name = "classical"
    kinds: Sequence[Kind] = ("auto", *(spec.name for spec in KINDS.values()))

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return the events of the method for `settings.kind`, or for what `guess_kind` says."""
        kind = guess_kind(signal) if settings.kind == "auto" else settings.kind
        method = make_detector(KINDS[kind].default_detector)
        yield Progress(0, 1, f"{kind}: {method.name}")
        return (yield from method.detect(signal, settings))

    def recognise(self, signal: Trace) -> tuple[str, dict[str, float]]:
        """Return what `guess_kind` says; it knows no doubt."""
        kind = guess_kind(signal)
        return kind, {kind: 1.0}

    @property
    def options(self) -> Sequence[Option]:
        """The options of all methods, one of each name."""
        declared: dict[str, list[Option]] = {}
        for spec in KINDS.values():
            for option in make_detector(spec.default_detector).options:
                declared.setdefault(option.name, []).append(option)
        return tuple(_common(options) for options in declared.values())


def _common(options: Sequence[Option]) -> Option:
    """Return an option of several methods; where they differ, its range holds all of them."""
    first = options[0]
    if all(option == first for option in options):
        return first
    low, high = min(option.low for option in options), max(option.high for option in options)
    return Option(
        first.name, first.unit, low, high, None, "As the method of the kind declares it, default too."
    )
