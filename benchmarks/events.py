"""Event detectors side by side: all registered ones, their default preset, on the shared recordings.

`python benchmarks/events.py [--quick] [--json] [--data DIR]`. The recordings are those physio-FM was not
trained on (other files, cells and records; see training/physio/real.py), made harder or given known events
where a truth is needed. The last line is one JSON object with `msamples_per_s` per detector and `f1` per
detector and set.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.physio.measure import TOLERANCE, Scores, labelled_sets  # noqa: E402
from training.physio.real import Real, build_cache, build_ecg  # noqa: E402

from napari_biofm.events import DETECTORS, make_detector  # noqa: E402
from napari_biofm.types import BiofmError, DetectionSettings, Detector, Signal, run_task  # noqa: E402

MEANT_FOR = {"half-amplitude": "channel"}  # scored per sample elsewhere
SPEED_SECONDS = 30.0


def kinds_of(name: str, detector: Detector) -> list[str]:
    """Return the kinds a detector is scored on."""
    return [k for k in TOLERANCE if k in detector.kinds and MEANT_FOR.get(name) is None]


def found(detector: Detector, signal: Signal, kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return times and scores of the events of a detector at its balanced preset."""
    table = run_task(detector.detect(signal, DetectionSettings(kind=kind)))
    real = ~np.isin(table["class"], ["artefact", "rejected"])
    return table["time_s"][real], table["score"][real]


def f1_table(detectors: dict[str, Detector], real: Real, thin: int) -> dict[str, dict[str, float]]:
    """Return F1 per detector and set."""
    out: dict[str, dict[str, float]] = {name: {} for name in detectors}
    for kind in TOLERANCE:
        for set_name, traces in labelled_sets(kind, real).items():
            for name, detector in list(detectors.items()):
                if kind not in kinds_of(name, detector):
                    continue
                scores = Scores()
                try:
                    for signal, truth in traces[::thin]:
                        scores.add(truth, *found(detector, signal, kind), TOLERANCE[kind])
                except (BiofmError, ImportError) as error:  # an optional peer that is not installed
                    print(f"# {name} on {kind}: {str(error).splitlines()[0]}", file=sys.stderr)
                    continue
                out[name][f"{kind} / {set_name}"] = round(scores.f1(-np.inf)[0], 4)
    return out


def channel_table() -> dict[str, dict[str, float]]:
    """Return per-sample macro F1 of idealisation on simulated channels, ours and half amplitude's."""
    from sklearn.metrics import f1_score
    from training.physio.simulators.channel import dwell_path

    from napari_biofm.events.channels import idealize

    out: dict[str, dict[str, float]] = {"physio-fm": {}}
    rng = np.random.default_rng(0)
    for name, channels, noise, drift in (
        ("1", 1, 0.2, 0),
        ("1 noisy", 1, 0.4, 0),
        ("5", 5, 0.2, 0),
        ("5 drift", 5, 0.2, 5),
    ):
        truth = sum(
            np.concatenate([dwell_path(rng, 2048).astype(int) for _ in range(24)]) for _ in range(channels)
        )
        slow = drift * np.sin(np.linspace(0, 6, len(truth)))
        x = truth + slow + noise * rng.normal(size=len(truth))
        ideal = idealize(Signal(x.astype(np.float32), 10e3, "pA"))
        out["physio-fm"][f"channel / {name}"] = round(
            float(f1_score(truth, ideal.n_open, average="macro")), 4
        )
    return out


def speed_table(detectors: dict[str, Detector], real: Real, seconds: float) -> dict[str, float]:
    """Return million samples per second on a 20 kHz recording of the detector's first kind."""
    rng = np.random.default_rng(0)
    n = int(20e3 * seconds)
    current = np.resize(np.concatenate([x for x, fs in real.clamped if fs == 20e3]), n)
    voltage = np.resize(np.concatenate([a[0] for a in real.aps if a[3] == 20e3]), n)
    voltage = voltage + 0.3 * rng.normal(size=n)
    signals = {"psc": Signal(current, 20e3, "pA"), "ap": Signal(voltage.astype(np.float32), 20e3, "mV")}
    out = {}
    for name, detector in detectors.items():
        kinds = kinds_of(name, detector)
        for kind in [k for k in ("psc", "ap") if k in kinds] or kinds[:1]:
            fallback = Signal(signals["ap"].values, 300.0 if kind == "ecg" else 20e3, "mV")
            signal = signals.get(kind, fallback)
            try:
                found(detector, Signal(signal.values[:20_000], signal.sampling_rate, signal.unit), kind)
                start = time.perf_counter()
                found(detector, signal, kind)
            except (BiofmError, ImportError):
                continue
            out[f"{name} ({kind})"] = round(n / 1e6 / (time.perf_counter() - start), 3)
    return out


def main() -> None:
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
    if not arguments.quick and not (arguments.cache / "ecg.npz").exists():
        build_ecg(arguments.data, arguments.cache)
    real = Real(arguments.data, arguments.cache, "val")
    detectors = {}
    for name in DETECTORS:
        try:
            detectors[name] = make_detector(name)
        except (BiofmError, ImportError) as error:
            print(f"# {name}: {str(error).splitlines()[0]}", file=sys.stderr)
    speed = speed_table(detectors, real, 5.0 if arguments.quick else SPEED_SECONDS)
    f1 = f1_table(detectors, real, 12 if arguments.quick else 3)
    for name, row in channel_table().items():
        f1.setdefault(name, {}).update(row)
    if not arguments.json:
        for key in dict.fromkeys(k for row in f1.values() for k in row):
            cells = [f"{n} {row[key]:.3f}" for n, row in f1.items() if key in row]
            print(f"{key:42s} " + "  ".join(cells))
        for name, value in speed.items():
            print(f"{name:42s} {value:.3f} Msamples/s")
    print(json.dumps({"msamples_per_s": speed, "f1": {k: v for k, v in f1.items() if v}}))


if __name__ == "__main__":
    main()
