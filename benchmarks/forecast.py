"""What comes next, and what if: forecasts beside an autoregression and Fracast-0, predicted sweeps beside simple ones.

`python benchmarks/forecast.py [--quick] [--json] [--data DIR]`. Forecasts of 48 samples at random moments of recordings
that calibrated nothing (other files, cells and records; see training/physio/real.py), quantile loss scaled by the spread
of the past. Fracast-0 (https://github.com/ztxtech/fracast-0, Apache-2.0) takes part where its package is installed; its
quantiles are .1 to .9. *What if* leaves sweeps of step protocols out, inside and beyond the range of the others: error
of the response between action potentials over the spread of the sweep, and error of the number of action potentials.
The last line is one JSON object with `loss_vs_ar`, `loss_vs_ensemble` (the ensemble of version 0.1), `loss_vs_fracast`,
`coverage` per kind, and `what_if`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.physio.forecast import ar_quantiles, pinball  # noqa: E402
from training.physio.real import AP_FILES, VALIDATION_FILES, VALIDATION_SETS  # noqa: E402

import napari_biofm as biofm  # noqa: E402
from napari_biofm.engine.threads import wait_asleep  # noqa: E402
from napari_biofm.events.physio_fm import forecast as ours  # noqa: E402
from napari_biofm.events.what_if.model import learn, predict  # noqa: E402
from napari_biofm.events.what_if.response import Fit, fit_response, make_basis, subthreshold  # noqa: E402
from napari_biofm.events.what_if.sweeps import Protocol, Sweep, read_protocol  # noqa: E402

HORIZON, LEAST = 48, 600
PROTOCOLS = (
    "17o05028_ic_steps", "18713001", "2019_07_24_0051", "2019_07_24_0055_fsi", "171116sh_0013", "17o05024_vc_steps",
    "19702036", "18711001",
)  # fmt: skip


def recordings(data: Path) -> dict[str, list[np.ndarray]]:
    """Return traces per kind that took no part in choosing or calibrating anything."""
    out: dict[str, list[np.ndarray]] = {"current": [], "voltage": [], "ecg": [], "calcium": []}
    for number, path in enumerate(sorted((data / "abf").glob("*.abf"))):
        recording = biofm.read_recording(path)
        for channel, about in enumerate(recording.channels):
            is_ap = path.stem in AP_FILES and about.unit == "mV"
            kept = path.stem in VALIDATION_FILES if is_ap else number % 3 == 0
            if not kept or not (is_ap or (about.unit == "pA" and about.sampling_rate >= 10_000)):
                continue
            for sweep in range(0, recording.n_sweeps, max(1, recording.n_sweeps // 4)):
                stop = min(recording.n_samples(sweep, channel), int(20 * about.sampling_rate))
                values = recording.values(sweep, channel, 0, stop)
                out["voltage" if is_ap else "current"].append(values)
    with np.load(data / "ecg/physionet2017_train.npz") as clips:
        out["ecg"] = [clips[name] for name in sorted(clips.files)[::5]]
    for path in sorted((data / "calcium_spikes").glob("DS*.npz")):
        with np.load(path) as cells:
            names = sorted(name for name in cells.files if name.endswith("_dff"))
            kept_back = path.name.startswith(VALIDATION_SETS)
            out["calcium"] += [cells[n] for i, n in enumerate(names) if kept_back or i % 5 == 0]
    usable = {
        k: [np.nan_to_num(x.astype(float)) for x in rows if len(x) > LEAST + HORIZON]
        for k, rows in out.items()
    }
    return {kind: [x for x in rows if np.ptp(x) > 0] for kind, rows in usable.items()}


def before(past: np.ndarray) -> np.ndarray:
    """Return the quantiles that version 0.1 gave."""
    kept = dict(ours.AUTOREGRESSION), dict(ours.WIDER)
    try:
        ours.AUTOREGRESSION.clear()
        ours.WIDER.clear()
        return ours.forecast_quantiles(past, HORIZON, "calcium")  # without local means: as all kinds were
    finally:
        ours.AUTOREGRESSION.update(kept[0])
        ours.WIDER.update(kept[1])


def fracast() -> Any:
    """Return Fracast-0, or None where it is not installed."""
    try:
        from fracast import FracastModel  # type: ignore[import-not-found]  # optional
    except ImportError as error:
        print(f"# Fracast-0: {error}; pip install fracast", file=sys.stderr)
        return None
    return FracastModel.from_pretrained()


def inner_loss(quantiles: np.ndarray, levels: np.ndarray, came: np.ndarray) -> float:
    """Return the mean quantile loss at .1, .25, .5, .75 and .9, which all forecasts have or lie between."""
    wanted = ours.QUANTILES[1:-1]
    at = np.stack([np.interp(wanted, levels, column) for column in quantiles.T], 1)
    error, q = came - at, wanted[:, None]
    return float(np.mean(np.maximum(q * error, (q - 1) * error)))


def forecasts(data: Path, moments: int) -> dict[str, Any]:
    """Return loss relative to the peers, over all kinds alike, and coverage per kind."""
    model = fracast()
    rng = np.random.default_rng(0)
    table: dict[str, dict[str, float]] = {}
    for kind, traces in recordings(data).items():
        loss: dict[str, list[float]] = {name: [] for name in ("ours", "ar", "ensemble", "inner", "fracast")}
        covered = []
        for _ in range(moments):
            x = traces[rng.integers(len(traces))]
            at = int(rng.integers(LEAST, len(x) - HORIZON))
            past, came = x[max(0, at - ours.HISTORY) : at], x[at : at + HORIZON]
            scale = past.std() + 1e-12
            said = ours.forecast_quantiles(past, HORIZON, kind)
            loss["ours"].append(pinball(said, came) / scale)
            loss["ar"].append(pinball(ar_quantiles(past, HORIZON), came) / scale)
            loss["ensemble"].append(pinball(before(past), came) / scale)
            covered.append(float(np.mean((came >= said[0]) & (came <= said[-1]))))
            if model is not None:
                rows = np.asarray(model.forecast(past[-8192:].astype(np.float32), horizon=HORIZON)).T
                loss["fracast"].append(inner_loss(rows, np.asarray(model.quantiles), came) / scale)
                loss["inner"].append(inner_loss(said, ours.QUANTILES, came) / scale)
        total = {name: sum(each) for name, each in loss.items()}
        table[kind] = {
            "ar": total["ours"] / total["ar"],
            "ensemble": total["ours"] / total["ensemble"],
            "fracast": total["inner"] / total["fracast"] if total["fracast"] else np.nan,
            "coverage": float(np.mean(covered)),
        }
        print(f"# {kind}: " + ", ".join(f"{k} {v:.3f}" for k, v in table[kind].items()), file=sys.stderr)

    def mean(name: str) -> float | None:
        value = float(np.mean([row[name] for row in table.values()]))
        return round(value, 4) if np.isfinite(value) else None

    return {
        "loss_vs_ar": mean("ar"), "loss_vs_ensemble": mean("ensemble"), "loss_vs_fracast": mean("fracast"),
        "coverage": {kind: round(row["coverage"], 4) for kind, row in table.items()},
        "per_kind": {kind: {k: round(v, 4) for k, v in row.items() if np.isfinite(v)} for kind, row in table.items()},
    }  # fmt: skip


def what_if(data: Path, quick: bool) -> dict[str, Any]:
    """Return errors of predicted sweeps that were left out, of ours and simpler ways."""
    rows: dict[str, dict[str, list[float]]] = {}
    for name in PROTOCOLS[:3] if quick else PROTOCOLS:
        recording = biofm.read_recording(data / f"abf/{name}.abf")
        protocol = read_protocol(recording, 0)
        size = [
            float(s.command[np.argmax(np.abs(s.command - np.median(s.command[:50])))])
            for s in protocol.sweeps
        ]
        order = np.argsort(size, kind="stable")
        for place, out in (("inside", order[len(order) // 2]), ("inside", order[-3]), ("beyond", order[-1])):
            rest = tuple(one for i, one in enumerate(protocol.sweeps) if i != out)
            left = dataclasses.replace(protocol, sweeps=rest)
            for way, (response, spikes) in ways(left, protocol.sweeps[out].command).items():
                own = rows.setdefault(f"{way} {place}", {"response": [], "spikes": []})
                own["response"].append(response_error(protocol.sweeps[out], response, protocol.rate))
                if protocol.is_voltage:
                    own["spikes"].append(abs(spikes - len(protocol.sweeps[out].spikes)))
    return {
        key: {name: round(float(np.mean(each)), 3) for name, each in row.items() if each}
        for key, row in rows.items()
    }


def ways(protocol: Protocol, command: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Return response and number of action potentials of each way to predict a sweep."""
    learned = learn(protocol)
    said = predict(learned, command)
    near = next(one for one in protocol.sweeps if one.number == said.nearest)
    n = len(command)
    return {
        "gif (ours)": (said.mean, float(np.median(said.counts))),
        "nearest": (near.response[:n], float(len(near.spikes))),
        "interpolation": between(protocol, command),
        "passive": passive(protocol, command),
    }


def between(protocol: Protocol, command: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weighted mean of the two sweeps whose commands are most alike, beyond the range as well."""
    n = min(len(command), *(len(one.command) for one in protocol.sweeps))
    apart = [float(np.mean((one.command[:n] - command[:n]) ** 2)) for one in protocol.sweeps]
    first, second = (protocol.sweeps[i] for i in np.argsort(apart, kind="stable")[:2])
    a, b = first.command[:n], second.command[:n]
    span = float((b - a) @ (b - a))
    share = float((command[:n] - a) @ (b - a)) / span if span else 0.0
    count = (1 - share) * len(first.spikes) + share * len(second.spikes)
    return (1 - share) * first.response[:n] + share * second.response[:n], max(count, 0.0)


def passive(protocol: Protocol, command: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a resistor with a capacitor, and one action potential per rise over a threshold."""
    none = np.zeros(0, np.int64)
    best: tuple[float, Fit] | None = None
    for tau in (0.005, 0.01, 0.02, 0.04):
        basis = dataclasses.replace(make_basis(protocol, bends=False, taus=(tau,)), spike_taus=())
        fit = fit_response(protocol.sweeps, basis)
        error = sum(
            response_error(one, fit.predict(one.command, none), protocol.rate) for one in protocol.sweeps
        )
        best = (error, fit) if best is None or error < best[0] else best
    assert best is not None
    voltage = best[1].predict(command, none)
    fires = [best[1].predict(one.command, none).max() for one in protocol.sweeps if len(one.spikes)]
    over = voltage > min(fires, default=np.inf)
    return voltage, float(np.count_nonzero(np.diff(over.astype(int)) > 0))


def response_error(sweep: Sweep, response: np.ndarray, rate: float) -> float:
    """Return the median error between action potentials over the sweep's own spread there."""
    n = min(len(response), len(sweep.response))
    keep = subthreshold(sweep, rate)[:n]
    truth = sweep.response[:n][keep]
    return float(np.sqrt(np.median((response[:n][keep] - truth) ** 2)) / (truth.std() + 1e-12))


def main() -> None:
    wait_asleep()
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="the JSON line alone")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    arguments = parser.parse_args()
    result = forecasts(arguments.data, 10 if arguments.quick else 80)
    result["what_if"] = what_if(arguments.data, arguments.quick)
    if not arguments.json:
        for kind, row in result["per_kind"].items():
            print(f"{kind:10s} " + "  ".join(f"{k} {v:.3f}" for k, v in row.items()))
        for key, row in result["what_if"].items():
            print(f"{key:24s} " + "  ".join(f"{k} {v:.3f}" for k, v in row.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
