"""The report of a run: one HTML file without scripts that opens from the disk."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_biofm import __version__
from napari_biofm.api.pages import WIDTH, facts_table, histogram, page, text_of
from napari_biofm.batch.jobs import ITEMS
from napari_biofm.batch.manifest import Row
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.result import BatchResult
from napari_biofm.files import write_text

SHOWN_FAILURES = 200
PLOTTED = {
    "objects": "cells per image", "events": "events per recording", "seconds": "seconds per item",
}  # fmt: skip


@dataclass
class _Summary:
    """What the rows of a run come to, read once: of a million rows only numbers stay."""

    n_items: int = 0
    n_done: int = 0
    n_failed: int = 0
    failed: list[Row] = field(default_factory=list)  # the first
    corrected: list[Row] = field(default_factory=list)
    pictures: list[tuple[Row, bytes]] = field(default_factory=list)
    values: dict[str, array[float]] = field(default_factory=lambda: {key: array("d") for key in PLOTTED})
    models: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    def add(self, row: Row, out: Path, n_pictures: int) -> None:
        """Count a row."""
        self.n_items += 1
        if row["state"] == "failed":
            self.n_failed += 1
            if len(self.failed) < SHOWN_FAILURES:
                self.failed.append(row)
        if row["state"] != "done":
            return
        self.n_done += 1
        for key, values in self.values.items():
            if row.get(key) is not None:
                values.append(float(row[key]))
        self.models |= {str(row["model"])} if row.get("model") else set()
        self.weights |= {str(row["weights_sha256"])} if row.get("weights_sha256") else set()
        if row.get("corrected") is not None:
            self.corrected.append(row)
        if len(self.pictures) < n_pictures:
            with suppress(OSError):
                self.pictures.append((row, (out / ITEMS / row["key"] / "thumbnail.png").read_bytes()))


def write_report(result: BatchResult, recipe: Recipe) -> None:
    """Write `report.html` into the folder of a run.

    Parameters
    ----------
    result : of the run.
    recipe : that was run.
    """
    summary = _Summary()
    for row in result.rows:
        summary.add(row, result.out, recipe.thumbnails)
    parts = [
        f"<h1>{text_of(result.out.name)}</h1>",
        facts_table(_facts(result, summary)),
        _failures(summary),
        _corrected(summary.corrected),
        _notes(result),
        _numbers(summary),
        _pictures(summary.pictures),
        f"<h2>Recipe</h2><pre>{text_of(recipe.text())}</pre>",
    ]
    write_text(result.out / "report.html", page(result.out.name, parts))


def _facts(result: BatchResult, summary: _Summary) -> list[tuple[str, str]]:
    seconds = summary.values["seconds"]
    facts = [
        ("Items", f"{summary.n_items}: {summary.n_done} done, {summary.n_failed} failed"),
        ("Kept from before", str(result.kept)),
        ("Time", f"{result.seconds:.1f} s {result.where}"),
        (
            "Seconds per item",
            f"median {np.median(seconds):.2f}, longest {max(seconds):.2f}" if seconds else "none",
        ),
        ("napari-biofm", __version__),
    ]
    if summary.models:
        facts.append(("Model", ", ".join(sorted(summary.models))))
    if summary.weights:
        facts.append(("SHA-256 of the weights", ", ".join(sorted(summary.weights))))
    facts += [(f"Rows of {name}.parquet", str(n)) for name, n in result.tables.items()]
    return facts


def _failures(summary: _Summary) -> str:
    if not summary.failed:
        return ""
    rows = "".join(
        f"<tr><td>{text_of(Path(row['path']).name)}</td><td>{text_of(row['error'])}</td></tr>"
        for row in summary.failed
    )
    more = summary.n_failed - len(summary.failed)
    rest = f"<p>and {more} more, in manifest.sqlite</p>" if more > 0 else ""
    return f'<h2 class="bad">Failed</h2><table>{rows}</table>{rest}'


def _corrected(corrected: Sequence[Row]) -> str:
    rows = "".join(
        f"<tr><td>{text_of(Path(row['path']).name)}</td><td>{row.get('objects') or 0} cells</td></tr>"
        for row in corrected
    )
    return f"<h2>Masks corrected by hand</h2><table>{rows}</table>" if rows else ""


def _notes(result: BatchResult) -> str:
    bad = "".join(f'<li class="bad">{text_of(one)}</li>' for one in result.problems)
    rest = "".join(f"<li>{text_of(one)}</li>" for one in result.notes)
    return f"<h2>Tables</h2><ul>{bad}{rest}</ul>" if bad or rest else ""


def _numbers(summary: _Summary) -> str:
    plots = [
        f"<figure style='width:{WIDTH}px'>{histogram(np.array(values))}<figcaption>{PLOTTED[key]}</figcaption></figure>"
        for key, values in summary.values.items()
        if len(values) > 1
    ]
    return f"<h2>Distributions</h2><div class=row>{''.join(plots)}</div>" if plots else ""


def _pictures(pictures: Sequence[tuple[Row, bytes]]) -> str:
    figures = [
        f'<figure><img alt="" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{text_of(Path(row['path']).name)}, {row.get('objects') or 0} cells</figcaption></figure>"
        for row, data in pictures
    ]
    return f"<h2>Pictures</h2><div class=row>{''.join(figures)}</div>" if figures else ""
