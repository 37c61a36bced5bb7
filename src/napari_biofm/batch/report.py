"""The report of a run: one HTML file without scripts that opens from the disk."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm import __version__
from napari_biofm.batch.jobs import ITEMS
from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.result import BatchResult
from napari_biofm.files import write_text

SHOWN_FAILURES = 200
BINS = 24
WIDTH, HEIGHT = 260, 90  # pixels of a histogram
STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}
.row{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0;width:180px}img{max-width:100%;image-rendering:pixelated}
figcaption{font-size:12px;overflow-wrap:anywhere}.bad{color:#b00020}pre{background:#f3f3f3;padding:.8em;overflow:auto}"""


def write_report(result: BatchResult, recipe: Recipe) -> None:
    """Write `report.html` into the folder of a run.

    Parameters
    ----------
    result : of the run.
    recipe : that was run.
    """
    done = [row for row in result.rows if row["state"] == "done"]
    parts = [
        f"<h1>{_text(result.out.name)}</h1>",
        _table(_facts(result, done)),
        _failures(result.failed),
        _notes(result),
        _numbers(done),
        _pictures(result.out, done, recipe.thumbnails),
        f"<h2>Recipe</h2><pre>{_text(recipe.text())}</pre>",
    ]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(result.out.name)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    write_text(result.out / "report.html", page)


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
        f"<tr><td>{_text(Path(row['path']).name)}</td><td>{_text(row['error'])}</td></tr>"
        for row in failed[:SHOWN_FAILURES]
    )
    more = len(failed) - SHOWN_FAILURES
    rest = f"<p>and {more} more, in manifest.sqlite</p>" if more > 0 else ""
    return f'<h2 class="bad">Failed</h2><table>{rows}</table>{rest}'


def _notes(result: BatchResult) -> str:
    bad = "".join(f'<li class="bad">{_text(one)}</li>' for one in result.problems)
    rest = "".join(f"<li>{_text(one)}</li>" for one in result.notes)
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


def histogram(values: NDArray[np.float64]) -> str:
    """Return a histogram as SVG with its ends and its highest count.

    Parameters
    ----------
    values : (n,) finite.
    """
    counts, edges = np.histogram(values, BINS)
    wide = WIDTH / BINS
    tall = [HEIGHT * count / max(counts.max(), 1) for count in counts]
    bars = "".join(
        f'<rect x="{i * wide:.1f}" y="{HEIGHT - h:.1f}" width="{wide - 1:.1f}" height="{h:.1f}"/>'
        for i, h in enumerate(tall)
    )
    ends = (
        f'<text x="0" y="{HEIGHT + 14}">{edges[0]:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{edges[-1]:.4g}</text>'
        f'<text x="{WIDTH}" y="10" text-anchor="end">most {counts.max()}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18}" width="{WIDTH}" font-size="11"><g fill="#4a5ac0">{bars}</g>'
        f"{ends}</svg>"
    )


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
            f'<figure><img alt="" src="data:image/png;base64,{picture}"><figcaption>{_text(Path(row["path"]).name)}, '
            f"{row.get('objects', 0)} cells</figcaption></figure>"
        )
    return f"<h2>Pictures</h2><div class=row>{''.join(figures)}</div>" if figures else ""


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _text(value: object) -> str:
    return html.escape(str(value))
