"""Cells invented where there are none, and faint cells found: `python benchmarks/empty.py [--quick] [--json] [--model NAME]`.

Empty fields are drawn (noise, dust, light from out of focus) and cut from real pictures between their annotated cells
(`empty_fields.py`; DSB 2018 and BBBC039, CC0-1.0; Usiigaci, MIT). Every field is segmented twice: with everything kept that
the model finds, and as it is by default. Parts of phase-contrast pictures without an annotated cell hold dead cells,
fragments and dust; they are listed by themselves. `faint_recall` is the share of annotated nuclei found at IoU .5 in pictures
that were faded to 1.5 to 3 standard deviations of a pixel's noise.

The last line with `--json`: `false_cells_per_megapixel`, `faint_recall`, the same before, and a list by kind.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.image.metrics import iou_matrix  # noqa: E402

import empty_fields as fields  # noqa: E402
from napari_biofm.api.images import segment  # noqa: E402
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "imaging"
DEBRIS = "phase contrast, debris"


def all_fields(quick: bool) -> Iterator[fields.Field]:
    """Return the fields; of real ones only where the sets are there."""
    side, most = (256, 2) if quick else (512, 8)
    drawn = chain(fields.noise(side), fields.litter(side))
    if not (DATA / "bbbc039" / "index.csv").exists():
        return drawn
    few = islice(fields.few_cells(DATA, 512 if quick else 1024), 3 if quick else 4)
    return chain(drawn, few, fields.empty_parts(DATA, most), fields.faint(DATA, 2 if quick else 9))


def count(field: fields.Field, masks: Any) -> dict[str, float]:
    """Count true cells, those found at IoU .5, and objects that lie on none."""
    found = int(masks.max())
    on_cell = 0
    if field.truth.any() and found:
        covered = np.bincount(masks[field.truth > 0], minlength=found + 1)[1:]
        on_cell = int((covered > 0.5 * np.bincount(masks.ravel(), minlength=found + 1)[1:]).sum())
    hits = 0
    if field.truth.any() and found:
        hits = int((iou_matrix(field.truth, masks) >= 0.5).any(1).sum())
    pixels = field.truth.size / 1e6
    return {
        "fields": 1,
        "megapixels": pixels,
        "cells": int(field.truth.max()),
        "hits": hits,
        "false": found - on_cell,
    }


def measure(model: str, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Return the counts by kind of field, with everything kept ("before") and by default ("now")."""
    totals: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: {"before": {}, "now": {}})
    for field in all_fields(quick):
        kind = DEBRIS if field.name.startswith("usiigaci") else field.kind
        runs = {
            "before": segment(field.image, model=model, least_contrast=0, relative_size=0),
            "now": segment(field.image, model=model),
        }
        for when, result in runs.items():
            into = totals[kind][when]
            for key, value in count(field, result.masks).items():
                into[key] = into.get(key, 0) + value
    return totals


def main() -> int:
    """Print a table and, with `--json`, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    started = time.perf_counter()
    totals = measure(arguments.model, arguments.quick)
    lines = [
        f"{'kind':24} {'fields':>6} {'Mpx':>6} {'cells':>6} {'false / Mpx':>18} {'recall':>14}   (all kept -> default)"
    ]
    rates: dict[str, Any] = {}
    for kind, runs in totals.items():
        now, before = runs["now"], runs["before"]
        per = [run["false"] / run["megapixels"] for run in (before, now)]
        recall = [run["hits"] / run["cells"] if run["cells"] else float("nan") for run in (before, now)]
        rates[kind] = {"false_per_megapixel": [round(v, 2) for v in per]}
        told = ""
        if now["cells"]:
            rates[kind]["recall"] = [round(v, 4) for v in recall]
            told = f"{recall[0]:.3f} -> {recall[1]:.3f}"
        sizes = f"{now['fields']:6.0f} {now['megapixels']:6.2f} {now['cells']:6.0f}"
        lines.append(f"{kind:24} {sizes} {per[0]:8.1f} -> {per[1]:6.2f} {told:>14}")
    pooled = {when: _pooled(totals, when) for when in ("before", "now")}
    lines.append(
        f"all without debris and faint: {pooled['before']:.1f} -> {pooled['now']:.2f} false cells per megapixel"
    )
    sys.stdout.write("\n".join(lines) + f"\n{time.perf_counter() - started:.0f} s, {arguments.model}\n")
    if arguments.json:
        faint = rates.get("faint", {}).get("recall", [None, None])
        result = {
            "false_cells_per_megapixel": round(pooled["now"], 3),
            "faint_recall": faint[1],
            "before": {"false_cells_per_megapixel": round(pooled["before"], 3), "faint_recall": faint[0]},
            "model": arguments.model,
            "kinds": rates,
        }
        sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _pooled(totals: dict[str, dict[str, dict[str, float]]], when: str) -> float:
    chosen = [runs[when] for kind, runs in totals.items() if kind not in (DEBRIS, "faint")]
    return sum(run["false"] for run in chosen) / max(sum(run["megapixels"] for run in chosen), 1e-9)


if __name__ == "__main__":
    sys.exit(main())
