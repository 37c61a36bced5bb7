"""Tells which cells of a labels array changed since it was last looked at, without a copy of it.

The array is divided into blocks of one plane and at most 256 x 256 pixels. For every block the fingerprint keeps the
ids in it and, for each id, a 64-bit hash of where its pixels lie. A look at a block reads it once (about 0.2 ms for
a block of cells) and compares. A block that was never looked at cannot be compared; the first look keeps its hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.labels_edit import LabelsTarget, Patch

BLOCK = 256  # pixels a side
MOST_READ = 16  # blocks that are read again at once after an edit
Key = tuple[int, ...]
Box = tuple[tuple[int, ...], tuple[int, ...]]  # start, stop
Hashes = tuple[NDArray[np.int64], NDArray[np.uint64]]
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of SplitMix64 (Steele et al. 2014)


@dataclass(frozen=True)
class BlockChange:
    """A block whose labels are others than at the last look.

    Attributes
    ----------
    start, stop : where the block lies in the labels.
    ids : cells of which pixels were added, moved or removed there, ascending, without the background.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    ids: tuple[int, ...]


class LabelsFingerprint:
    """Hashes of the labels at the last look, block by block.

    Parameters
    ----------
    target : the labels; nothing is read before the first look.
    """

    def __init__(self, target: LabelsTarget) -> None:
        self._target = target
        self._blocks: dict[Key, Hashes] = {}
        self._shape = target.shape

    @property
    def n_pixels(self) -> int:
        """Number of pixels of the labels."""
        return int(np.prod(self._target.shape, dtype=np.int64))

    @property
    def is_complete(self) -> bool:
        """Whether every block was looked at."""
        whole = ((0,) * len(self._shape), self._shape)
        return self._shape == self._target.shape and len(self._blocks) >= self.n_blocks(*whole)

    def n_blocks(self, start: tuple[int, ...], stop: tuple[int, ...]) -> int:
        """Return how many blocks a box touches."""
        return int(np.prod([len(r) for r in self._ranges(start, stop)], dtype=np.int64))

    def reset(self) -> None:
        """Forget all blocks, e.g. when the labels have another shape now."""
        self._blocks.clear()
        self._shape = self._target.shape

    def look(self, box: Box | None = None) -> Iterator[BlockChange | None]:
        """Look at the blocks of a box (or all), and yield once per block: what changed in it, or None.

        Parameters
        ----------
        box : start and stop; everywhere when not given.
        """
        shape = self._target.shape
        if shape != self._shape:
            self.reset()
        for key in product(*self._ranges(*(box or ((0,) * len(shape), shape)))):
            yield self._look_at(key)

    def accept(self, box: Box, patch: Patch | None = None) -> None:
        """Take the labels of a box as they are: they were changed by an edit of ours.

        More than `MOST_READ` blocks are forgotten instead of read; the next look keeps their hashes.

        Parameters
        ----------
        box : start and stop.
        patch : what is about to be written there, where it was not written yet.
        """
        few = self.n_blocks(*box) <= MOST_READ
        for key in product(*self._ranges(*box)):
            if key in self._blocks and few:
                self._blocks[key] = hashes_of(self._read(key, patch))
            else:
                self._blocks.pop(key, None)

    def _ranges(self, start: Iterable[int], stop: Iterable[int]) -> list[range]:
        """Return the numbers of the blocks that a box touches, per axis."""
        ranges = []
        for begin, end, n, size in zip(start, stop, self._shape, self._sides(), strict=True):
            begin, end = max(0, begin), min(n, end)
            ranges.append(range(begin // size, -(-end // size) if end > begin else begin // size))
        return ranges

    def _sides(self) -> tuple[int, ...]:
        n = len(self._shape)
        return (1,) * max(0, n - 2) + (BLOCK,) * min(n, 2)

    def _box(self, key: Key) -> Box:
        sides = self._sides()
        start = tuple(k * side for k, side in zip(key, sides, strict=True))
        return start, tuple(min(a + side, n) for a, side, n in zip(start, sides, self._shape, strict=True))

    def _read(self, key: Key, patch: Patch | None = None) -> NDArray[np.integer]:  # type: ignore[type-arg]
        start, stop = self._box(key)
        block = self._target.read(tuple(slice(a, b) for a, b in zip(start, stop, strict=True)))
        if patch is not None:
            index, _, after = patch.pixels()
            at = [
                w + a - s
                for w, a, s in zip(np.unravel_index(index, patch.shape), patch.start, start, strict=True)
            ]
            inside = np.all([(a >= 0) & (a < n) for a, n in zip(at, block.shape, strict=True)], axis=0)
            block[tuple(a[inside] for a in at)] = after[inside]
        return block

    def _look_at(self, key: Key) -> BlockChange | None:
        now = hashes_of(self._read(key))
        before = self._blocks.get(key)
        self._blocks[key] = now
        ids = () if before is None else changed_ids(before, now)
        return BlockChange(*self._box(key), ids) if ids else None


def hashes_of(block: NDArray[np.integer]) -> Hashes:  # type: ignore[type-arg]
    """Return the ids in a block, ascending, and for each a hash of where its pixels lie."""
    flat = np.ascontiguousarray(block).reshape(-1)
    if not len(flat):
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    begin = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    length = np.diff(np.append(begin, len(flat)))
    values = flat[begin].astype(np.int64)
    order = np.argsort(values, kind="stable")
    values = values[order]
    first = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    runs = _mixed(begin.astype(np.uint64) << np.uint64(32) | length.astype(np.uint64))
    return values[first], np.add.reduceat(runs[order], first)


def changed_ids(before: Hashes, now: Hashes) -> tuple[int, ...]:
    """Return the ids that are in one of two blocks only, or have other pixels there; ascending, without 0."""
    if np.array_equal(before[0], now[0]) and np.array_equal(before[1], now[1]):
        return ()
    former = dict(zip(before[0].tolist(), before[1].tolist(), strict=True))
    later = dict(zip(now[0].tolist(), now[1].tolist(), strict=True))
    return tuple(sorted(k for k in former.keys() | later.keys() if k and former.get(k) != later.get(k)))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return well spread 64-bit values, so that sums of them hardly ever agree by chance."""
    golden, first, second = (np.uint64(m) for m in _MIX)
    with np.errstate(over="ignore"):
        values = values + golden
        values = (values ^ (values >> np.uint64(30))) * first
        values = (values ^ (values >> np.uint64(27))) * second
        return values ^ (values >> np.uint64(31))
