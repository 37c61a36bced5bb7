"""Label images made of outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_biofm.images.io.exchange.polygons import Loop, filled
from napari_biofm.images.io.masks import as_labels
from napari_biofm.types import ImageError, Labels

# what reading JSON of another structure raises (UnicodeDecodeError is a ValueError)
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


@dataclass(frozen=True, eq=False)
class ReadCells:
    """Cells read from a file.

    Attributes
    ----------
    labels : (Y, X) or (Z, Y, X) integers.
    classes : class by label, where the file has one.
    notes : what a user should know, in words.
    """

    labels: Labels
    classes: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def painted(
    parts: Sequence[tuple[int, list[Loop]]], shape: tuple[int, int] | None, name: str
) -> tuple[Labels, tuple[str, ...]]:
    """Return a label image of outlines; where they overlap the later one stays below, and it is told."""
    if shape is None:
        tops = [loop.max(0) for _, loops in parts for loop in loops if len(loop)]
        size = np.ceil(np.max(tops, 0)).astype(np.int64) if tops else np.zeros(2, np.int64)
        shape = (int(max(size[0], 1)), int(max(size[1], 1)))
        if shape[0] * shape[1] > 1 << 31:
            raise ImageError(
                f"{name}: its outlines reach to {shape}, which is no image; give the image's shape."
            )
    labels = np.zeros(shape, np.int64)
    covered, lost = 0, 0
    for label, loops in parts:
        y, x = filled(loops, shape)
        free = labels[y, x] == 0
        covered += int((~free).sum())
        lost += not free.any()
        labels[y[free], x[free]] = label
    notes = []
    if covered:
        notes.append(f"{covered} pixels lie in two outlines; the one that comes first in the file has them")
    if lost:
        notes.append(f"{lost} outlines have no pixel of their own in an image of shape {shape}")
    return as_labels(labels), tuple(notes)
