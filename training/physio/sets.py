"""Labelled traces of physio-FM's validation: other cells, other files, other records, other seeds than in training.

Half of every set (even traces) may choose thresholds and weights; the other half (odd traces) is what is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.evaluation import f1_curve, match_events
from napari_biofm.events.kinds import KINDS
from napari_biofm.types import Trace

from .real import Real
from .simulators.calcium import groups
from .simulators.noise import coloured
from .simulators.psc import waveform
from .simulators.spike import shape

TOLERANCE = {kind: KINDS[kind].tolerance_s for kind in ("ap", "psc", "spike", "ecg", "calcium")}


@dataclass(frozen=True)
class Labelled:
    """A trace and what is known about it.

    Attributes
    ----------
    truth : (n,) s, sorted times of events.
    unsure : (m,) s, places where the label rule cannot decide: an event found there counts neither way.
    span : (first, last) s, the part that was labelled; what is found outside counts neither way.
    """

    signal: Trace
    truth: NDArray[Any]
    unsure: NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    span: tuple[float, float] = (-np.inf, np.inf)

    def counted(self, found: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
        """Return which found events count."""
        inside = (found >= self.span[0] - tolerance) & (found <= self.span[1] + tolerance)
        if len(self.unsure) and len(found):
            near = np.abs(found[:, None] - self.unsure[None]).min(1) <= tolerance
            far = (
                np.abs(found[:, None] - self.truth[None]).min(1) > tolerance
                if len(self.truth)
                else np.ones(len(found), bool)
            )
            inside &= ~(near & far)
        return np.asarray(inside)


Sets = dict[str, list[Labelled]]


class Scores:
    """Found events of many traces against their truth."""

    def __init__(self) -> None:
        self.rows: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self.n = 0

    def add(self, trace: Labelled, found: NDArray[Any], score: NDArray[Any], tolerance: float) -> None:
        """Add one trace."""
        self.n += len(trace.truth)
        counted = trace.counted(found, tolerance)
        found, score = found[counted], score[counted]
        self.rows.append((score, match_events(trace.truth, found, score, tolerance)))

    def f1(self, threshold: float | None = None) -> tuple[float, float]:
        """Return F1 at a threshold (or the best one) and that threshold."""
        score = np.concatenate([r[0] for r in self.rows]) if self.rows else np.zeros(0)
        hit = np.concatenate([r[1] for r in self.rows]) if self.rows else np.zeros(0, bool)
        falling, f = f1_curve(score, hit, self.n)
        if not len(f):
            return 0.0, 0.5
        if threshold is None:
            k = int(np.argmax(f))
            return float(f[k]), float(falling[k])
        k = int((score >= threshold).sum())
        return (float(f[k - 1]) if k else 0.0), threshold


# --------------------------------------------------------------------------- action potentials
def ap_sets(real: Real) -> Sets:
    """Return kept-back action-potential recordings, clean and under four hardships."""
    out: Sets = {}
    for i, (v, sure, maybe, fs, _) in enumerate(real.aps):
        rng = np.random.default_rng((11, i))
        n, t = len(v), np.arange(len(v)) / fs
        v = v.astype(float)
        pulses = np.zeros(n)
        for at in rng.integers(0, n - 8, rng.poisson(10 * n / fs)):
            if len(sure) == 0 or np.abs(sure - at).min() > 0.0015 * fs:
                pulses[at : at + max(1, int(0.0002 * fs))] += 80 * rng.choice([-1, 1])
        slow = np.interp(t, np.linspace(0, t[-1], 9), rng.uniform(-25, 25, 9))
        made = {
            "clean": v,
            "spikelets": 0.35 * v + rng.normal(size=n) + 1.0 * np.sin(2 * np.pi * 50 * t),
            "noise 4 mV": v + 4 * rng.normal(size=n),
            "drift": v + slow,
            "artefacts": v + pulses,
        }
        for name, x in made.items():
            out.setdefault(name, []).append(
                Labelled(Trace(x.astype(np.float32), fs, "mV"), sure / fs, maybe / fs)
            )
    return out


# --------------------------------------------------------------------------- synaptic currents
def psc_trace(
    rng: np.random.Generator, fs: float, snr: float, noise: NDArray[Any], inhibitory: bool
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return currents of one kinetic family in given noise, and the times of their peaks."""
    n = len(noise)
    rise = rng.uniform(0.5e-3, 1e-3) if inhibitory else rng.uniform(0.15e-3, 0.5e-3)
    decay = rng.uniform(8e-3, 20e-3) if inhibitory else rng.uniform(2e-3, 7e-3)
    x = noise / noise.std()
    truth = []
    for s in np.cumsum(rng.exponential(fs / 4.0, int(4.5 * n / fs) + 4)):
        wave, peak = waveform(rise * np.exp(rng.normal() * 0.2), decay * np.exp(rng.normal() * 0.2), fs)
        if s + peak + 10 >= n:
            break
        a = int(s)
        stop = min(n, a + len(wave))
        x[a:stop] -= snr * np.exp(rng.normal() * 0.25) * wave[: stop - a]
        truth.append((a + peak) / fs)
    return (x * 4).astype(np.float32), np.array(truth)


def psc_sets(real: Real) -> Sets:
    """Return semi-synthetic currents over measured noise spectra, four kinetics per signal-to-noise ratio."""
    out: Sets = {}
    for snr in (2, 3, 4, 6, 10):
        for i in range(12):
            rng = np.random.default_rng((5, snr, i))
            fs = float(rng.choice([10e3, 20e3, 20e3, 50e3]))
            row = real.spectra[rng.integers(len(real.spectra))]
            n = int(8 * fs)
            f = np.linspace(0, 1, n // 2 + 1)
            shape_ = np.interp(f * fs / 20e3, np.linspace(0, 1, len(row)), row)
            z = rng.normal(size=(2, len(f)))
            noise = np.fft.irfft((z[0] + 1j * z[1]) * shape_, n)
            x, truth = psc_trace(rng, fs, snr, noise, i % 4 == 3)
            out.setdefault(f"SNR {snr}", []).append(Labelled(Trace(x, fs, "pA"), np.sort(truth)))
    return out


# --------------------------------------------------------------------------- extracellular, ECG
def spike_sets() -> Sets:
    """Return extracellular spikes of one unit at three signal-to-noise ratios."""
    out: Sets = {}
    for snr in (3, 4, 5):
        for i in range(6):
            rng = np.random.default_rng((3, snr, i))
            fs = float(rng.choice([20e3, 24e3, 30e3]))
            n = int(5 * fs)
            x = np.concatenate([coloured(rng) for _ in range(n // 2048 + 1)])[:n]
            wave, trough = shape(rng, fs)
            at = np.cumsum(rng.exponential(fs / 15, 150) + 0.003 * fs).astype(int)
            at = at[at + len(wave) < n]
            for a in at:
                x[a : a + len(wave)] += snr * wave
            signal = Trace((x * 12).astype(np.float32), fs, "uV")
            out.setdefault(f"SNR {snr}", []).append(Labelled(signal, (at + trough) / fs))
    return out


def ecg_sets(real: Real, most: int = 60) -> Sets:
    """Return kept-back electrocardiograms as they are and with coloured noise of 0.3 and 0.6 R waves
    added.
    """
    out: Sets = {}
    for name, level in (("clean", 0.0), ("noise 0.3", 0.3), ("noise 0.6", 0.6)):
        for i, (x, peaks, _) in enumerate(real.beats[:most]):
            rng = np.random.default_rng((2, i))
            size = np.median(np.abs(x[peaks].astype(float)))
            y = (
                x
                + level * size * np.concatenate([coloured(rng) for _ in range(len(x) // 2048 + 1)])[: len(x)]
            )
            truth = np.sort(peaks) / 300.0
            signal = Trace(y.astype(np.float32), 300.0, "other")
            # the detector that made the labels needs a beat or two at either end to settle
            out.setdefault(name, []).append(Labelled(signal, truth, span=(truth[0], truth[-1])))
    return out


def calcium_sets(real: Real) -> Sets:
    """Return kept-back cells and the first spikes of their groups."""
    out: Sets = {}
    for dff, fs, spikes, name in real.cells:
        if len(spikes) >= 3 and len(dff) >= 100:
            out.setdefault(name, []).append(Labelled(Trace(dff, fs, "dF/F"), np.sort(groups(spikes))))
    return out


def labelled_sets(kind: str, real: Real) -> Sets:
    """Return the labelled traces of a kind per set."""
    makers: dict[str, Callable[[], Any]] = {
        "ap": lambda: ap_sets(real),
        "psc": lambda: psc_sets(real),
        "spike": spike_sets,
        "ecg": lambda: ecg_sets(real),
        "calcium": lambda: calcium_sets(real),
    }
    made: Sets = makers[kind]()
    return made
