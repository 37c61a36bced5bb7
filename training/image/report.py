"""Write REPORT.md and its pictures from measured scores: ``python training/image/report.py --scores
scores.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from napari_biofm.images.segment.embedded.model import EmbeddedModel  # noqa: E402
from napari_biofm.types import run_task  # noqa: E402
from training.image.data import index, load_pair  # noqa: E402


def curves(run: Path, out: Path) -> None:
    """Plot every loss of both phases over steps."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 5), constrained_layout=True)
    panels = iter(axes.ravel())
    for name in ("backbone", "prompt"):
        path = run / f"{name}.csv"
        if not path.exists():
            continue
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        skip = ("step", "seconds_per_step")
        columns = [c for c in rows[0] if c not in skip and any(r[c] not in ("", "nan") for r in rows)]
        for column in columns[:5] if name == "backbone" else columns[:3]:
            axis = next(panels)
            axis.plot([int(r["step"]) for r in rows], [float(r[column] or "nan") for r in rows], lw=1)
            axis.set_title(f"{name}: {column}", fontsize=9)
            axis.set_xlabel("step", fontsize=8)
    for axis in panels:
        axis.axis("off")
    figure.savefig(out, dpi=80)
    plt.close(figure)


def failures(model: EmbeddedModel, data: Path, share: float, scores: dict[str, Any], out: Path) -> None:
    """Show the worst validation picture of every modality: truth in green, answer in magenta."""
    table = index(data, share).set_index("stem")
    worst = {kind: min(values["images"].items(), key=lambda kv: kv[1][0]) for kind, values in scores.items()}
    figure, axes = plt.subplots(2, 4, figsize=(14, 7.2), constrained_layout=True)
    for axis, (kind, (stem, row)) in zip(axes.ravel(), worst.items(), strict=False):
        image, truth = load_pair(data, table.loc[[stem]].reset_index().iloc[0])
        found = run_task(model.segment(image)).masks
        side = min(*truth.shape, 320)
        y0, x0 = (n // 2 - side // 2 for n in truth.shape)
        window = slice(y0, y0 + side), slice(x0, x0 + side)
        shown = image[window].astype(float)
        low, high = np.percentile(shown, (1, 99.7))
        axis.imshow(np.clip((shown - low) / max(high - low, 1e-9), 0, 1), cmap="gray")
        for labels, colour in ((truth, "lime"), (found, "magenta")):
            part = labels[window]
            for label in np.unique(part)[1:]:
                axis.contour(part == label, [0.5], colors=colour, linewidths=0.7)
        axis.set_title(f"{kind}: AP@0.5 {row[0]:.2f}, true {row[3]}, found {row[4]}", fontsize=9)
        axis.axis("off")
    for axis in axes.ravel()[len(worst) :]:
        axis.axis("off")
    figure.savefig(out, dpi=70, pil_kwargs={"quality": 80})
    plt.close(figure)


def masks_table(scores: dict[str, Any]) -> str:
    """Markdown of AP per modality."""
    lines = [
        "| modality | images / objects | AP@0.5 | AP@[.5:.95] | error of the diameter (octaves) |",
        "|---|---|---|---|---|",
    ]
    for kind, row in sorted(scores.items()):
        lines.append(
            f"| {kind} | {row['n']} / {row['objects']} | {row['ap50']:.3f} | {row['ap']:.3f} "
            f"| {row['log2_diameter_error']:.2f} |"
        )
    return "\n".join(lines)


def clicks_table(scores: dict[str, Any]) -> str:
    """Markdown of IoU after clicks per modality; measures that were not taken stay empty."""
    columns = {"iou1": "IoU 1 click", "iou3": "3 clicks", "iou5": "5 clicks", "noc85": "NoC@85"}
    columns |= {"reached_85_within_3": ".85 reached within 3", "basin1": "flow basin alone, 1 click"}
    lines = ["| modality | n | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 2) + "|"]
    for kind, row in scores.items():
        if isinstance(row, dict):
            cells = [f"{row[key]:.3f}" if key in row else "" for key in columns]
            lines.append(f"| {kind} | {row['n']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scales_table(scores: dict[str, Any]) -> str:
    """Markdown of AP@0.5 by modality and diameter in pixels."""
    sizes = sorted({int(size) for row in scores.values() for size in row})
    lines = [
        "| px | " + " | ".join(map(str, sizes)) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for kind, row in sorted(scores.items()):
        most = max(cell["n"] for cell in row.values())
        cells = [_scale_cell(row.get(str(size)), most) for size in sizes]
        lines.append(f"| {kind} ({most}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _scale_cell(cell: dict[str, Any] | None, most: int) -> str:
    if cell is None:
        return ""
    return f"{cell['ap50']:.3f}" + (f" ({cell['n']})" if cell["n"] < most else "")


def ablations_table(scores: dict[str, Any]) -> str:
    """Markdown of AP@0.5 per modality and switched-off part."""
    kinds = sorted(next(iter(scores.values())))
    lines = [
        "| AP@0.5, at most 4 pictures each | " + " | ".join(kinds) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    lines += [
        f"| {name} | " + " | ".join(f"{row[k]:.2f}" for k in kinds) + " |" for name, row in scores.items()
    ]
    return "\n".join(lines)


def states_table(scores: dict[str, Any]) -> str:
    """Markdown of macro-F1 per single-cell set and kind of vector."""
    lines = ["| set | n fit / kept back | vectors | macro-F1 |", "|---|---|---|---|"]
    for name, row in scores.items():
        for vectors, value in row.items():
            if not vectors.startswith("n_"):
                lines.append(
                    f"| {name} | {row['n_train']} / {row['n_validation']} | {vectors} | {value:.3f} |"
                )
    return "\n".join(lines)


def parts_table(scores: dict[str, Any]) -> str:
    """Markdown of what `ablations.py` found: AP@0.5 by modality, macro-F1 by single-cell set."""
    columns = list(next(iter(scores.values())))
    lines = ["| short run | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in scores.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.3f}" for c in columns) + " |")
    return "\n".join(lines)


def main() -> int:
    """Fill the tables of REPORT.md between their marks and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "training/image/config.toml")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--parts", type=Path, help="what ablations.py wrote")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text())
    scores = json.loads(arguments.scores.read_text())
    if arguments.parts:
        scores["parts"] = json.loads(arguments.parts.read_text())
    run = Path(config["out"]).expanduser()
    curves(run, HERE / f"{run.name.replace('image', 'curves').replace('-', '_')}.png")
    data = (ROOT / config["data"]).resolve()
    failures(EmbeddedModel(), data, config["data_set"]["validation"], scores["masks"], HERE / "failures.jpg")
    report = HERE / "REPORT.md"
    text = report.read_text()
    tables = {
        "masks": masks_table,
        "clicks": clicks_table,
        "states": states_table,
        "scales": scales_table,
        "ablations": ablations_table,
        "parts": parts_table,
    }
    for name, make in tables.items():
        if name in scores:
            before, rest = text.split(f"<!-- {name} -->", 1)
            after = rest.split("<!-- end -->", 1)[1]
            text = f"{before}<!-- {name} -->\n{make(scores[name])}\n<!-- end -->{after}"
    report.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
