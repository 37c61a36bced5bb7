"""Carry all cells of one plane or frame through a stack or movie, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Piece
from napari_biofm.images.prompt.backends import best_backend
from napari_biofm.images.prompt.propagate import (
    Limits,
    Propagated,
    followed_pieces,
    propagate,
    propagate_stack,
)
from napari_biofm.images.segment.catalogue import capabilities_of
from napari_biofm.types import ImageError, Labels, Progress, Prompt, Task, relay


@dataclass(frozen=True)
class CarriedCell:
    """How far a cell was carried.

    Attributes
    ----------
    label : its id.
    first, last : planes it is in, counted from 0.
    reason_before, reason_after : why it ended there, before `first` and after `last`; empty at the ends of the stack.
    """

    label: int
    first: int
    last: int
    reason_before: str
    reason_after: str


@dataclass(frozen=True)
class PropagatedLabels:
    """Masks of a whole stack.

    Attributes
    ----------
    labels : (n, Y, X) int32; ids are those of the plane it began with.
    cells : how far each cell was carried, in order of id.
    model : what carried them.
    """

    labels: Labels
    cells: tuple[CarriedCell, ...]
    model: str


def propagate_labels(
    stack: NDArray[Any],
    masks: Labels,
    plane: int,
    model: str = "auto",
    device: str = "auto",
    limits: Limits | None = None,
) -> Task[PropagatedLabels]:
    """Carry the cells of one plane through a stack, forwards and backwards.

    Each cell ends before the first plane where it becomes doubtful. Pixels belong to the cell that came first, in order
    of id; the plane given stays as it is.

    Parameters
    ----------
    stack : (n, Y, X) or (n, Y, X, C), over z or time.
    masks : (Y, X) labels of one of its planes.
    plane : which one, counted from 0.
    model : click model of the catalogue, a model with a memory such as SAM 2, "level-sets", or "auto" for the best
        click model that is here.
    device : "auto", "cpu", "cuda" or "mps".
    limits : when a cell ends.

    Raises
    ------
    ImageError
        If masks and stack do not fit, or there is no such plane or no cell.
    """
    name = best_backend() if model == "auto" else model
    shape = (int(stack.shape[1]), int(stack.shape[2]))
    if masks.shape != shape:
        raise ImageError(f"the masks are {masks.shape}, the planes {shape}; they must be equal")
    if not 0 <= plane < len(stack):
        raise ImageError(f"there is no plane {plane}; there are 0 to {len(stack) - 1}")
    pieces = {int(k): Piece.of(masks == k) for k in np.unique(masks[masks > 0])}
    if not pieces:
        raise ImageError(f"the masks of plane {plane} hold no cell; there is nothing to carry")
    labels = np.zeros(stack.shape[:3], np.int32 if max(pieces) < 2**31 else np.int64)
    labels[plane] = masks
    ends: dict[int, list[tuple[int, str]]] = {label: [] for label in pieces}
    ways = list(range(plane, -1, -1)), list(range(plane, len(stack)))
    for number, way in enumerate(ways):
        found = yield from _one_way(stack, way, pieces, name, device, limits, (number, len(ways)))
        for label, outcome in found.items():
            for step in outcome.steps:
                piece = step.piece.within((0, 0), shape).mask
                free = piece & (labels[way[step.index]] == 0)
                labels[way[step.index]][free] = label
            ends[label].append((way[len(outcome.steps)], outcome.reason))
    cells = tuple(
        CarriedCell(label, before[0], after[0], before[1], after[1])
        for label, (before, after) in ends.items()
    )
    return PropagatedLabels(labels, cells, name)


def _one_way(
    stack: NDArray[Any],
    way: Sequence[int],
    pieces: dict[int, Piece],
    model: str,
    device: str,
    limits: Limits | None,
    part: tuple[int, int],
) -> Task[dict[int, Propagated]]:
    """Carry all cells along planes; one pass of a model with a memory serves them all."""
    if len(way) < 2:
        return {label: Propagated((), None, "") for label in pieces}
    pictures = stack[list(way)]
    done: dict[int, Propagated] = {}
    if capabilities_of(model).propagates:
        found = yield from relay(followed_pieces(pictures, pieces, model, device), *part, "planes", 100)
        for label, piece in pieces.items():
            yield Progress(*part, f"cell {label}")

            def known(index: int, _prompt: Prompt, _moved: Piece, label: int = label) -> tuple[Piece, float]:
                return found[index - 1][label]

            task = propagate(lambda k: pictures[k], known, piece, 0, range(1, len(way)), limits)
            done[label] = yield from relay(task, *part, f"cell {label}", 100)
        return done
    for label, piece in pieces.items():
        task = propagate_stack(pictures, piece, model, device, limits)
        done[label] = yield from relay(task, *part, f"cell {label}", 100)
    return done
