"""Footprints of cells, as pixels with weights, to one label image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Footprint = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.floating]]  # rows, columns, weights
_CORE = 0.5  # of the largest weight: what a covered cell keeps


def labels_of(
    footprints: Sequence[Footprint], ids: Sequence[int], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], list[str]]:
    """Return masks of cells that may overlap, and what the user should know.

    Where cells overlap, the heavier weight wins. A cell that others cover wholly keeps its core: the pixels with at least half of its largest weight, as far as no other cell
    loses all of its own.

    Parameters
    ----------
    footprints : per cell rows, columns and weights of its pixels.
    ids : per cell its label, above 0.
    shape : (Y, X) of the field.
    """
    labels, best = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    beyond, kept = [], []
    for (y, x, weight), label in zip(footprints, ids, strict=True):
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        if not inside.all():
            beyond.append(label)
        y, x, weight = y[inside], x[inside], np.asarray(weight, np.float32)[inside]
        kept.append((y, x, weight / max(float(weight.max(initial=0)), 1e-30)))
        wins = weight > best[y, x]
        labels[y[wins], x[wins]] = label
        best[y[wins], x[wins]] = weight[wins]
    covered = _give_cores(labels, kept, ids)
    without = [label for label, (y, *_) in zip(ids, kept, strict=True) if not len(y)]
    notes = [
        f"{_these(beyond)} beyond the field of {shape[0]} x {shape[1]} pixels: what lies outside is left out."
        if beyond else "",
        f"{_these(covered)} covered by others: the core is shown." if covered else "",
        f"{_these(without)} without a pixel in the field: a trace without a mask." if without else "",
    ]  # fmt: skip
    return labels, [note for note in notes if note]


def _give_cores(
    labels: NDArray[np.int32],
    kept: Sequence[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]],
    ids: Sequence[int],
) -> list[int]:
    """Give cells that lost every pixel their core; return them."""
    there = set(np.unique(labels).tolist())
    covered = []
    for (y, x, share), label in zip(kept, ids, strict=True):
        if label in there or not len(y):
            continue
        core = share >= _CORE
        owners, counts = np.unique(labels[y[core], x[core]], return_counts=True)
        wanted = core.copy()
        for owner, n in zip(owners.tolist(), counts.tolist(), strict=True):
            if owner and n == int((labels == owner).sum()):  # it would lose everything: it keeps one half
                mine = np.flatnonzero(core & (labels[y, x] == owner))
                wanted[mine[len(mine) // 2 :]] = False
        labels[y[wanted], x[wanted]] = label
        covered.append(label)
    return covered


def _these(ids: Sequence[int]) -> str:
    names = ", ".join(map(str, ids[:12])) + (" ..." if len(ids) > 12 else "")
    return f"{'Cells' if len(ids) > 1 else 'Cell'} {names}"
