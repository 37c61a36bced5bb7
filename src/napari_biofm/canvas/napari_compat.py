"""The one file that touches what is private in napari, vispy or Qt.

Each function names the version it was written for and does the public thing where the private part is not as it is
known. `tests/widgets/test_napari_compat.py` fails when a private part changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from napari_biofm.images.edit.strokes import Painted


def painted_parts(value: Iterable[Any]) -> list[Painted]:
    """Return the pixels of the value of a Labels layer's `paint` event, in the order painted.

    Parameters
    ----------
    value : of each part either (indices, old values, new values), as napari always told of `data_setitem`, or since
        napari 0.9 a record of brush, fill and polygon with `slice_key`, `mask`, `old_values` and `new_value`.
    """
    return [_from_record(part) if hasattr(part, "slice_key") else _from_triple(part) for part in value]


def _from_triple(part: Any) -> Painted:
    indices, before, after = part
    return Painted(tuple(np.atleast_1d(i) for i in indices), np.asarray(before), np.asarray(after))


def _from_record(part: Any) -> Painted:
    mask = part.mask if part.mask is not None else np.ones(np.shape(part.old_values), bool)
    at = tuple(w + s.start for w, s in zip(np.nonzero(mask), part.slice_key, strict=True))
    return Painted(at, np.asarray(part.old_values).reshape(-1), np.asarray(part.new_value))


def displayed_axes(layer: Any) -> tuple[int, ...]:
    """Return the axes of its data that a layer shows (napari 0.5 to 0.9); none where that is not known."""
    return tuple(getattr(getattr(layer, "_slice_input", None), "displayed", ()))


def texture_of(drawer: Any) -> Any | None:
    """Return the texture of what draws a labels layer (vispy 0.14 to 0.16), None where it has none."""
    texture = getattr(getattr(drawer, "node", None), "_texture", None)
    return texture if hasattr(texture, "scale_and_set_data") else None


def drawn_shape(node: Any) -> tuple[int, ...] | None:
    """Return the shape of the pixels that a vispy image node draws, None where that is not known."""
    shape = getattr(getattr(node, "_data", None), "shape", None)
    return None if shape is None else tuple(shape)


def without_painting(layer: Any) -> None:
    """Hide what napari (0.5 to 0.9) draws over a Labels layer while it is painted; left as it is where that is unknown."""
    for part in ("polygon", "brush_stroke"):
        overlay = getattr(layer, "_overlays", {}).get(part)
        if overlay is not None:
            overlay.visible = False


@contextlib.contextmanager
def selection_kept(layers: Any) -> Iterator[None]:
    """Let the selected layers be, where napari (0.5 to 0.9) would select the one that is added."""
    selected = list(layers.selection)
    can_tell = hasattr(layers, "_activate_on_insert")  # two changes of selection less, ten ms each
    if can_tell:
        layers._activate_on_insert = False
    try:
        yield
    finally:
        if can_tell:
            layers._activate_on_insert = True
        if list(layers.selection) != selected:
            layers.selection = selected
