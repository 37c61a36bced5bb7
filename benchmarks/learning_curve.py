"""Cell states on real data, through the command line: scores on groups kept back, and learning curves.

    python benchmarks/learning_curve.py [--quick] [--json] [--data DIR] [--docs]

Each set is split by plate, picture or (one set) cell as in the training of the shipped model, which has
never seen the part kept back. `napari-biofm cells fit` and `cells predict` run on both parts as a user would
run them, with the embedded model, with handcrafted measures and with an untrained network. Then heads are
fitted on shares of the training labels, drawn per class, three times each; all are scored on the same kept
cells. `--docs` writes the figure and the table between the marks in docs/cells.md. Times are of the whole `fit`, scores and
learning curve included.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.image.data import States, load_states  # noqa: E402

from napari_biofm.cells.classify.commands import DEFAULT_HEAD  # noqa: E402
from napari_biofm.cells.classify.more_heads import make_head  # noqa: E402
from napari_biofm.cells.classify.scores import macro_f1  # noqa: E402
from napari_biofm.cells.embed.embeddings import VIEWS, crop_encoder, views_of  # noqa: E402
from napari_biofm.cells.embed.encoders import RANDOM, encode_crops  # noqa: E402
from napari_biofm.cells.table.cell_table import BASELINE  # noqa: E402
from napari_biofm.cli import main as command_line  # noqa: E402
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL  # noqa: E402
from napari_biofm.types import run_task  # noqa: E402

PER_CLASS = (1, 2, 4, 8, 16, 32, 64, 10_000)  # labels of each class, as far as there are
REPEATS = 3
TITLES = {
    "state_mitocheck": "MitoCheck, 16 phenotypes (plates kept back)",
    "state_jurkat_cc": "Jurkat, 7 cell-cycle stages (cells kept back)",
    "state_bccd": "Blood, 3 cell types (pictures kept back)",
}
COLOURS = {DEFAULT_MODEL: "#0072b2", BASELINE: "#d55e00", RANDOM: "#8a8a8a"}
WORDS = {DEFAULT_MODEL: "embedded model", BASELINE: "handcrafted measures", RANDOM: "untrained network"}
MARKS = ("<!-- learning curve -->", "<!-- end of learning curve -->")


def through_the_command_line(states: States, model: str, folder: Path) -> dict[str, Any]:
    """Fit on the training part and predict the other by the two commands; return the score."""
    train, test = np.flatnonzero(states.part == "train"), np.flatnonzero(states.part != "train")
    np.save(folder / "train.npy", states.crops[train])
    np.save(folder / "kept.npy", states.crops[test])
    names = np.asarray(states.classes)
    one_group = len(set(states.groups)) == len(
        states.groups
    )  # cells of one picture: a group each says nothing
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["object_id", "label", "group"])
        for i, row in enumerate(train):
            writer.writerow([i, names[states.labels[row]], "" if one_group else states.groups[row]])
    started = time.perf_counter()
    head, found = folder / "head", folder / "found.csv"
    fit = ["cells", "fit", "--crops", folder / "train.npy", "--labels", folder / "labels.csv", "--out", head]
    guess = ["cells", "predict", "--crops", folder / "kept.npy", "--head", head, "--out", found]
    for call in (fit, guess):
        if command_line([str(word) for word in (*call, "--model", model)]):
            raise SystemExit(f"napari-biofm {' '.join(map(str, call))} failed")
        if call is fit:
            fitted = time.perf_counter() - started
    with found.open(newline="") as file:
        predicted = [row["label"] for row in csv.DictReader(file)]
    scores = json.loads((head / "scores.json").read_text())
    low, high = interval(names[states.labels[test]], predicted, states.groups[test], states.classes)
    return {
        "kept_back": score(names[states.labels[test]], predicted, states.classes),
        "interval": [low, high],
        "cross_validated": scores["macro_f1"],
        "blocks": scores["blocks"],
        "fit_s": round(fitted, 1),
    }


def score(truth: Any, found: Any, classes: list[str]) -> float:
    """Macro-F1 over the classes that occur."""
    return macro_f1(table_of(truth, found, classes))


def table_of(truth: Any, found: Any, classes: list[str]) -> Any:
    code = {name: i for i, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table, ([code[t] for t in truth], [code[f] for f in found]), 1)
    return table


def interval(truth: Any, found: Any, groups: Any, classes: list[str], n: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval, whole groups drawn."""
    truth, found, groups = np.asarray(truth), np.asarray(found), np.asarray(groups)
    tables = np.stack([table_of(truth[groups == g], found[groups == g], classes) for g in np.unique(groups)])
    rng = np.random.default_rng(0)
    drawn = [macro_f1(tables[rng.integers(0, len(tables), len(tables))].sum(0)) for _ in range(n)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def curve(
    states: States, vectors: Any, parts: Any, repeats: int, per_class: tuple[int, ...]
) -> list[dict[str, float]]:
    """Score on the kept part against the number of labels."""
    train, test = np.flatnonzero(states.part == "train"), np.flatnonzero(states.part != "train")
    names = np.asarray(states.classes, object)
    rows = []
    for most in per_class:
        found, sizes = [], []
        for seed in range(repeats if most < 1000 else 1):
            rng = np.random.default_rng(seed)
            chosen = []
            for c in range(len(names)):
                mine = train[states.labels[train] == c]
                chosen.append(rng.choice(mine, min(most, len(mine)), replace=False))
            part = np.sort(np.concatenate(chosen))
            groups = [str(g) for g in states.groups[part]]
            grouped = len(set(groups)) < len(groups)
            head = make_head(DEFAULT_HEAD, parts=parts)
            head.fit(vectors[part], names[states.labels[part]], groups if grouped else None)
            told = np.asarray(head.classes)[head.predict_proba(vectors[test]).argmax(1)]
            found.append(score(names[states.labels[test]], told, states.classes))
            sizes.append(len(part))
        rows.append(
            {
                "n_labels": float(np.mean(sizes)),
                "macro_f1": float(np.mean(found)),
                "low": float(np.min(found)),
                "high": float(np.max(found)),
            }
        )
    return rows


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the curves of all sets."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, axes = plt.subplots(1, len(results), figsize=(4.2 * len(results), 3.6), constrained_layout=True)
    for axis, (name, found) in zip(np.atleast_1d(axes), results.items(), strict=True):
        for model, rows in found["curves"].items():
            at = np.asarray([[r["n_labels"], r["macro_f1"], r["low"], r["high"]] for r in rows])
            axis.plot(at[:, 0], at[:, 1], "o-", color=COLOURS[model], label=WORDS[model], markersize=4)
            axis.fill_between(at[:, 0], at[:, 2], at[:, 3], color=COLOURS[model], alpha=0.15, linewidth=0)
        axis.set(xscale="log", ylim=(0, 1.02), xlabel="labelled cells", title=TITLES[name])
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.title.set_fontsize(9)
        axis.grid(alpha=0.3)
    np.atleast_1d(axes)[0].set_ylabel("macro-F1 on cells kept back")
    np.atleast_1d(axes)[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def as_markdown(results: dict[str, Any]) -> str:
    """Return the table of scores."""
    lines = [
        "| set | labels / kept back | embedded model | handcrafted | untrained network | cross-validated (model) |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        cells = [
            "{kept_back:.3f} ({0:.2f} to {1:.2f})".format(
                *found["scores"][m]["interval"], **found["scores"][m]
            )
            for m in COLOURS
        ]
        lines.append(
            f"| {TITLES[name]} | {found['n_train']} / {found['n_kept']} | {' | '.join(cells)} | "
            f"{found['scores'][DEFAULT_MODEL]['cross_validated']:.3f} |"
        )
    return "\n".join(lines)


def write_docs(results: dict[str, Any]) -> None:
    """Put figure and table into docs/cells.md."""
    draw(results, ROOT / "docs" / "images" / "cells_learning.png")
    page = ROOT / "docs" / "cells.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    shown = f"{as_markdown(results)}\n\n![Score against number of labels](images/cells_learning.png)"
    page.write_text(f"{before}{MARKS[0]}\n{shown}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/imaging")
    parser.add_argument("--quick", action="store_true", help="the smallest set, one draw per point")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--docs", action="store_true", help="write figure and table into docs/")
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="only these, such as state_bccd")
    parser.add_argument(
        "--results", type=Path, metavar="JSON", help="kept there and gone on with, set by set"
    )
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"{options.data} is not there; give --data FOLDER with state_mitocheck and so on")
    sets = load_states(options.data)
    if options.quick:
        sets = [s for s in sets if s.name == "state_bccd"]
    results: dict[str, Any] = {}
    if options.results is not None and options.results.is_file():
        results = json.loads(options.results.read_text(encoding="utf-8"))
    for states in sets:
        if states.name in results or (options.sets and states.name not in options.sets):
            continue
        found: dict[str, Any] = {"scores": {}, "curves": {}}
        found["n_train"] = int((states.part == "train").sum())
        found["n_kept"] = int((states.part != "train").sum())
        for model in COLOURS:
            with tempfile.TemporaryDirectory() as folder:
                found["scores"][model] = through_the_command_line(states, model, Path(folder))
            encoder = crop_encoder(model)
            vectors = run_task(encode_crops(encoder, states.crops, views_of(model, VIEWS)))
            parts = getattr(encoder, "crop_parts", None)
            points = PER_CLASS[::3] if options.quick else PER_CLASS
            found["curves"][model] = curve(states, vectors, parts, 1 if options.quick else REPEATS, points)
            one = found["scores"][model]
            print(
                f"{states.name:16s} {WORDS[model]:22s} kept back {one['kept_back']:.3f} "
                f"({one['interval'][0]:.3f} to {one['interval'][1]:.3f}), cross-validated "
                f"{one['cross_validated']:.3f}, {' + '.join(one['blocks'])}, fit {one['fit_s']:.0f} s",
                flush=True,
            )
        results[states.name] = found
        if options.results is not None:
            options.results.write_text(json.dumps(results), encoding="utf-8")
    if options.docs and not options.quick:
        write_docs(results)
    if options.json:
        print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
