"""A brush stroke, which is told pixel by pixel in the order painted, as patches of one edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.labels_edit import LabelsTarget, Patch, box_region

_UNION = 1 << 22  # pixels of a stroke's box up to which it is stored as one patch
Labels = NDArray[np.integer]  # type: ignore[type-arg]


@dataclass(frozen=True)
class Painted:
    """Pixels painted at once.

    Attributes
    ----------
    at : indices along every axis of the labels, (n,) each.
    before, after : (n,) values, or one value for all.
    """

    at: tuple[NDArray[np.intp], ...]
    before: Labels
    after: Labels

    @property
    def start(self) -> tuple[int, ...]:
        """Where the box around the pixels begins."""
        return tuple(int(a.min()) for a in self.at)

    @property
    def stop(self) -> tuple[int, ...]:
        """Where it ends."""
        return tuple(int(a.max()) + 1 for a in self.at)


def stroke_patches(target: LabelsTarget, parts: Sequence[Painted]) -> list[Patch]:
    """Return what a finished stroke changed.

    A part may be told before or after it is written into the labels; both give the same patches.

    Parameters
    ----------
    target : the labels.
    parts : what was painted, in this order; a pixel may be painted several times.
    """
    parts = [part for part in parts if part.at and len(part.at[0])]
    if not parts:
        return []
    start = tuple(map(min, *(p.start for p in parts))) if len(parts) > 1 else parts[0].start
    stop = tuple(map(max, *(p.stop for p in parts))) if len(parts) > 1 else parts[0].stop
    if np.prod([b - a for a, b in zip(start, stop, strict=True)], dtype=np.int64) <= _UNION:
        return _patches(target, parts, parts, start, stop)
    patches: list[Patch] = []
    for k, part in enumerate(parts):  # a long stroke: part by part
        patches += _patches(target, parts[k:], [part], part.start, part.stop)
    return patches


def _patches(
    target: LabelsTarget,
    later: Sequence[Painted],
    painted: Sequence[Painted],
    start: tuple[int, ...],
    stop: tuple[int, ...],
) -> list[Patch]:
    """Return what `painted` changed in a box; `later` is all that was painted from there on."""
    extent = tuple(b - a for a, b in zip(start, stop, strict=True))
    before = target.read(box_region(start, extent))
    for part in reversed(later):
        _write(before, start, part, part.before)
    after = before.copy()
    for part in painted:
        _write(after, start, part, part.after)
    patch = Patch.between(start, before, after)
    return [] if patch is None else [patch]


def _write(block: Labels, start: tuple[int, ...], part: Painted, values: Labels) -> None:
    at = [a - s for a, s in zip(part.at, start, strict=True)]
    inside = np.all([(a >= 0) & (a < n) for a, n in zip(at, block.shape, strict=True)], axis=0)
    block[tuple(a[inside] for a in at)] = np.broadcast_to(values, inside.shape)[inside]
