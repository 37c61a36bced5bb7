"""What a hand can do to the cells of a labels layer. Every method returns an edit; none carries it out.

Ids: a new cell gets an id that none had before; deleting, merging and splitting leave the ids of all other
cells as they are; of two parts the larger keeps the id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit import shapes
from napari_biofm.images.edit.index import LabelIndex
from napari_biofm.images.edit.labels_edit import LabelsEdit, LabelsTarget, box_region
from napari_biofm.images.edit.view import Mask, Piece, View
from napari_biofm.types import SessionError

MARGIN = 8  # pixels around a cell that its own edits may reach
_BLOCK = 1 << 24  # pixels handled at a time when a cell is everywhere


class LabelsEditor:
    """Makes edits of one labels target.

    Parameters
    ----------
    target : the labels.
    index : where its cells lie; made when not given.
    """

    def __init__(self, target: LabelsTarget, index: LabelIndex | None = None) -> None:
        self.target = target
        self.index = index or LabelIndex(target)

    # ------------------------------------------------------------------ looking

    def value(self, view: View, point: Sequence[float] | NDArray[np.float64]) -> int:
        """Return the id at a point of the view, 0 outside of the labels."""
        at = tuple(round(float(c)) for c in point)
        if any(c < 0 or c >= n for c, n in zip(at, view.shape(self.target.shape), strict=True)):
            return 0
        return int(self.target.read(view.region(at, (1,) * len(at))).reshape(-1)[0])

    def piece(self, view: View, label: int) -> Piece:
        """Return the pixels of a cell in the view; empty where it has none there."""
        start, stop = self.index.box(label)
        if any(
            not (a <= p < b)
            for axis, (p, a, b) in enumerate(zip(view.position, start, stop, strict=True))
            if axis not in view.axes
        ):
            return Piece.of(np.zeros((1,) * len(view.axes), bool))
        origin = view.point(start)
        shape = tuple(int(b - a) for a, b in zip(origin, view.point(stop), strict=True))
        return Piece.of(self._read(view, origin, shape) == label, origin)

    def next_id(self) -> int:
        """Return the id a new cell gets.

        Raises
        ------
        SessionError : if the labels' dtype cannot hold it.
        """
        label = self.index.next_id
        dtype = self.target.read(
            box_region((0,) * len(self.target.shape), (0,) * len(self.target.shape))
        ).dtype
        if label > np.iinfo(dtype).max:
            raise SessionError(
                f"These labels are {dtype} and hold ids up to {np.iinfo(dtype).max}; convert the layer to "
                f"int32 "
                "to add more cells."
            )
        return label

    def _read(self, view: View, origin: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[Any]:
        return view.take(self.target.read(view.region(tuple(int(o) for o in origin), shape)))

    # ------------------------------------------------------------------ writing

    def _edit(
        self,
        name: str,
        view: View,
        origin: tuple[int, ...],
        change: Callable[[NDArray[Any]], None],
        shape: tuple[int, ...],
        details: Mapping[str, Any] | None,
    ) -> LabelsEdit:
        """Let `change` work on a copy of a box of the view and return what it did as an edit."""
        region = view.region(origin, shape)
        before = self.target.read(region)
        after = before.copy()
        working = np.ascontiguousarray(view.take(after))
        change(working)
        after = view.give(working).astype(before.dtype, copy=False)
        start = tuple(s.start for s in region)
        return LabelsEdit.between(self.target, name, [(start, before, after)], details)

    def _reshape(
        self,
        name: str,
        view: View,
        label: int,
        make: Callable[[Mask], Mask],
        margin: int,
        details: Mapping[str, Any],
    ) -> LabelsEdit:
        """Give a cell another shape; it grows over background only."""
        piece = self._there(view, label).padded(margin, view.shape(self.target.shape))

        def change(block: NDArray[Any]) -> None:
            mine = block == label
            new = make(mine)
            block[mine & ~new] = 0
            block[new & (block == 0)] = label

        return self._edit(name, view, piece.origin, change, piece.mask.shape, {"cell": label, **details})

    def _there(self, view: View, label: int) -> Piece:
        piece = self.piece(view, label)
        if not piece:
            raise SessionError(f"Cell {label} has no pixels in this plane.")
        return piece

    # ------------------------------------------------------------------ masks

    def commit(
        self,
        view: View,
        piece: Piece,
        label: int | None = None,
        *,
        replace: bool = False,
        overwrite: bool = False,
        name: str = "add cell",
        details: Mapping[str, Any] | None = None,
    ) -> LabelsEdit:
        """Write a mask into the labels.

        Parameters
        ----------
        view, piece : the mask and where.
        label : id of the cell; a new one when None.
        replace : the cell loses its pixels outside of the mask (in this view).
        overwrite : take pixels from other cells; else the mask covers background only.
        """
        label = self.next_id() if label is None else label
        full = view.shape(self.target.shape)
        piece = piece.within((0,) * len(full), full) if _leaves(piece, full) else piece
        box = piece
        if replace and label in self.index:
            box = _union_box(piece, self.piece(view, label))
        elif not piece:
            raise SessionError("The mask is empty; there is nothing to add.")
        mask = piece.within(box.origin, box.mask.shape).mask

        def change(block: NDArray[Any]) -> None:
            if replace:
                block[(block == label) & ~mask] = 0
            block[mask if overwrite else mask & (block == 0)] = label

        return self._edit(name, view, box.origin, change, box.mask.shape, {"cell": label, **(details or {})})

    def redraw(
        self, view: View, label: int, piece: Piece, details: Mapping[str, Any] | None = None
    ) -> LabelsEdit:
        """Replace a cell's pixels in the view by a drawn mask; others keep theirs."""
        return self.commit(view, piece, label, replace=True, name="redraw cell", details=details)

    def delete(self, label: int, view: View | None = None) -> LabelsEdit:
        """Delete a cell in the view, or wherever it is."""
        return self._swap("delete cell", {label: 0}, view)

    def merge(
        self, keep: int, other: int, view: View, *, everywhere: bool = False, bridge: bool = True
    ) -> LabelsEdit:
        """Give the pixels of `other` to `keep`; in a plane, a narrow gap between the two is closed.

        Parameters
        ----------
        everywhere : in all planes (z, t), not only in this view.
        """
        if keep == other:
            raise SessionError(f"Cell {keep} cannot be merged with itself; choose two cells.")
        if everywhere:
            return self._swap("merge cells", {other: keep}, None)
        box = _union_box(self._there(view, keep), self._there(view, other))
        box = Piece(box.origin, np.ones(box.mask.shape, bool)).padded(1, view.shape(self.target.shape))

        def change(block: NDArray[Any]) -> None:
            one, two = block == keep, block == other
            new = shapes.bridged(one, two, block == 0) if bridge else one | two
            block[new] = keep

        return self._edit(
            "merge cells", view, box.origin, change, box.mask.shape, {"cell": keep, "merged": other}
        )

    def split(
        self,
        view: View,
        label: int,
        seeds: Sequence[NDArray[np.float64]],
        landscape: Callable[[tuple[int, ...], tuple[int, ...]], NDArray[Any]] | None = None,
    ) -> LabelsEdit:
        """Split a cell among groups of seeds (n, 2) in pixels of the view; see `shapes.split`.

        Parameters
        ----------
        landscape : gives what is flooded for a box of the view (origin, shape).
        """
        piece = self._there(view, label)
        local = [np.atleast_2d(np.asarray(s, np.float64)) - np.array(piece.origin) for s in seeds]
        ground = None if landscape is None else landscape(piece.origin, piece.mask.shape)
        details = {"cell": label, "seeds": [np.atleast_2d(s).tolist() for s in seeds]}
        return self._divide(
            "split cell", view, label, piece, shapes.split(piece.mask, local, ground), details
        )

    def cut(self, view: View, label: int, line: NDArray[np.float64]) -> LabelsEdit:
        """Split a cell along a drawn line (n, 2) in pixels of the view; no change where it does not cross
        the cell.
        """
        piece = self._there(view, label)
        parts = shapes.cut(piece.mask, np.asarray(line, np.float64) - np.array(piece.origin))
        return self._divide(
            "cut cell", view, label, piece, parts, {"cell": label, "line": np.asarray(line).tolist()}
        )

    def _divide(
        self, name: str, view: View, label: int, piece: Piece, parts: list[Mask], details: Mapping[str, Any]
    ) -> LabelsEdit:
        parts = sorted(parts, key=lambda p: -int(p.sum()))
        first = self.next_id() if len(parts) > 1 else 0
        ids = [label, *range(first, first + len(parts) - 1)]

        def change(block: NDArray[Any]) -> None:
            for part, new in zip(parts[1:], ids[1:], strict=True):
                block[part] = new

        return self._edit(name, view, piece.origin, change, piece.mask.shape, {**details, "parts": ids})

    # ------------------------------------------------------------------ shape

    def fill_holes(self, view: View, label: int) -> LabelsEdit:
        """Fill the holes of a cell; other cells in them stay."""
        return self._reshape("fill holes", view, label, shapes.filled, 0, {})

    def smooth(self, view: View, label: int, radius: float = 2.0) -> LabelsEdit:
        """Smooth the outline of a cell over `radius` pixels."""
        margin = int(np.ceil(3 * radius))
        return self._reshape(
            "smooth cell", view, label, lambda m: shapes.smoothed(m, radius), margin, {"radius": radius}
        )

    def grow(self, view: View, label: int, pixels: int) -> LabelsEdit:
        """Grow a cell by a distance in pixels, or shrink it where negative."""
        margin = max(pixels, 0) + 1
        name = "grow cell" if pixels > 0 else "shrink cell"
        return self._reshape(name, view, label, lambda m: shapes.grown(m, pixels), margin, {"pixels": pixels})

    def reshape(
        self, view: View, label: int, piece: Piece, name: str, details: Mapping[str, Any]
    ) -> LabelsEdit:
        """Give a cell the shape `piece`, e.g. its basin above another threshold; it grows over background
        only.
        """
        if not piece:
            raise SessionError(f"Cell {label} would vanish; delete it instead.")
        return self.commit(view, piece, label, replace=True, name=name, details=details)

    # ------------------------------------------------------------------ ids

    def relabel(
        self, mapping: Mapping[int, int], axis: int, begin: int, end: int, name: str = "relabel"
    ) -> LabelsEdit:
        """Change ids in the planes begin..end-1 along `axis`, all at once (swaps are safe)."""
        return self._swap(name, mapping, None, (axis, begin, end))

    def _swap(
        self,
        name: str,
        mapping: Mapping[int, int],
        view: View | None,
        span: tuple[int, int, int] | None = None,
    ) -> LabelsEdit:
        boxes = [self.index.box(label) for label in mapping]
        start = [min(b[0][a] for b in boxes) for a in range(len(self.target.shape))]
        stop = [max(b[1][a] for b in boxes) for a in range(len(self.target.shape))]
        if view is not None:
            for axis, at in enumerate(view.position):
                if axis not in view.axes:
                    start[axis], stop[axis] = max(start[axis], at), min(stop[axis], at + 1)
        if span is not None:
            start[span[0]], stop[span[0]] = max(start[span[0]], span[1]), min(stop[span[0]], span[2])
        details = {"mapping": {str(k): int(v) for k, v in mapping.items()}}
        return LabelsEdit.between(self.target, name, self._swapped(mapping, start, stop), details)

    def _swapped(self, mapping: Mapping[int, int], start: list[int], stop: list[int]) -> Any:
        """Yield (start, before, after) of slabs along the first axis."""
        if any(b <= a for a, b in zip(start, stop, strict=True)):
            return
        row = max(1, int(np.prod([b - a for a, b in zip(start[1:], stop[1:], strict=True)], dtype=np.int64)))
        step = max(1, _BLOCK // row)
        for begin in range(start[0], stop[0], step):
            at = (begin, *start[1:])
            shape = (
                min(stop[0], begin + step) - begin,
                *(b - a for a, b in zip(start[1:], stop[1:], strict=True)),
            )
            before = self.target.read(box_region(at, shape))
            after = before.copy()
            for old, new in mapping.items():
                after[before == old] = new
            yield at, before, after


def _leaves(piece: Piece, full: tuple[int, ...]) -> bool:
    return any(o < 0 or e > n for o, e, n in zip(piece.origin, piece.stop, full, strict=True))


def _union_box(first: Piece, second: Piece) -> Piece:
    if not first or not second:
        return first if first else second
    origin = tuple(map(min, first.origin, second.origin))
    stop = tuple(map(max, first.stop, second.stop))
    return Piece(origin, np.ones(tuple(b - a for a, b in zip(origin, stop, strict=True)), bool))
