"""Parts of reports: HTML pages without scripts that open from the disk."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BINS = 24
WIDTH, HEIGHT = 260, 90  # pixels of a histogram
STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}
.row{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0;width:180px}img{max-width:100%;image-rendering:pixelated}
figcaption{font-size:12px;overflow-wrap:anywhere}.bad{color:#b00020}pre{background:#f3f3f3;padding:.8em;overflow:auto}"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a page.

    Parameters
    ----------
    title : plain text.
    parts : HTML of the body.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text_of(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def facts_table(rows: Sequence[tuple[str, str]]) -> str:
    """Return a table of names and values.

    Parameters
    ----------
    rows : plain text.
    """
    cells = "".join(f"<tr><th>{text_of(name)}</th><td>{text_of(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def text_of(value: object) -> str:
    """Return a value as text in HTML.

    Parameters
    ----------
    value : anything.
    """
    return html.escape(str(value))


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


def small_picture(
    image: NDArray[np.generic], masks: NDArray[np.integer] | None, size: int = 160
) -> NDArray[np.uint8]:
    """Return a picture for the report: brightness stretched, masks outlined, (h, w, 3) uint8.

    Parameters
    ----------
    image : (Y, X), or with colours or channels last.
    masks : (Y, X) labels, or None.
    size : of the longer side, pixels.
    """
    from skimage.segmentation import find_boundaries

    step = max(1, -(-max(image.shape[:2]) // size))
    small = np.asarray(image[::step, ::step], np.float32)
    grey = small if small.ndim == 2 else small.max(axis=-1)
    finite = grey[np.isfinite(grey)]
    low, high = np.percentile(finite, [1, 99.8]) if finite.size else (0.0, 1.0)
    grey = np.nan_to_num((grey - low) / max(float(high - low), 1e-9)).clip(0, 1)
    picture = np.repeat((255 * grey).astype(np.uint8)[..., None], 3, axis=-1)
    if masks is not None:
        picture[find_boundaries(masks[::step, ::step], mode="inner")] = (255, 200, 0)
    return picture
