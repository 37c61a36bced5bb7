"""The report of a run: one HTML file without scripts that opens from the disk."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm import __version__
from napari_biofm.api.pages import WIDTH, facts_table, histogram, page, text_of
from napari_biofm.batch.jobs import ITEMS
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.result import BatchResult
from napari_biofm.files import write_text

SHOWN_FAILURES = 200


def write_report(result: BatchResult, recipe: Recipe) -> None:
    """Write `report.html` into the folder of a run.

    Parameters
    ----------
    result : of the run.
    recipe : that was run.
    """
    done = [row for row in result.rows if row["state"] == "done"]
    parts = [
        f"<h1>{text_of(result.out.name)}</h1>",
        facts_table(_facts(result, done)),
        _failures(result.failed),
        _corrected(done),
        _notes(result),
        _numbers(done),
        _pictures(result.out, done, recipe.thumbnails),
        f"<h2>Recipe</h2><pre>{text_of(recipe.text())}</pre>",
    ]
    write_text(result.out / "report.html", page(result.out.name, parts))


def _facts(result: BatchResult, done: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    seconds = [float(row["seconds"]) for row in done]
    facts = [
        ("Items", f"{len(result.rows)}: {len(done)} done, {len(result.failed)} failed"),
        ("Kept from before", str(result.kept)),
        ("Time", f"{result.seconds:.1f} s {result.where}"),
        (
            "Seconds per item",
            f"median {np.median(seconds):.2f}, longest {max(seconds):.2f}" if seconds else "none",
        ),
        ("napari-biofm", __version__),
    ]
    weights = sorted({str(row["weights_sha256"]) for row in done if row.get("weights_sha256")})
    models = sorted({str(row["model"]) for row in done if row.get("model")})
    if models:
        facts.append(("Model", ", ".join(models)))
    if weights:
        facts.append(("SHA-256 of the weights", ", ".join(weights)))
    facts += [(f"Rows of {name}.parquet", str(n)) for name, n in result.tables.items()]
    return facts


def _failures(failed: Sequence[dict[str, Any]]) -> str:
    if not failed:
        return ""
    rows = "".join(
        f"<tr><td>{text_of(Path(row['path']).name)}</td><td>{text_of(row['error'])}</td></tr>"
        for row in failed[:SHOWN_FAILURES]
    )
    more = len(failed) - SHOWN_FAILURES
    rest = f"<p>and {more} more, in manifest.sqlite</p>" if more > 0 else ""
    return f'<h2 class="bad">Failed</h2><table>{rows}</table>{rest}'


def _corrected(done: Sequence[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{text_of(Path(row['path']).name)}</td><td>{row.get('objects', 0)} cells</td></tr>"
        for row in done
        if row.get("corrected") is not None
    )
    return f"<h2>Masks corrected by hand</h2><table>{rows}</table>" if rows else ""


def _notes(result: BatchResult) -> str:
    bad = "".join(f'<li class="bad">{text_of(one)}</li>' for one in result.problems)
    rest = "".join(f"<li>{text_of(one)}</li>" for one in result.notes)
    return f"<h2>Tables</h2><ul>{bad}{rest}</ul>" if bad or rest else ""


def _numbers(done: Sequence[dict[str, Any]]) -> str:
    plots = []
    for key, title in (
        ("objects", "cells per image"),
        ("events", "events per recording"),
        ("seconds", "seconds per item"),
    ):
        values = np.array([float(row[key]) for row in done if row.get(key) is not None])
        if len(values) > 1:
            plots.append(
                f"<figure style='width:{WIDTH}px'>{histogram(values)}<figcaption>{title}</figcaption></figure>"
            )
    return f"<h2>Distributions</h2><div class=row>{''.join(plots)}</div>" if plots else ""


def _pictures(out: Path, done: Sequence[dict[str, Any]], most: int) -> str:
    figures: list[str] = []
    for row in done:
        if len(figures) >= most:
            break
        try:
            data = (out / ITEMS / row["key"] / "thumbnail.png").read_bytes()
        except OSError:
            continue
        picture = base64.b64encode(data).decode()
        figures.append(
            f'<figure><img alt="" src="data:image/png;base64,{picture}"><figcaption>{text_of(Path(row["path"]).name)}, '
            f"{row.get('objects', 0)} cells</figcaption></figure>"
        )
    return f"<h2>Pictures</h2><div class=row>{''.join(figures)}</div>" if figures else ""
