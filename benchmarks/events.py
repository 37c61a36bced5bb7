"""Event detectors side by side: all registered ones, their default preset, on the shared recordings.

`python benchmarks/events.py [--quick] [--json] [--data DIR]`. The recordings are those physio-FM was not
trained on (other files, cells and records; see training/physio/real.py), made harder or given known events
where a truth is needed; those that chose thresholds (the even ones) are left out. All detectors see the same
samples. Single channels are scored per sample without hand-given levels, calcium rates by r as well. The last
line is one JSON object with `msamples_per_s` per detector, `f1` per detector and set, `rate_r`, `false_events_per_min` of
physio-FM per kind and sort of noise (recordings without any event, 10 Hz to 200 kHz), and `idealize_msamples_per_s`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import bessel, sosfilt

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.physio.hard import NOISES, silent  # noqa: E402
from training.physio.hard import RATES as SILENT_RATES  # noqa: E402
from training.physio.measure import smooth  # noqa: E402
from training.physio.real import Real, build_cache, build_ecg  # noqa: E402
from training.physio.sets import TOLERANCE, Scores, labelled_sets  # noqa: E402
from training.physio.simulators.channel import dwell_path  # noqa: E402

from napari_biofm.engine.threads import wait_asleep  # noqa: E402
from napari_biofm.events import DETECTORS, make_detector  # noqa: E402
from napari_biofm.types import BiofmError, DetectionSettings, Detector, Trace, run_task  # noqa: E402

MEANT_FOR = {"half-amplitude": "channel"}  # scored per sample elsewhere
SPEED_SECONDS = 30.0
MOST_SILENT = 2_000_000  # samples per silent recording


def kinds_of(name: str, detector: Detector) -> list[str]:
    """Return the kinds a detector is scored on."""
    return [k for k in TOLERANCE if k in detector.kinds and MEANT_FOR.get(name) is None]


def found(detector: Detector, signal: Trace, kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return times and scores of the events of a detector at its balanced preset."""
    table = run_task(detector.detect(signal, DetectionSettings(kind=kind)))
    real = ~np.isin(table["class"], ["artefact", "rejected"])
    return table["time_s"][real], table["score"][real]


def f1_table(detectors: dict[str, Detector], real: Real, thin: int) -> dict[str, dict[str, float]]:
    """Return F1 per detector and set, all on the same traces: the odd ones, every `thin`-th of them."""
    out: dict[str, dict[str, float]] = {name: {} for name in detectors}
    for kind in TOLERANCE:
        fit = {n: d for n, d in detectors.items() if kind in kinds_of(n, d)}
        for set_name, traces in labelled_sets(kind, real).items():
            some = [t for t in traces[1::2] if len(t.truth)][::thin]
            for name, detector in fit.items():
                scores = Scores()
                try:
                    for trace in some:
                        scores.add(trace, *found(detector, trace.signal, kind), TOLERANCE[kind])
                except (BiofmError, ImportError) as error:  # an optional peer that is not installed
                    print(f"# {name} on {kind}: {str(error).splitlines()[0]}", file=sys.stderr)
                    continue
                out[name][f"{kind} / {set_name}"] = round(scores.f1(-np.inf)[0], 4)
            print(f"# {kind} / {set_name}: {len(some)} traces", file=sys.stderr)
    return out


def macro_f1(truth: np.ndarray, open_: np.ndarray) -> float:
    """Return the mean over levels of the F1 of samples."""
    levels = np.unique(truth)
    both = [np.sum((truth == v) & (open_ == v)) for v in levels]
    each = [2 * n / (np.sum(truth == v) + np.sum(open_ == v)) for n, v in zip(both, levels, strict=True)]
    return float(np.mean(each))


def channel_records(data: Path, quick: bool) -> dict[str, list[tuple[Trace, np.ndarray]]]:
    """Return records of the patch amplifier, clean and under drift, and simulated ones, with open channels."""
    out: dict[str, list[tuple[Trace, np.ndarray]]] = {}
    with np.load(data / "channels/deep_channel_train.npz") as file:
        for i in range(1 if quick else 5):
            x, truth = file[f"{i}_signal"].astype(float), file[f"{i}_n_open"]
            unit = float(
                np.median([abs(x[truth == k + 1].mean() - x[truth == k].mean()) for k in range(truth.max())])
            )
            slow = 8 * unit * np.sin(np.linspace(0, 6, len(x)))
            for name, y in (("real", x), ("real + drift of 8 units", x + slow)):
                signal = Trace(y.astype(np.float32), float(file[f"{i}_fs"]), "pA")
                out.setdefault(f"channel / {name}", []).append((signal, truth))
    rng = np.random.default_rng(0)
    for name, channels, noise, drift in (
        ("1", 1, 0.2, 0), ("1 noisy", 1, 0.4, 0), ("5", 5, 0.2, 0), ("5 + drift", 5, 0.2, 5),
    ):  # fmt: skip
        truth = np.zeros(24 * 2048, int)
        for _ in range(channels):
            truth += np.concatenate([dwell_path(rng, 2048) for _ in range(24)])
        slow = drift * np.sin(np.linspace(0, 6, len(truth)))
        x = truth + slow + noise * rng.normal(size=len(truth))
        out[f"channel / simulated {name}"] = [(Trace(x.astype(np.float32), 10e3, "pA"), truth)]
    for i in range(5 if quick else 30):
        out.setdefault("channel / filtered", []).append(
            filtered_record(np.random.default_rng([7, i]), 1 + i % 5)
        )
    return out


def filtered_record(rng: np.random.Generator, channels: int, n: int = 40_000) -> tuple[Trace, np.ndarray]:
    """Return a recording of equal channels through a Bessel filter (60 % of records) and how many are open.

    Mean open and shut times of 4 to 200 samples, noise .1 to .4 of the unit, drift of up to 8 units.
    """
    opened, shut = np.exp(rng.uniform(np.log(4), np.log(200), 2))
    truth = np.zeros(n, int)
    for _ in range(channels):
        k = int(3 * n / (opened + shut)) + 20
        dwell = np.stack([rng.exponential(shut, k), rng.exponential(opened, k)], 1).ravel()
        switches = np.cumsum(dwell) - rng.uniform(0, opened + shut)
        truth += np.searchsorted(switches, np.arange(n), side="right") % 2
    noise, drift = np.exp(rng.uniform(np.log(0.1), np.log(0.4))), rng.choice([0, 0, 3, 8])
    clean = truth.astype(float)
    if rng.random() < 0.6:
        sos = bessel(4, rng.uniform(0.2, 0.8), output="sos", norm="mag")
        clean = sosfilt(sos, np.concatenate([np.full(64, clean[0]), clean]))[64:]
    slow = drift * np.sin(np.linspace(0, rng.uniform(2, 10), n) + rng.uniform(0, 6))
    x = np.exp(rng.uniform(np.log(0.5), np.log(20))) * (clean + slow + noise * rng.normal(size=n))
    return Trace(x.astype(np.float32), 10e3, "pA"), truth


def channel_table(data: Path, quick: bool) -> dict[str, dict[str, float]]:
    """Return per-sample macro F1 of idealisation without levels given by hand."""
    from napari_biofm.events.channels.idealization import idealize
    from napari_biofm.events.classical.half_amplitude import idealise

    methods = {
        "physio-fm": lambda s: idealize(s).n_open,
        "half-amplitude": lambda s: idealise(s.values, s.sampling_rate).n_open,
    }
    records = channel_records(data, quick)
    return {
        name: {
            key: round(float(np.mean([macro_f1(truth, method(signal)) for signal, truth in rows])), 4)
            for key, rows in records.items()
        }
        for name, method in methods.items()
    }


def rate_table(detectors: dict[str, Detector], real: Real, thin: int) -> dict[str, dict[str, float]]:
    """Return the median over cells of r of rates smoothed with 50 ms, per calcium set."""
    from napari_biofm.events.classical.common import clean
    from napari_biofm.events.classical.oasis import deconvolve

    fm: Any = detectors["physio-fm"]
    rows: dict[str, dict[str, list[float]]] = {"physio-fm": {}, "oasis": {}}
    for dff, fs, spikes, name in real.cells[::thin]:
        if len(spikes) < 3 or len(dff) < 100:
            continue
        frame = np.clip((spikes * fs).astype(int), 0, len(dff) - 1)
        truth = smooth(np.bincount(frame, minlength=len(dff)) * fs, fs)
        cleaned, _ = clean(Trace(dff, fs, "dF/F"))
        said = {"physio-fm": smooth(fm.rate(dff[None], fs)[0][0], fs)}
        if cleaned is not None:
            said["oasis"] = deconvolve(cleaned.values, fs).rate(fs)  # smoothed with 50 ms by itself
        for method, rate in said.items():
            r = np.corrcoef(rate, truth)[0, 1]
            rows[method].setdefault(name, []).append(float(r))
    return {m: {k: round(float(np.nanmedian(v)), 3) for k, v in t.items()} for m, t in rows.items()}


def speed_table(detectors: dict[str, Detector], real: Real, seconds: float) -> dict[str, float]:
    """Return million samples per second on a 20 kHz recording of the detector's first kind."""
    rng = np.random.default_rng(0)
    n = int(20e3 * seconds)
    current = np.resize(np.concatenate([x for x, fs in real.clamped if fs == 20e3]), n)
    voltage = np.resize(np.concatenate([a[0] for a in real.aps if a[3] == 20e3]), n)
    voltage = voltage + 0.3 * rng.normal(size=n)
    signals = {"psc": Trace(current, 20e3, "pA"), "ap": Trace(voltage.astype(np.float32), 20e3, "mV")}
    out = {}
    for name, detector in detectors.items():
        kinds = kinds_of(name, detector)
        for kind in [k for k in ("psc", "ap") if k in kinds] or kinds[:1]:
            fallback = Trace(signals["ap"].values, 300.0 if kind == "ecg" else 20e3, "mV")
            signal = signals.get(kind, fallback)
            if kind in ("ecg", "calcium"):  # sampled slowly: a tenth of the samples is hours already
                signal = Trace(signal.values[: n // 10], 300.0 if kind == "ecg" else 30.0, signal.unit)
            try:
                found(detector, Trace(signal.values[:20_000], signal.sampling_rate, signal.unit), kind)
                start = time.perf_counter()
                found(detector, signal, kind)
            except (BiofmError, ImportError):
                continue
            out[f"{name} ({kind})"] = round(len(signal.values) / 1e6 / (time.perf_counter() - start), 3)
    return out


def false_table(detectors: dict[str, Detector], quick: bool) -> dict[str, dict[str, float]]:
    """Return false events per minute of physio-FM on recordings without any event, per kind and sort of noise."""
    minutes = {"calcium": 12.0 if quick else 36.0, "ecg": 2.0 if quick else 8.0}
    out: dict[str, dict[str, float]] = {}
    for kind in SILENT_RATES:
        for name in NOISES:
            count, spent = 0, 0.0
            for signal in silent(kind, name, minutes.get(kind, 0.3 if quick else 1.0), seed=9):
                some = Trace(signal.values[:MOST_SILENT], signal.sampling_rate, signal.unit)
                count += len(found(detectors["physio-fm"], some, kind)[0])
                spent += len(some.values) / some.sampling_rate / 60
            out.setdefault(kind, {})[name] = round(count / spent, 3)
    return out


def idealize_speed(data: Path, seconds: float) -> float:
    """Return million samples per second of idealisation without given levels, on real single-channel records."""
    from napari_biofm.events.channels.idealization import idealize

    with np.load(data / "channels/deep_channel_train.npz") as file:
        x, fs = file["0_signal"].astype(np.float32), float(file["0_fs"])
    signal = Trace(np.resize(x, int(max(seconds, 10.0) * fs)), fs, "pA")
    idealize(Trace(x[:20_000], fs, "pA"))
    start = time.perf_counter()
    idealize(signal)
    return round(len(signal.values) / 1e6 / (time.perf_counter() - start), 3)


def main() -> None:
    wait_asleep()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="the JSON line alone")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    if not (arguments.cache / "abf.npz").exists():
        build_cache(arguments.data, arguments.cache)
    if not (arguments.cache / "ecg.npz").exists():
        build_ecg(arguments.data, arguments.cache)
    real = Real(arguments.data, arguments.cache, "val")
    detectors = {}
    for name in DETECTORS:
        try:
            detectors[name] = make_detector(name)
        except (BiofmError, ImportError) as error:
            print(f"# {name}: {str(error).splitlines()[0]}", file=sys.stderr)
    quick = arguments.quick
    speed = speed_table(detectors, real, 3.0 if quick else SPEED_SECONDS)
    f1 = f1_table(detectors, real, 5 if quick else 1)
    for name, row in channel_table(arguments.data, quick).items():
        f1.setdefault(name, {}).update(row)
    rate_r = rate_table(detectors, real, 12 if quick else 2)
    false = false_table(detectors, quick)
    ideal = idealize_speed(arguments.data, 20.0 if quick else 60.0)
    if not arguments.json:
        for key in dict.fromkeys(k for row in f1.values() for k in row):
            cells = [f"{n} {row[key]:.3f}" for n, row in f1.items() if key in row]
            print(f"{key:42s} " + "  ".join(cells))
        for key in rate_r["physio-fm"]:
            cells = [f"{n} {row[key]:.3f}" for n, row in rate_r.items() if key in row]
            print(f"r of rates / {key:29s} " + "  ".join(cells))
        for name, value in speed.items():
            print(f"{name:42s} {value:.3f} Msamples/s")
        print(f"{'idealisation':42s} {ideal:.3f} Msamples/s")
        for kind, row in false.items():
            print(f"false per minute / {kind:25s} " + "  ".join(f"{n} {v:.2f}" for n, v in row.items()))
    print(
        json.dumps(
            {
                "msamples_per_s": speed,
                "f1": {k: v for k, v in f1.items() if v},
                "rate_r": rate_r,
                "false_events_per_min": false,
                "idealize_msamples_per_s": ideal,
            }
        )
    )


if __name__ == "__main__":
    main()
