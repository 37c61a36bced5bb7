"""Which plane (or volume) of the labels an edit is about, and masks that know where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.labels_edit import Region

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """A mask and where it lies in its view.

    Attributes
    ----------
    origin : index of the first element of `mask` along every axis of the view.
    mask : boolean array.
    """

    origin: tuple[int, ...]
    mask: Mask

    @classmethod
    def of(cls, mask: NDArray[Any], origin: tuple[int, ...] | None = None) -> Piece:
        """Crop a mask to its true pixels; an empty mask keeps a shape of zeros."""
        mask = np.asarray(mask, bool)
        origin = origin or (0,) * mask.ndim
        if not mask.any():
            return cls(origin, np.zeros((0,) * mask.ndim, bool))
        box = mask_box(mask)
        return cls(tuple(o + s.start for o, s in zip(origin, box, strict=True)), mask[box])

    def __bool__(self) -> bool:
        return bool(self.mask.any())

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())

    @property
    def stop(self) -> tuple[int, ...]:
        """Index behind the last element along every axis."""
        return tuple(o + n for o, n in zip(self.origin, self.mask.shape, strict=True))

    def padded(self, margin: int, shape: tuple[int, ...]) -> Piece:
        """Return the piece in a box with room around it, within labels of `shape`."""
        low = [max(0, o - margin) for o in self.origin]
        high = [min(n, e + margin) for e, n in zip(self.stop, shape, strict=True)]
        return self.within(tuple(low), tuple(h - lo for lo, h in zip(low, high, strict=True)))

    def within(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> Piece:
        """Return the part of the piece that lies in the box at `origin` of `shape`, in that box."""
        out = np.zeros(shape, bool)
        source, goal = [], []
        for o, n, a, m in zip(origin, shape, self.origin, self.mask.shape, strict=True):
            begin, end = max(o, a), min(o + n, a + m)
            if end <= begin:
                return Piece(origin, out)
            source.append(slice(begin - a, end - a))
            goal.append(slice(begin - o, end - o))
        out[tuple(goal)] = self.mask[tuple(source)]
        return Piece(origin, out)

    def overlap(self, other: Piece) -> float:
        """Return intersection over union with another piece of the same view."""
        both = int((self.mask & other.within(self.origin, self.mask.shape).mask).sum())
        union = self.area + other.area - both
        return both / union if union else 0.0

    def centre(self) -> tuple[float, ...]:
        """Return the centre of mass."""
        found = np.argwhere(self.mask)
        return tuple(float(c) for c in found.mean(axis=0) + np.array(self.origin))


def mask_box(mask: Mask) -> Region:
    """Return the smallest box around the true pixels of a mask that has some."""
    slices = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(slices)


@dataclass(frozen=True)
class View:
    """A plane or volume of n-dimensional labels.

    Attributes
    ----------
    position : index along every axis of the labels; that along `axes` does not count.
    axes : axes of the labels that the view shows, in the order shown.
    """

    position: tuple[int, ...]
    axes: tuple[int, ...]

    @classmethod
    def last(cls, ndim: int, position: tuple[int, ...] = (), n: int = 2) -> View:
        """Return the view of the last `n` axes at `position` along the others."""
        at = tuple(position) + (0,) * (ndim - len(position))
        return cls(at, tuple(range(ndim - n, ndim)))

    def shape(self, full: tuple[int, ...]) -> tuple[int, ...]:
        """Return the view's shape in labels of shape `full`."""
        return tuple(full[a] for a in self.axes)

    def region(self, origin: tuple[int, ...], shape: tuple[int, ...]) -> Region:
        """Return the slices of a box of the view in the labels."""
        slices = [slice(p, p + 1) for p in self.position]
        for axis, o, n in zip(self.axes, origin, shape, strict=True):
            slices[axis] = slice(o, o + n)
        return tuple(slices)

    def take(self, block: NDArray[Any]) -> NDArray[Any]:
        """Bring a block read at `region` to the view's axes (a view of the same memory)."""
        fixed = tuple(a for a in range(block.ndim) if a not in self.axes)
        return np.transpose(np.squeeze(block, axis=fixed), np.argsort(np.argsort(self.axes)))

    def give(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array of the view's axes back to a block of the labels."""
        plain = np.transpose(array, np.argsort(self.axes))
        fixed = tuple(a for a in range(len(self.position)) if a not in self.axes)
        return np.expand_dims(plain, fixed)

    def moved(self, axis: int, index: int) -> View:
        """Return the same view at another index along `axis`."""
        at = list(self.position)
        at[axis] = index
        return View(tuple(at), self.axes)

    def point(self, full: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the view's coordinates of a point in the labels."""
        return tuple(full[a] for a in self.axes)
