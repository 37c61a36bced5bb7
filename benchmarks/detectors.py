"""All event detectors on all kinds of signals, one preset, with their speed.

    python benchmarks/detectors.py [--quick] [--json] [--data ../shared/data] [--detectors a,b]
        [--preset precise]

Sets: action potentials of real current steps, clean and with four faults laid over them; synaptic currents
simulated at five sizes over coloured noise; extracellular spikes simulated at four sizes; simulated ECG;
real single channels (macro F1 over samples); real calcium traces (events within 150 ms, and r of rates).
Every detector sees the same samples in the same process run. Speed is in samples per second of processor
time over all sets of a detector. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from scipy import signal as sps

from napari_biofm.events import DETECTORS, make_detector
from napari_biofm.signals import read_recording
from napari_biofm.simulate import voltage_clamp
from napari_biofm.types import BiofmError, DetectionSettings, Kind, Signal, run_task

Floats = NDArray[np.float64]
FS = 20_000.0
BY_KIND: dict[Kind, tuple[str, ...]] = {
    "ap": ("threshold", "dvdt", "prominence"),
    "psc": ("threshold", "template", "deconvolution"),
    "spike": ("threshold", "extracellular"),
    "ecg": ("threshold", "pan-tompkins", "xqrs", "neurokit"),
    "channel": ("half-amplitude",),
    "calcium": ("threshold", "oasis"),
}
TOLERANCE_S = {"ap": 1.5e-3, "psc": 5e-3, "spike": 5e-4, "ecg": 0.05, "calcium": 0.15, "channel": 1e-3}
AP_FAULTS = ("clean", "x 0.35 + 1 mV + hum", "4 mV noise", "drift", "artefacts")
CALCIUM_SETS = ("DS09", "DS10", "DS13", "DS14", "DS17", "DS18")


@dataclass(frozen=True)
class Item:
    """One trace and its truth: event times, or open channels per sample; spikes behind calcium events."""

    set: str
    kind: Kind
    signal: Signal
    truth: NDArray[Any]
    spikes: Floats = field(default_factory=lambda: np.zeros(0))


def matched(truth: Floats, found: Floats, tolerance: float) -> int:
    """Return how many found events have a true event of their own within the tolerance."""
    free = np.ones(len(truth), bool)
    for one in found:
        near = np.flatnonzero((np.abs(truth - one) <= tolerance) & free)
        if len(near):
            free[near[np.argmin(np.abs(truth[near] - one))]] = False
    return int((~free).sum())


# ------------------------------------------------------------------ sets


def action_potentials(data: Path, quick: bool) -> Iterator[Item]:
    """Yield real current-clamp sweeps; truth: peaks above -10 mV with 25 mV prominence, clean trace."""
    files = sorted((data / "ephys" / "abf").glob("*.abf"))
    rng = np.random.default_rng(0)
    for path in files:
        try:
            recording = read_recording(path)
        except BiofmError:
            continue
        if not recording.n_channels or recording.channels[0].unit != "mV":
            continue
        fs = recording.channels[0].sampling_rate
        for sweep in range(min(recording.n_sweeps, 3 if quick else 30)):
            values = recording.values(sweep, 0)[: int((10 if quick else 60) * fs)]
            if fs < 5000 or not np.isfinite(values).all():
                continue
            peaks, _ = sps.find_peaks(
                values,
                height=-10,
                prominence=25,
                wlen=int(0.2 * fs) | 1,
                distance=max(1, int(1.5e-3 * fs)),
            )
            for fault in AP_FAULTS:
                faulty = with_fault(values, fs, fault, rng).astype(np.float32)
                yield Item(f"AP {fault}", "ap", Signal(faulty, fs, "mV"), peaks / fs)


def with_fault(values: NDArray[np.float32], fs: float, fault: str, rng: np.random.Generator) -> Floats:
    """Lay a fault over a clean trace in mV."""
    n, out = len(values), np.asarray(values, np.float64)
    if fault == AP_FAULTS[1]:
        rest = np.median(out)
        hum = np.sin(2 * np.pi * (50 * np.arange(n) / fs + rng.uniform()))
        return np.asarray(rest + 0.35 * (out - rest) + rng.normal(0, 1, n) + hum)
    if fault == AP_FAULTS[2]:
        return out + rng.normal(0, 4, n)
    if fault == AP_FAULTS[3]:
        walk = np.cumsum(rng.normal(size=n // 1000 + 3))
        walk -= walk.mean()
        return np.asarray(
            out + np.interp(np.arange(n), np.arange(len(walk)) * 1000, 25 * walk / np.abs(walk).max())
        )
    if fault == AP_FAULTS[4]:
        out = out.copy()
        for start in rng.integers(0, n, rng.poisson(10 * n / fs)):
            out[start : start + max(1, round(2e-4 * fs))] += rng.choice([-80.0, 80.0])
    return out


def synaptic_currents(quick: bool) -> Iterator[Item]:
    """Yield 60 s (20 s) with events of one mean size over 1/f and white noise, and test pulses."""
    for snr in (2, 3, 4, 6, 10):
        trace = voltage_clamp(20 if quick else 60, FS, 4.0, 0.0, noise_pa=15 / snr, seed=snr)
        signal = Signal(trace.values.astype(np.float32), FS, "pA")
        yield Item(f"PSC SNR {snr}", "psc", signal, trace.event_times)


def extracellular_spikes(quick: bool) -> Iterator[Item]:
    """Yield 30 s (10 s) of 20 spikes/s of 0.25 ms width over white noise and a slow field."""
    duration = 10 if quick else 30
    t = np.arange(-20, 40) / FS * 1e3
    wave = -np.exp(-((t / 0.12) ** 2)) + 0.4 * np.exp(-(((t - 0.5) / 0.3) ** 2))
    for snr in (3, 4, 5, 8):
        rng = np.random.default_rng(snr)
        n = round(duration * FS)
        starts = np.sort(rng.choice(np.arange(100, n - 100, 60), 20 * duration, replace=False))
        values = rng.normal(0, 10, n) + 80 * np.sin(np.arange(n) / FS * 40)
        for start in starts:
            values[start : start + 60] += 10 * snr * wave
        yield Item(
            f"spike SNR {snr}", "spike", Signal(values.astype(np.float32), FS, "uV"), (starts + 20) / FS
        )


def heart_beats(quick: bool) -> Iterator[Item]:
    """Yield simulated ECGs at 300 Hz, quiet, noisy and inverted."""
    for name, noise, sign in (("quiet", 0.03, 1), ("noisy", 0.25, 1), ("inverted", 0.1, -1)):
        rng = np.random.default_rng(int(100 * noise))
        duration = 60 if quick else 300
        beats = 0.5 + np.cumsum(rng.normal(0.857, 0.06, round(duration / 0.87)))
        beats = beats[beats < duration - 0.5]
        t = np.arange(duration * 300) / 300
        values = rng.normal(0, noise, len(t)) + 0.3 * np.sin(2 * np.pi * 0.25 * t)
        for delay, width, size in (
            (-0.17, 0.025, 0.12),
            (0, 0.011, 1.0),
            (0.03, 0.012, -0.2),
            (0.3, 0.05, 0.3),
        ):
            for beat in beats:
                first, last = np.searchsorted(t, [beat + delay - 5 * width, beat + delay + 5 * width])
                values[first:last] += size * np.exp(-(((t[first:last] - beat - delay) / width) ** 2))
        yield Item(f"ECG {name}", "ecg", Signal((sign * values).astype(np.float32), 300.0, "mV"), beats)


def channels(data: Path) -> Iterator[Item]:
    """Yield the real patch-amplifier records with their open channels per sample."""
    with np.load(data / "ephys" / "channels" / "deep_channel_train.npz") as file:
        for i in range(5):
            signal = Signal(file[f"{i}_signal"], float(file[f"{i}_fs"]), "pA")
            yield Item("channels", "channel", signal, file[f"{i}_n_open"])


def calcium(data: Path, quick: bool) -> Iterator[Item]:
    """Yield real dF/F; truth: first spikes of groups more than 100 ms apart."""
    for name in CALCIUM_SETS:
        (path,) = sorted((data / "ephys" / "calcium_spikes").glob(f"{name}-*.npz"))
        with np.load(path) as file:
            cells = sorted(key[:3] for key in file.files if key.endswith("_dff"))[: 3 if quick else 100]
            for cell in cells:
                spikes = np.sort(np.asarray(file[f"{cell}_spikes_s"], np.float64))
                first = spikes[np.diff(spikes, prepend=-np.inf) > 0.1]
                signal = Signal(file[f"{cell}_dff"].astype(np.float32), float(file[f"{cell}_fs"]), "dF/F")
                yield Item(path.stem, "calcium", signal, first, spikes)


# ------------------------------------------------------------------ scores


def open_channels(name: str, signal: Signal) -> NDArray[Any]:
    """Return open channels per sample after one method."""
    if name == "half-amplitude":
        from napari_biofm.events.classical.half_amplitude import idealise

        return idealise(signal.values, signal.sampling_rate).n_open
    if name == "physio-fm":
        from napari_biofm.events.channels import idealize

        return idealize(signal).n_open
    raise BiofmError(f"{name} gives no open channels")


def macro_f1(truth: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the mean over levels of the F1 of samples."""
    scores = []
    for level in np.unique(truth):
        both = np.sum((truth == level) & (found == level))
        scores.append(2 * both / max(1, np.sum(truth == level) + np.sum(found == level)))
    return float(np.mean(scores))


def rate_r(signal: Signal, spikes: Floats) -> float:
    """Return r of true and inferred rate of OASIS, both smoothed by 50 ms."""
    from napari_biofm.events.classical.common import clean
    from napari_biofm.events.classical.oasis import deconvolve

    cleaned, _ = clean(signal)
    if cleaned is None or len(spikes) < 2:
        return float("nan")
    fs, n = signal.sampling_rate, len(signal.values)
    frame = np.clip((spikes * fs).astype(int), 0, n - 1)
    truth = ndi.gaussian_filter1d(np.bincount(frame, minlength=n).astype(float), 0.05 * fs, mode="constant")
    return float(np.corrcoef(truth, deconvolve(cleaned.values, fs).rate(fs))[0, 1])


def run(items: list[Item], names: list[str], preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return F1 per detector and set, and speed per detector."""
    counts: dict[str, dict[str, list[float]]] = {}
    spent: dict[str, list[float]] = {}
    for item in items:
        for name in names:
            if name not in BY_KIND[item.kind] and name != "physio-fm":
                continue
            start = time.process_time()
            try:
                result = score(name, item, preset)
            except (BiofmError, ModuleNotFoundError, AttributeError) as error:
                print(f"{name} left out: {error}")
                names = [one for one in names if one != name]
                continue
            used = spent.setdefault(name, [0.0, 0.0])
            used[0] += len(item.signal.values)
            used[1] += time.process_time() - start
            total = counts.setdefault(name, {}).setdefault(item.set, [0.0, 0.0])
            total[0] += result[0]
            total[1] += result[1]
    f1 = {n: {s: round(a / max(b, 1e-9), 4) for s, (a, b) in sets.items()} for n, sets in counts.items()}
    return f1, {name: round(a / max(b, 1e-9) / 1e6, 3) for name, (a, b) in spent.items()}


def score(name: str, item: Item, preset: str) -> tuple[float, float]:
    """Return numerator and denominator of the F1 of one trace."""
    if item.kind == "channel":
        return macro_f1(item.truth, open_channels(name, item.signal)), 1.0
    settings = DetectionSettings(item.kind, preset)  # type: ignore[arg-type]
    events = run_task(make_detector(name).detect(item.signal, settings))
    times = events["time_s"][~np.isin(events["class"], ("artefact", "rejected"))]
    hits = matched(item.truth, times, TOLERANCE_S[item.kind])
    return 2.0 * hits, float(len(item.truth) + len(times))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--json", action="store_true", help="kept for uniformity: the last line is always JSON"
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    parser.add_argument("--preset", default="balanced", choices=("balanced", "precise"))
    args = parser.parse_args()
    items = [*synaptic_currents(args.quick), *extracellular_spikes(args.quick), *heart_beats(args.quick)]
    if (args.data / "ephys").is_dir():
        items += [
            *action_potentials(args.data, args.quick),
            *channels(args.data),
            *calcium(args.data, args.quick),
        ]
    else:
        print(f"no real data at {args.data}: simulated sets only")
    f1, speed = run(items, args.detectors.split(","), args.preset)
    sets = list(dict.fromkeys(item.set for item in items))
    print(f"{'set':32s} {'n':>5s} {'truth':>6s}  " + " ".join(f"{name[:12]:>12s}" for name in f1))
    for one in sets:
        mine = [item for item in items if item.set == one]
        truth = sum(len(item.truth) for item in mine) if mine[0].kind != "channel" else 0
        row = " ".join(f"{f1[name].get(one, float('nan')):12.3f}" for name in f1)
        print(f"{one[:32]:32s} {len(mine):5d} {truth:6d}  {row}")
    print("Msamples/s of processor time          " + " ".join(f"{speed[name]:12.2f}" for name in f1))
    rates: dict[str, list[float]] = {}
    for item in items:
        if item.kind == "calcium":
            rates.setdefault(item.set, []).append(rate_r(item.signal, item.spikes))
    r = {name: round(float(np.nanmedian(values)), 3) for name, values in rates.items()}
    print("r of rates (OASIS, median of cells):", r)
    print(json.dumps({"msamples_per_s": speed, "f1": f1, "oasis_rate_r": r, "preset": args.preset}))


if __name__ == "__main__":
    main()
