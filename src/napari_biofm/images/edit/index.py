"""Where each cell lies, so that an edit of a large image need not look for it.

A box may be larger than its cell (a cell that shrank keeps its box), never smaller.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.labels_edit import LabelsTarget, Patch
from napari_biofm.types import Progress, SessionError, Task

SLAB = 1 << 24  # pixels read at a time
_DENSE = 1 << 22  # ids up to which a table by id is worth its memory
Box = tuple[tuple[int, ...], tuple[int, ...]]  # start, stop


class LabelIndex:
    """Boxes of all cells of a labels target, and the next free id.

    Parameters
    ----------
    target : the labels; they are read once, slab by slab, by `build`.
    """

    def __init__(self, target: LabelsTarget) -> None:
        self._target = target
        self._boxes: dict[int, Box] = {}
        self._largest = 0
        self.ready = False

    def build(self) -> Task[None]:
        """Read the labels once; edits that come in between are kept."""
        shape = self._target.shape
        row = max(1, int(np.prod(shape[1:], dtype=np.int64)))
        step = max(1, SLAB // row)
        for begin in range(0, shape[0], step):
            yield Progress(begin, shape[0], "looking up cells")
            end = min(shape[0], begin + step)
            region = (slice(begin, end), *(slice(0, n) for n in shape[1:]))
            self._add_slab(np.asarray(self._target.read(region)), begin)
        self.ready = True

    def reset(self) -> None:
        """Begin anew: other labels are there, or something changed that nobody can place."""
        self._boxes.clear()
        self._largest = 0
        self.ready = False

    def ensure(self) -> None:
        """Build now if that was not done."""
        if not self.ready:
            for _ in self.build():
                pass

    def _add_slab(self, slab: NDArray[np.integer], begin: int) -> None:  # type: ignore[type-arg]
        top = int(slab.max(initial=0))
        if top <= 0:
            return
        if top <= _DENSE:
            found = enumerate(scipy.ndimage.find_objects(slab.astype(np.int32, copy=False)), start=1)
            boxes = ((label, box) for label, box in found if box is not None)
        else:
            ids, dense = np.unique(slab, return_inverse=True)
            shift = int(ids[0] == 0)
            dense = dense.reshape(slab.shape) + (1 - shift)
            boxes = (
                (int(ids[k - 1 + shift]), box)
                for k, box in enumerate(scipy.ndimage.find_objects(dense), 1)
                if box
            )
        for label, box in boxes:
            start = (box[0].start + begin, *(s.start for s in box[1:]))
            self.include(label, start, (box[0].stop + begin, *(s.stop for s in box[1:])))

    def include(self, label: int, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
        """Grow the box of a cell so that it holds start..stop."""
        former = self._boxes.get(label)
        if former is not None:
            start = tuple(map(min, former[0], start))
            stop = tuple(map(max, former[1], stop))
        self._boxes[label] = (start, stop)
        self._largest = max(self._largest, label)

    def changed(self, patches: Iterable[Patch]) -> None:
        """Take note of an edit, and of what undoing it would bring back."""
        for patch in patches:
            stop = tuple(a + n for a, n in zip(patch.start, patch.shape, strict=True))
            for label in np.unique(patch.columns()[2:]).tolist():
                if label:
                    self.include(int(label), patch.start, stop)

    def box(self, label: int) -> Box:
        """Return start and stop of a box that holds the whole cell.

        Raises
        ------
        SessionError : if there is no such cell.
        """
        self.ensure()
        if label not in self._boxes:
            raise SessionError(f"There is no cell {label} in these labels.")
        return self._boxes[label]

    def __contains__(self, label: int) -> bool:
        self.ensure()
        return label in self._boxes

    @property
    def labels(self) -> list[int]:
        """Ids that are or were in the labels, ascending."""
        self.ensure()
        return sorted(self._boxes)

    @property
    def next_id(self) -> int:
        """An id that no cell has or had: ids are never given twice, so that undo and tables stay true."""
        self.ensure()
        return self._largest + 1
