"""What a few marks teach: events of unfamiliar shapes, against the stock model and template matching.

    python benchmarks/few_labels.py [--quick] [--split report|develop] [--seeds N ...] [--data DIR] [--docs]

A user marks the first 5, 10, 20 or 50 events of one recording and nothing else; `adapt`, as called by the dock and
the command line, makes a head of them. F1 is of what lies behind the 50th event of that recording and of a
recording of another cell, at the head's own threshold. Beside it, on the same stretches: the stock model at
its balanced preset and at its best threshold, and the template matcher of Clements & Bekkers (1997) three times:
with the average of the same marks and the threshold that was best on the marked stretch ("marks"), with that
average and the threshold best on the very events that are scored ("hand-tuned": an oracle, no user has it), and
with the mean of the true shapes and that threshold ("true shape"). All templates span the true length.
Shapes: training/physio/unfamiliar.py; those of "develop" helped to choose how `adapt` works, those of
"report" did not. Behind the taught head and the hand-tuned template stand the lowest and the highest mean of a
seed: other backgrounds, other cells, other events. The last line is one JSON object; `--docs` writes the table and the picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.physio.sets import Labelled, Scores  # noqa: E402
from training.physio.unfamiliar import UNFAMILIAR, Unfamiliar, recording  # noqa: E402

from napari_biofm.engine.threads import wait_asleep  # noqa: E402
from napari_biofm.events.classical.template import detection_criterion  # noqa: E402
from napari_biofm.events.physio_fm import PhysioFM  # noqa: E402
from napari_biofm.events.physio_fm.adapt import AdaptedHead, Marks, adapt  # noqa: E402
from napari_biofm.types import BiofmError, DetectionSettings, Trace, run_task  # noqa: E402

LABELS = (5, 10, 20, 50)
STRENGTHS = (5.0, 8.0)
SEEDS = {"develop": (0, 1, 2), "report": (10, 11, 12)}
SKIPPED = 50  # events of the marked recording that are never scored
LOOSE = 0.3  # of an event's length: as far a found event may lie from its place
CLICK = 0.02  # of an event's length: standard deviation of the user's clicks
METHODS = {
    "adapted": "taught head",
    "hand-tuned": "template of the marks, best threshold on the test",
    "true shape": "template of the truth, best threshold on the test",
    "marks": "template and threshold of the marks",
    "stock best": "stock model, best threshold on the test",
    "stock": "stock model",
}
RANGED = ("adapted", "hand-tuned")  # told with the lowest and the highest mean of a seed
MARKS = ("<!-- few labels -->", "<!-- end of few labels -->")


def scored_part(trace: Labelled) -> Labelled:
    """Return the marked recording with what is scored of it: behind the part that may be marked."""
    first = 0.5 * (trace.truth[SKIPPED - 1] + trace.truth[SKIPPED])
    return Labelled(trace.signal, trace.truth[SKIPPED:], span=(first, np.inf))


def clicks(one: Unfamiliar, trace: Labelled, n: int, seed: int) -> Any:
    """Return the times that a user marks: the first n events, not quite exactly."""
    rng = np.random.default_rng((seed, n))
    return np.sort(trace.truth[:n] + CLICK * one.length * rng.normal(size=n))


def template_matches(signal: Trace, template: Any, lead: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the peaks (s) of the detection criterion and their heights, none closer than `apart` s."""
    from scipy.signal import find_peaks

    criterion = detection_criterion(signal.values, template)
    at, found = find_peaks(criterion, height=0.0, distance=max(1, round(apart * signal.sampling_rate)))
    return (at + lead) / signal.sampling_rate, found["peak_heights"]


def average(one: Unfamiliar, signal: Trace, times: Any) -> tuple[np.ndarray, int]:
    """Return the average of marked events over their true length and a fifth before, aligned twice."""
    fs = signal.sampling_rate
    lead, length = round((one.at + 0.2 * one.length) * fs), round(1.2 * one.length * fs)
    slack = max(1, round(0.05 * one.length * fs))
    places = [round(t * fs) - lead for t in times]
    cuts = np.stack(
        [
            signal.values[p - slack : p + length + slack].astype(float)
            for p in places
            if p >= slack and p + length + slack <= len(signal.values)
        ]
    )
    cuts = cuts - np.median(cuts, 1, keepdims=True)
    shifts = np.full(len(cuts), slack)
    for _ in range(3):
        mean = np.mean([c[s : s + length] for c, s in zip(cuts, shifts, strict=True)], 0)
        mean = mean - mean.mean()
        views = np.lib.stride_tricks.sliding_window_view(cuts, length, axis=1)
        shifts = (views @ mean).argmax(1)
    return mean, lead


def peers(
    one: Unfamiliar, tests: Sequence[Labelled], a: Labelled, templates: dict[str, tuple[Any, int]], times: Any
) -> dict[str, float]:
    """Return F1 of template matchers at their best threshold, and of the hand-tuned one at that of the marks."""
    tolerance = LOOSE * one.length
    out = {}
    for name, (template, mark) in templates.items():
        scores = Scores()
        for test in tests:
            scores.add(test, *template_matches(test.signal, template, mark, 0.5 * one.length), tolerance)
        out[name] = scores.f1()[0]
        if name == "hand-tuned":
            marked = Labelled(a.signal, times, span=(times[0], times[-1]))
            own = Scores()
            own.add(marked, *template_matches(a.signal, template, mark, 0.5 * one.length), tolerance)
            out["marks"] = scores.f1(own.f1()[1])[0]
    return out


def by_head(model: PhysioFM, head: AdaptedHead, tests: Sequence[Labelled], tolerance: float) -> float:
    """Return F1 of what a taught head finds at its own threshold."""
    scores = Scores()
    for test in tests:
        table = run_task(head.detect(model, test.signal, DetectionSettings()))
        scores.add(test, table["time_s"], table["score"], tolerance)
    return scores.f1(-np.inf)[0]


def by_stock(
    model: PhysioFM, one: Unfamiliar, tests: Sequence[Labelled], tolerance: float
) -> dict[str, float]:
    """Return F1 of the stock model at its balanced preset and at its best threshold."""
    out = {}
    for name, settings in (
        ("stock", DetectionSettings(kind=one.kind)),  # type: ignore[arg-type]
        ("stock best", DetectionSettings(kind=one.kind, all_scores=True)),  # type: ignore[arg-type]
    ):
        scores = Scores()
        for test in tests:
            table = run_task(model.detect_stock(test.signal, settings))
            scores.add(test, table["time_s"], table["score"], tolerance)
        out[name] = scores.f1(-np.inf if name == "stock" else None)[0]
    return out


def curve(
    model: PhysioFM,
    one: Unfamiliar,
    seed: int,
    strength: float,
    labels: Sequence[int],
    data: Path,
    cache: Path,
) -> list[dict[str, Any]]:
    """Return one row per number of labels."""
    (a, shape), (b, _) = (
        recording(one, which, seed, strength, data, cache, n) for which, n in ((0, 100), (1, 50))
    )
    tests, tolerance = [scored_part(a), b], LOOSE * one.length
    lead, at = (round(s * a.signal.sampling_rate) for s in (0.2 * one.length, one.at))
    truth = {"true shape": (np.concatenate([np.zeros(lead), shape]), lead + at)}
    same = by_stock(model, one, tests, tolerance) | peers(one, tests, a, truth, ())
    rows = []
    for n in labels:
        times = clicks(one, a, n, seed)
        row: dict[str, Any] = {"name": one.name, "seed": seed, "strength": strength, "labels": n}
        begun = time.perf_counter()
        try:
            head = run_task(adapt(model, [Marks(a.signal, times)], one.kind))
            row["seconds"] = time.perf_counter() - begun
            row["adapted"] = by_head(model, head, tests, tolerance)
            row["threshold"], row["told"] = head.threshold, head.report["f1_adapted"]
        except BiofmError as error:
            row |= {"seconds": time.perf_counter() - begun, "adapted": 0.0, "error": str(error)}
        marked = {"hand-tuned": average(one, a.signal, times)}
        rows.append(row | same | peers(one, tests, a, marked, times))
        print(
            f"# {one.name}, {len(tests[0].truth)} + {len(b.truth)} events, strength {strength:g}, seed {seed}, {n:2d} marks: "
            + ", ".join(f"{m} {rows[-1][m]:.3f}" for m in METHODS)
            + f"; {row['seconds']:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean F1 per kind of event (and of all), number of labels and method, and ranges over seeds."""
    names = list(dict.fromkeys(r["name"] for r in rows))
    out: dict[str, Any] = {}
    for name in [*names, "all"]:
        some = [r for r in rows if name in (r["name"], "all")]
        out[name] = {}
        for n in sorted({r["labels"] for r in some}):
            by_seed = [
                [r for r in some if r["labels"] == n and r["seed"] == seed]
                for seed in sorted({r["seed"] for r in some})
            ]
            means = {m: [float(np.mean([r[m] for r in part])) for part in by_seed] for m in METHODS}
            row = {m: round(float(np.mean(v)), 4) for m, v in means.items()}
            for m in RANGED:
                row |= {f"{m} least": round(min(means[m]), 4), f"{m} most": round(max(means[m]), 4)}
            out[name][str(n)] = row
    return out


def as_markdown(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the table: one line per event and number of labels."""
    lines = [f"| event | marks | {' | '.join(METHODS)} |", "|---|---|" + "---|" * len(METHODS)]
    for name, by_labels in found.items():
        for n, row in by_labels.items():
            cells = [
                f"{row[m]:.3f}"
                + (f" ({row[f'{m} least']:.2f} to {row[f'{m} most']:.2f})" if m in RANGED else "")
                for m in METHODS
            ]
            lines.append(f"| {name} | {n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw F1 against the number of labels, one panel per kind of event."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    styles = {
        "adapted": ("#0072b2", "o-"), "hand-tuned": ("#d55e00", "s--"), "true shape": ("#e69f00", ":"),
        "marks": ("#8a8a8a", "^-"), "stock best": ("#009e73", ":"),
    }  # fmt: skip
    figure, axes = plt.subplots(
        2, -(-len(found) // 2), figsize=(12, 5.4), sharey=True, constrained_layout=True
    )
    for axis, (name, by_labels) in zip(axes.flat, found.items(), strict=False):
        at = [int(n) for n in by_labels]
        for method, (colour, style) in styles.items():
            values = [row[method] for row in by_labels.values()]
            axis.plot(at, values, style, color=colour, label=METHODS[method], markersize=4)
        axis.set(xscale="log", ylim=(0, 1.02), xticks=at, xticklabels=at, title=name)
        axis.minorticks_off()
        axis.title.set_fontsize(9)
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("F1, rest and another cell")
    for axis in axes[-1]:
        axis.set_xlabel("marked events")
    handles, words = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, words, frameon=False, fontsize=8, ncol=3, loc="outside lower center")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write_docs(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """Put the picture into docs/physio.md and the table into training/physio/REPORT.md."""
    draw(found, ROOT / "docs" / "images" / "physio_few_labels.png")
    whole = {"all": found["all"]}
    for page, shown in (
        (
            ROOT / "docs" / "physio.md",
            f"{as_markdown(whole)}\n\n![F1 against marks](images/physio_few_labels.png)",
        ),
        (ROOT / "training" / "physio" / "REPORT.md", as_markdown(found)),
    ):
        text = page.read_text(encoding="utf-8")
        before, rest = text.split(MARKS[0], 1)
        after = rest.split(MARKS[1], 1)[1]
        page.write_text(f"{before}{MARKS[0]}\n{shown}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    wait_asleep()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="three kinds of events, one recording, 5 and 20 marks"
    )
    parser.add_argument("--split", choices=list(SEEDS), default="report")
    parser.add_argument("--seeds", type=int, nargs="+", help="other backgrounds, cells and events")
    parser.add_argument("--kinds", nargs="+", metavar="NAME", help="only events whose names begin so")
    parser.add_argument("--weights", type=Path, help="other weights of physio-FM, with their card")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--docs", action="store_true", help="write table and picture into the documents")
    arguments = parser.parse_args()
    model = PhysioFM(arguments.weights, threads=arguments.threads)
    wanted = [u for u in UNFAMILIAR if u.split == arguments.split]
    if arguments.kinds:
        wanted = [u for u in wanted if u.name.startswith(tuple(arguments.kinds))]
    labels: tuple[int, ...] = LABELS
    strengths: tuple[float, ...] = STRENGTHS
    seeds = arguments.seeds or SEEDS[arguments.split]
    if arguments.quick:
        wanted, labels, strengths, seeds = wanted[1::2], (5, 20), (5.0,), seeds[:1]
    rows = []
    for seed in seeds:
        for one in wanted:
            for strength in strengths:
                rows += curve(model, one, seed, strength, labels, arguments.data, arguments.cache)
    found = summary(rows)
    print(as_markdown(found))
    if arguments.docs:
        write_docs(found)
    print(json.dumps({"f1": found, "seconds_most": round(max(r["seconds"] for r in rows), 2)}))


if __name__ == "__main__":
    main()
