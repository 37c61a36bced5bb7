"""Calibrate a checkpoint (or shipped weights again) and write the shipped weights.

`python training/physio/calibrate.py --checkpoint runs/physio/stock/last.pt --out
src/napari_biofm/weights/physio.safetensors`

Temperature and bias of every kind's scores, the two presets, the accept and reject limits and the band of the
calcium rate come from one half of the validation traces; what is reported comes from the other half.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from napari_biofm.events.evaluation import match_events  # noqa: E402
from napari_biofm.events.physio_fm import PhysioFM, weights  # noqa: E402
from napari_biofm.events.physio_fm.decode import sigmoid  # noqa: E402
from training.physio.measure import DEFAULT_CARD, model_of, smooth  # noqa: E402
from training.physio.real import Real  # noqa: E402
from training.physio.sets import TOLERANCE, labelled_sets  # noqa: E402

# median score of the beats of a recording, below which there is no heart: noise of any sort has .50 to .71, the even kept-back
# recordings .74 and more, R waves no larger than the noise included
QUIET_HEART = 0.72
# score that one current of a trace of 5 s or more must reach: noise of any sort stays at .90, the weakest kept-back recording
# (SNR 2) has .93
SURE_CURRENT = 0.91


def collect(model: PhysioFM, kind: str, real: Real) -> list[dict[str, Any]]:
    """Return per trace: its set, logits, which candidates are true, how many truths there are."""
    rows = []
    for name, traces in labelled_sets(kind, real).items():
        for i, trace in enumerate(traces):
            found = model.found(trace.signal, kind)
            if found is None:
                continue
            logit = np.where(found.is_artefact, -9.0, found.logit)
            counted = trace.counted(found.time, TOLERANCE[kind])
            logit = logit[counted]
            hit = match_events(trace.truth, found.time[counted], logit, TOLERANCE[kind])
            rows.append({"set": name, "i": i, "logit": logit, "hit": hit, "n": len(trace.truth)})
    return rows


def platt(logit: NDArray[Any], hit: NDArray[Any]) -> tuple[float, float]:
    """Return temperature and bias of sigmoid((logit - bias) / temperature) by likelihood.

    True and false are targets of slightly less than 1 and more than 0, after Platt (1999): where the candidates
    of the validation traces separate without an exception, scores must not become certainties.
    """
    wanted = np.where(hit, (hit.sum() + 1) / (hit.sum() + 2), 1 / ((~hit.astype(bool)).sum() + 2))

    def cost(p: NDArray[Any]) -> float:
        z = (logit - p[1]) / np.exp(p[0])
        return float(np.mean(np.logaddexp(0, z) - wanted * z))

    best = minimize(cost, [0.0, 0.0], method="Nelder-Mead").x
    return float(np.exp(best[0])), float(best[1])


def expected_error(score: NDArray[Any], hit: NDArray[Any], bins: int = 10) -> tuple[float, list[list[float]]]:
    """Return the expected calibration error and the reliability table (mean score, share true, n)."""
    which = np.minimum((score * bins).astype(int), bins - 1)
    table, error = [], 0.0
    for k in range(bins):
        inside = which == k
        if inside.any():
            table.append([float(score[inside].mean()), float(hit[inside].mean()), int(inside.sum())])
            error += abs(table[-1][0] - table[-1][1]) * inside.mean()
    return float(error), table


def f1_per_set(rows: list[dict[str, Any]], threshold: float, key: str = "score") -> dict[str, float]:
    """Return F1 of every set at a threshold."""
    out = {}
    for name in dict.fromkeys(r["set"] for r in rows):
        mine = [r for r in rows if r["set"] == name]
        tp = sum(int((r["hit"] & (r[key] >= threshold)).sum()) for r in mine)
        found = sum(int((r[key] >= threshold).sum()) for r in mine)
        out[name] = 2 * tp / max(found + sum(r["n"] for r in mine), 1)
    return out


def calibrate_kind(rows: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Return calibration, presets and the report of a kind, fitted on even traces, told on odd ones."""
    even, odd = [r for r in rows if r["i"] % 2 == 0], [r for r in rows if r["i"] % 2]
    logit, hit = (np.concatenate([r[k] for r in even]) for k in ("logit", "hit"))
    temperature, bias = platt(logit, hit.astype(float))
    for r in rows:
        r["score"] = sigmoid((r["logit"] - bias) / temperature)
    grid = np.round(np.linspace(0.05, 0.95, 91), 3)
    mean_f1 = [np.mean(list(f1_per_set(even, t).values())) for t in grid]
    best = np.flatnonzero(np.array(mean_f1) >= max(mean_f1) - 1.5e-3)
    balanced = float(grid[int(np.median(best))])  # the middle of the plateau
    score = np.concatenate([r["score"] for r in even])
    limits = np.linspace(0.3, 0.995, 140).round(3)
    precise = next((float(t) for t in limits if hit[score >= t].mean() >= 0.965), 0.995)
    score_odd, hit_odd = (np.concatenate([r[k] for r in odd]) for k in ("score", "hit"))
    error, table = expected_error(score_odd, hit_odd)
    report = {
        "f1_balanced": {k: round(v, 4) for k, v in f1_per_set(odd, balanced).items()},
        "f1_precise": {k: round(v, 4) for k, v in f1_per_set(odd, precise).items()},
        "precision_of_precise": round(float(hit_odd[score_odd >= precise].mean()), 4),
        "ece": round(error, 4),
        "reliability": [[round(a, 3), round(b, 3), n] for a, b, n in table],
        "n_events": sum(r["n"] for r in odd),
    }
    precise = max(precise, balanced)
    presets = {  # scores are probabilities: what lies between reject and accept is for the user's eye
        "balanced": balanced,
        "precise": precise,
        "accept": max(precise, 0.8),
        "reject": min(balanced, 0.2),
    }
    return {"temperature": temperature, "bias": bias}, presets, report


def rate_band(model: PhysioFM, real: Real) -> dict[str, Any]:
    """Return the table rate -> 5 and 95 % quantiles of the true smoothed rate, from every other kept-back
    cell.
    """
    said, true = [], []
    for dff, fs, spikes, _ in real.cells[::2]:
        if len(dff) < 100:
            continue
        rate, _, _ = model.rate(dff[None], fs)
        count = np.bincount(np.clip((spikes * fs).astype(int), 0, len(dff) - 1), minlength=len(dff)) * fs
        thin = max(1, int(fs // 15))
        said.append(smooth(rate[0], fs)[::thin])
        true.append(smooth(count, fs)[::thin])
    x, y = np.concatenate(said), np.concatenate(true)
    edges = np.unique(np.quantile(x, np.r_[np.linspace(0, 0.9, 10), np.linspace(0.92, 1, 9)]))
    rows = []
    for a, b in itertools.pairwise(edges):
        inside = (x >= a) & (x <= b)
        if inside.sum() > 50:
            rows.append([float(np.median(x[inside])), *np.quantile(y[inside], [0.05, 0.95]).tolist()])
    table = np.maximum.accumulate(np.array(rows), axis=0)
    top = table[-1]
    table = np.concatenate([table, [top * 4]])
    return {
        "rate": table[:, 0].tolist(),
        "low": table[:, 1].tolist(),
        "high": table[:, 2].tolist(),
        "smoothing_s": 0.05,
    }


def beat_prior(real: Real) -> dict[str, Any]:
    """Return how usual an interval between beats is, as a ratio to the median of those around it.

    From the labelled records of the training part, smoothed over neighbouring ratios, three counts added to
    each. Half of the logarithm is believed (`weight`): the intervals are not independent of the heat. The
    weight was chosen among 0.35, 0.5, 0.7, 1 and 1.5 on the even kept-back records.
    """
    from scipy.ndimage import gaussian_filter1d

    ratios = []
    for _, peaks, _ in real.beats:
        interval = np.diff(peaks).astype(float)
        if len(interval) > 8:
            around = [
                np.median(np.delete(interval[max(0, j - 8) : j + 9], min(j, 8))) for j in range(len(interval))
            ]
            ratios.append(interval / np.array(around))
    edges = np.geomspace(0.25, 3, 41)
    count = np.histogram(np.clip(np.concatenate(ratios), 0.25, 3), edges)[0] + 3.0
    log_density = np.log(gaussian_filter1d(count, 1.0) / np.diff(np.log(edges)))
    return {
        "ratio": np.sqrt(edges[1:] * edges[:-1]).round(4).tolist(),
        "log_density": (log_density - log_density.max()).round(4).tolist(),
        "weight": 0.5,
        "temperature": 1.0,
        "bias": 0.0,
    }


def main() -> None:
    """Calibrate and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--only", nargs="+", choices=list(TOLERANCE), default=list(TOLERANCE), help="keep the others of OUT"
    )
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--config", default="training/physio/config.toml", help="that trained the checkpoint")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    real = Real(arguments.data, arguments.cache, "val")
    described = arguments.out.with_suffix(".json")
    old: dict[str, Any] = json.loads(described.read_text()) if described.exists() else {}
    kept = {} if len(arguments.only) == len(TOLERANCE) else old
    card: dict[str, Any] = kept | {k: v for k, v in DEFAULT_CARD.items() if k == "rungs" or k not in kept}
    if "ecg" in arguments.only:
        card["beats"] = beat_prior(Real(arguments.data, arguments.cache, "train"))
    model = model_of(arguments.checkpoint, card)
    report: dict[str, Any] = dict(kept.get("report", {}))
    for kind in arguments.only:
        card["calibration"][kind], card["presets"][kind], report[kind] = calibrate_kind(
            collect(model, kind, real)
        )
        sys.stdout.write(
            f"{kind} {json.dumps(card['presets'][kind])} {json.dumps(report[kind]['f1_balanced'])}\n"
        )
        sys.stdout.flush()
    if "calcium" in arguments.only:
        card["rate_band"] = rate_band(model, real)
    if arguments.checkpoint.suffix == ".safetensors":
        training = weights.read_card(arguments.checkpoint)["training"]
    else:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT
        ).stdout.strip()
        step = torch.load(arguments.checkpoint, weights_only=True)["step"]
        training = {"commit": commit, "steps": step, "config": arguments.config}
    card |= {
        "name": "physio-fm",
        "version": "1",
        "training": training,
        "report": report,
    }
    # trees that lie beside the weights; what judges.py and counts.py fit must be fitted again for other weights
    card |= {k: v for k, v in old.items() if k == "rhythm"}
    card["presets"].get("ecg", {}).setdefault("recording", QUIET_HEART)
    card["presets"].get("psc", {}).setdefault("sure", SURE_CURRENT)
    weights.write(arguments.out, model.network(), card)


if __name__ == "__main__":
    main()
