"""Fit the judges of physio-FM: network and raw trace together, silent where nothing happens.

`python training/physio/judges.py --weights src/napari_biofm/weights/physio.safetensors [--only calcium spike]`
writes judges and presets into the JSON beside the weights (the weights stay as they are) and prints what they bring.

Fitted on even traces of `sets.py` and `hard.py` and on silent recordings of seeds 1 to 3; told are odd traces and silent
recordings of seed 0, beside the same without a judge.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from napari_biofm.events.evaluation import match_events  # noqa: E402
from napari_biofm.events.physio_fm import PhysioFM, weights  # noqa: E402
from napari_biofm.events.physio_fm.evidence import calcium_evidence, in_calcium, summary  # noqa: E402
from napari_biofm.events.physio_fm.judge import judged, products  # noqa: E402
from napari_biofm.events.physio_fm.table import likely_best, scores  # noqa: E402
from napari_biofm.events.physio_fm.units import unit_evidence  # noqa: E402
from napari_biofm.files import write_text  # noqa: E402
from napari_biofm.types import Trace  # noqa: E402
from training.physio.backgrounds import Backgrounds  # noqa: E402
from training.physio.calibrate import expected_error  # noqa: E402
from training.physio.hard import NOISES, hard_sets, plateaus, silent  # noqa: E402
from training.physio.real import Real  # noqa: E402
from training.physio.sets import TOLERANCE, Labelled, labelled_sets  # noqa: E402

KINDS = ("calcium", "spike")
MINUTES = {"calcium": 18.0, "spike": 2.0}  # of silence per noise
BOUND = {"calcium": 0.2, "spike": 2.0}  # false events per minute
AIM = {"calcium": 0.1, "spike": 1.0}  # chosen with room
SILENT_WEIGHT = {"calcium": 3.0, "spike": 1.0}
Row = dict[str, Any]


def row_of(model: PhysioFM, kind: str, labelled: Labelled) -> Row | None:
    """Return evidence, truth and minutes of a trace."""
    signal = labelled.signal
    found = model.found(signal, kind)
    if found is None:
        return None
    before = scores(kind, found.logit, model.card)
    old_time = found.time
    old_score: NDArray[Any] = np.where(found.is_artefact, 0, before)
    if kind == "calcium":
        columns = calcium_evidence(signal, found, before)
        own: NDArray[Any] = before
    else:
        found, columns = unit_evidence(signal, found)
        own = np.zeros(len(found.time))
    use = ~found.is_artefact & labelled.counted(found.time, TOLERANCE[kind])
    old = labelled.counted(old_time, TOLERANCE[kind])
    return {
        "columns": columns[use], "own": own[use], "time": found.time[use], "truth": labelled.truth, "n": len(labelled.truth),
        "old_score": old_score[old], "old_time": old_time[old],
        "minutes": len(signal.values) / signal.sampling_rate / 60,
    }  # fmt: skip


def rows_of(model: PhysioFM, kind: str, data: Path, cache: Path) -> list[Row]:
    """Return the rows of all traces of a kind, with events and without."""
    behind = Backgrounds(data, "val")
    sets = {("own", k): v for k, v in labelled_sets(kind, Real(data, cache, "val")).items()}
    sets |= {("hard", k): v for k, v in hard_sets(kind, behind).items()}
    if kind == "calcium":
        sets["plateau", "plateau"] = [Labelled(t, np.array([30.0])) for t in plateaus()]
    for seed in (0, 1, 2, 3, 4):
        for name in NOISES:
            quiet = silent(kind, name, MINUTES[kind], seed)
            sets[f"silent {seed}", name] = [Labelled(shorter(t), np.zeros(0)) for t in quiet]
    rows = []
    for (group, name), traces in sets.items():
        for i, one in enumerate(traces):
            row = row_of(model, kind, one)
            if row is not None:
                fit = group in ("silent 1", "silent 2", "silent 3") or (
                    not group.startswith("silent") and i % 2 == 0
                )
                rows.append(row | {"group": group, "set": name, "i": i, "fit": fit})
    return rows


def shorter(signal: Trace, most: int = 3_000_000) -> Trace:
    """Return at most so many samples."""
    return Trace(signal.values[:most], signal.sampling_rate, signal.unit)


def fit(rows: list[Row], kind: str) -> dict[str, Any]:
    """Return a judge without its thresholds."""
    mine = [r for r in rows if r["fit"] and len(r["time"])]
    columns = np.concatenate([r["columns"] for r in mine])
    hit = np.concatenate(
        [match_events(r["truth"], r["time"], order_of(r["columns"]), TOLERANCE[kind]) for r in mine]
    )
    heavy = SILENT_WEIGHT[kind]
    weight = np.concatenate(
        [np.full(len(r["time"]), heavy if r["group"].startswith("silent") else 1.0) for r in mine]
    )
    return regression(columns, hit, weight)


def regression(
    columns: NDArray[Any], hit: NDArray[Any], weight: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Return the numbers of a judge: a logistic regression on columns and their products."""
    from sklearn.linear_model import LogisticRegression

    middle, spread = columns.mean(0), np.maximum(columns.std(0), 1e-6)
    many = products(np.clip((columns - middle) / spread, -6, 6))
    scale = np.maximum(many.std(0), 1e-6)
    model = LogisticRegression(C=0.3, max_iter=5000).fit(many / scale, hit, sample_weight=weight)
    return {
        "middle": middle.round(5).tolist(), "spread": spread.round(5).tolist(),
        "weights": (model.coef_[0] / scale).round(5).tolist(), "bias": round(float(model.intercept_[0]), 5),
    }  # fmt: skip


def fit_trace(rows: list[Row], judge: dict[str, Any]) -> dict[str, Any]:
    """Return the judge of whole traces: active or silent."""
    mine = [r for r in rows if r["fit"] and len(r["time"])]
    told_of = [summary(r["columns"], r["own"], judged(r["columns"], judge)) for r in mine]
    active = np.array([not r["group"].startswith("silent") for r in mine])
    return regression(np.concatenate(told_of), active, np.where(active, 1.0, 2.0))


def order_of(columns: NDArray[Any]) -> NDArray[Any]:
    """Return in which order candidates take the true events while there is no judge yet."""
    return np.asarray(columns[:, 0] + columns[:, 1:3].sum(1))


def kept(score: NDArray[Any], least: float, sure: float) -> NDArray[np.bool_]:
    """Return which candidates of one trace are events, as in `stock._with_threshold`."""
    if not len(score):
        return np.zeros(0, bool)
    threshold = likely_best(score, least)
    return np.asarray(score >= (max(threshold, sure) if score.max() < sure else threshold))


def told(rows: list[Row], kind: str, keep: Any) -> dict[str, float]:
    """Return F1 per set with events, false events per minute per noise."""
    counts: dict[str, list[float]] = {}
    for r in rows:
        time, score, passed = keep(r)
        hit = match_events(r["truth"], time[passed], score[passed], TOLERANCE[kind])
        key = f"{r['set']}, per minute" if r["group"].startswith("silent") else f"{r['group']} / {r['set']}"
        c = counts.setdefault(key, [0, 0, 0, 0])
        for k, v in enumerate((hit.sum(), passed.sum(), r["n"], r["minutes"])):
            c[k] += float(v)
    return {
        key: found / minutes if key.endswith("minute") else 2 * true / max(found + n, 1)
        for key, (true, found, n, minutes) in counts.items()
    }


def with_judge(judge: dict[str, Any]) -> Any:
    """Return what keeps events of a row by a judge."""

    def keep(r: Row) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return r["time"], r["score"], kept(r["score"], judge["least"], judge.get("sure", 0.0))

    return keep


def without_judge(card: dict[str, Any], kind: str) -> Any:
    """Return what keeps events of a row by the network alone, as in the version before."""
    fixed = float(card["presets"][kind]["balanced"])

    def keep(r: Row) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        threshold = likely_best(r["old_score"]) if kind == "calcium" else fixed
        return r["old_time"], r["old_score"], r["old_score"] >= threshold

    return keep


def choose(rows: list[Row], kind: str, judge: dict[str, Any]) -> None:
    """Set the thresholds: the best mean F1 among those that hold the aim on every noise of the fitted seeds and seed 4."""
    events = [r for r in rows if r["fit"] and r["group"] in ("own", "hard")]
    quiet = [r for r in rows if r["group"].startswith("silent") and r["group"] != "silent 0"]
    best: tuple[float, dict[str, float]] = (-1.0, {})
    grid = {
        "calcium": [
            {"least": 0.1, "active": a, "surely": a + 0.3, "support": 0.15, "sure": s}
            for a in (0.5, 0.55, 0.6, 0.65) for s in (0.35, 0.4, 0.45, 0.5, 0.55)
        ],
        "spike": [
            {"least": m, "sure": s}
            for m in (0.1, 0.15, 0.2, 0.3, 0.4, 0.5) for s in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
        ],
    }[kind]  # fmt: skip
    for chosen in grid:
        judge |= chosen
        set_scores(rows, kind, judge)
        if max(told(quiet, kind, with_judge(judge)).values()) > AIM[kind]:
            continue
        f1 = float(np.mean(list(told(events, kind, with_judge(judge)).values())))
        best = max(best, (f1, chosen), key=lambda b: b[0])
    judge |= best[1] or grid[-1]
    if "active" in judge:  # room for noise that none of the seeds has shown
        judge |= {"active": round(judge["active"] + 0.1, 3), "surely": round(judge["surely"] + 0.1, 3)}
    set_scores(rows, kind, judge)


def set_scores(rows: list[Row], kind: str, judge: dict[str, Any]) -> None:
    """Write the score of every candidate as the detector gives it."""
    for r in rows:
        if kind == "calcium":
            r["score"] = in_calcium(r["columns"], r["own"], judge)
        else:
            r["score"] = judged(r["columns"], judge)


def precise_of(rows: list[Row], kind: str, judge: dict[str, Any]) -> tuple[float, float, float]:
    """Return the threshold with a precision of 95 % on the fitted traces, its precision on the others, and the ECE."""
    parts: dict[bool, list[Any]] = {True: [], False: []}
    for r in rows:
        if r["group"] in ("own", "hard"):
            hit = match_events(r["truth"], r["time"], r["score"], TOLERANCE[kind])
            parts[r["fit"]].append((r["score"], hit))
    (score, hit), (score_odd, hit_odd) = (
        tuple(np.concatenate([p[k] for p in parts[f]]) for k in (0, 1)) for f in (True, False)
    )
    limits = np.linspace(judge["least"], 0.995, 160)
    precise = next((float(t) for t in limits if hit[score >= t].mean() >= 0.955), 0.995)
    return (
        round(precise, 4),
        float(hit_odd[score_odd >= precise].mean()),
        expected_error(score_odd, hit_odd)[0],
    )


def main() -> None:
    """Fit, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=ROOT / "src/napari_biofm/weights/physio.safetensors")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    card = weights.read_card(arguments.weights)
    model = PhysioFM(arguments.weights, threads=1)
    for kind in arguments.only:
        rows = rows_of(model, kind, arguments.data, arguments.cache)
        judge = fit(rows, kind)
        if kind == "calcium":
            judge["trace"] = fit_trace(rows, judge)
        choose(rows, kind, judge)
        precise, precision, error = precise_of(rows, kind, judge)
        others = [r for r in rows if not r["fit"] and r["group"] != "silent 4"]
        before, after = (told(others, kind, k) for k in (without_judge(card, kind), with_judge(judge)))
        for key, value in after.items():
            sys.stdout.write(f"{kind} / {key:45s} before {before[key]:.3f} after {value:.3f}\n")
        sys.stdout.write(
            f"{kind}: {[(k, judge[k]) for k in ('least', 'sure', 'active', 'support') if k in judge]}, precise from {precise} with precision "
            f"{precision:.3f}, ECE {error:.3f}\n"
        )
        sys.stdout.flush()
        card.setdefault("judges", {})[kind] = judge
        card["presets"][kind] |= {"balanced": judge["least"], "precise": precise, "accept": max(precise, 0.8)}
        card["report"].setdefault("judges", {})[kind] = {
            "f1": {k: round(v, 4) for k, v in after.items() if not k.endswith("minute")},
            "false_events_per_min": {k.split(",")[0]: round(v, 3) for k, v in after.items() if k.endswith("minute")},
            "precision_of_precise": round(precision, 4), "ece": round(error, 4), "bound_per_min": BOUND[kind],
        }  # fmt: skip
    write_text(arguments.weights.with_suffix(".json"), json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
