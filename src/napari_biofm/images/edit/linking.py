"""Link cells over time: track ids, divisions, and labels that carry the track's id.

The one tracker of this package: *Link over time*, the classes over time of the Cells dock, and the API follow cells
with it. Cells of neighbouring frames are matched by overlap and distance (assignment: Kuhn, Naval Research Logistics
2:83, 1955); a cell that overlaps two unmatched successors has divided. The result is data for a napari Tracks layer
and one edit that gives each cell its track's id.

Trackers for points (laptrack, trackpy, btrack) match centres and know nothing of the masks' overlap, which decides
where cells touch; their result can be read as a Tracks layer or a CSV (`cells.track.tracks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit, LabelsTarget
from napari_biofm.types import ImageError, Progress, Task


@dataclass(frozen=True)
class Tracking:
    """Cells followed over time.

    Attributes
    ----------
    data : (n, 2 + d) float: track id, frame, centre; sorted by id, then frame: the data of a Tracks layer.
    graph : parents of every track that begins by a division: {daughter: [mother]}.
    renamed : per frame, {old label: track id}; only labels that change.
    cells : (n, 3) int64: track id, frame, label of every cell; rows as in `data`.
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    renamed: list[dict[int, int]]
    cells: NDArray[np.int64]


@dataclass(frozen=True)
class _Frame:
    """The cells of a frame in the order of their first pixels: which numbers they have changes nothing."""

    labels: NDArray[np.int64]
    centres: NDArray[np.float64]
    areas: NDArray[np.float64]

    def rows_of(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Return the row of each label, all of which are in this frame."""
        order = np.argsort(self.labels)
        return np.asarray(order[np.searchsorted(self.labels, labels, sorter=order)])


def link(target: LabelsTarget, reach: float | None = None, divisions: bool = True) -> Task[Tracking]:
    """Follow the cells of labels (T, Y, X) or (T, Z, Y, X) along the first axis.

    Parameters
    ----------
    target : labels; one frame is read at a time.
    reach : how far a cell may move between frames, pixels; None for 1.5 times the usual diameter.
    divisions : whether a cell may have two daughters; they get ids of their own.

    Raises
    ------
    ImageError : if there is no time axis.
    """
    shape = target.shape
    if len(shape) < 3:
        raise ImageError(f"Linking needs labels over time (T, Y, X), not labels of shape {shape}.")
    tracks = _Tracks(len(shape))
    before: tuple[_Frame, NDArray[Any]] | None = None
    for t in range(shape[0]):
        yield Progress(t, shape[0], f"linking frame {t}")
        picture = target.read((slice(t, t + 1), *(slice(0, n) for n in shape[1:])))[0]
        frame = _frame(picture)
        if before is None:
            tracks.begin(frame, t)
        else:
            tracks.follow(
                before[0], frame, _overlaps(before[0], frame, before[1], picture), t, reach, divisions
            )
        before = (frame, picture)
    return tracks.result()


def link_array(labels: NDArray[Any], reach: float | None = None, divisions: bool = True) -> Task[Tracking]:
    """Follow the cells of an array of labels; see `link`. The job that docks submit."""
    return (yield from link(ArrayTarget(labels), reach, divisions))


class _Tracks:
    def __init__(self, ndim: int) -> None:
        self._width = 1 + ndim  # track id, frame and the centre
        self._rows: list[tuple[float, ...]] = []  # with the cell's label at the end
        self._graph: dict[int, list[int]] = {}
        self._renamed: list[dict[int, int]] = []
        self._now: NDArray[np.int64] = np.zeros(0, np.int64)  # track id of each cell of the last frame
        self._used: set[int] = set()

    def begin(self, frame: _Frame, t: int) -> None:
        self._close(frame, np.array(frame.labels), t)

    def follow(
        self,
        old: _Frame,
        new: _Frame,
        overlap: NDArray[np.float64],
        t: int,
        reach: float | None,
        divisions: bool,
    ) -> None:
        ids = np.zeros(len(new.labels), np.int64)
        matched = _match(old, new, overlap, reach)
        for a, b in matched:
            ids[b] = self._now[a]
        if divisions:
            self._divide(old, new, overlap, matched, ids)
        free = [b for b in range(len(ids)) if not ids[b]]
        for b in free:
            own = int(new.labels[b])
            ids[b] = own if own not in self._used and own not in ids else self._fresh(new, ids)
            self._used.add(int(ids[b]))
        self._close(new, ids, t)

    def _divide(
        self,
        old: _Frame,
        new: _Frame,
        overlap: NDArray[np.float64],
        matched: list[tuple[int, int]],
        ids: NDArray[np.int64],
    ) -> None:
        """A free cell that lies mostly in a matched mother makes her divide: both daughters get ids of
        their own.
        """
        partner = dict(matched)
        for b in np.flatnonzero(ids == 0):
            if not len(old.labels):
                return
            a = int(overlap[:, b].argmax())
            inside = overlap[a, b] / max(new.areas[b], 1)
            first = partner.get(a)
            if first is None or inside < 0.4 or not 0.4 < new.areas[b] / max(new.areas[first], 1) < 2.5:
                continue
            mother = int(self._now[a])
            for daughter in (first, int(b)):
                ids[daughter] = self._fresh(new, ids)
                self._graph[int(ids[daughter])] = [mother]
            del partner[a]

    def _fresh(self, frame: _Frame, ids: NDArray[np.int64]) -> int:
        taken = max([*self._used, int(ids.max(initial=0)), int(frame.labels.max(initial=0))], default=0)
        self._used.add(taken + 1)
        return taken + 1

    def _close(self, frame: _Frame, ids: NDArray[np.int64], t: int) -> None:
        self._used.update(int(i) for i in ids)
        for track, centre, label in zip(ids, frame.centres, frame.labels, strict=True):
            self._rows.append((float(track), float(t), *(float(c) for c in centre), float(label)))
        changed = zip(frame.labels, ids, strict=True)
        self._renamed.append({int(a): int(b) for a, b in changed if a != b})
        self._now = ids

    def result(self) -> Tracking:
        rows = np.array(sorted(self._rows), np.float64).reshape(-1, self._width + 1)
        cells = rows[:, [0, 1, self._width]].astype(np.int64)
        return Tracking(rows[:, : self._width], dict(self._graph), self._renamed, cells)


def _frame(labels: NDArray[Any]) -> _Frame:
    where = np.nonzero(labels)
    ids, first, packed = np.unique(labels[where], return_index=True, return_inverse=True)
    order = np.argsort(first)
    dense = np.argsort(order)[packed]
    areas = np.bincount(dense, minlength=len(ids)).astype(float)
    sums = [np.bincount(dense, axis, minlength=len(ids)) / np.maximum(areas, 1) for axis in where]
    return _Frame(ids[order].astype(np.int64), np.stack(sums, axis=1), areas)


def _overlaps(old: _Frame, new: _Frame, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Pixels shared by every cell of one frame with every cell of the next: (n_old, n_new)."""
    both = (first > 0) & (second > 0)
    rows, columns = old.rows_of(first[both]), new.rows_of(second[both])
    flat = np.bincount(rows * max(len(new.labels), 1) + columns, minlength=len(old.labels) * len(new.labels))
    return flat[: len(old.labels) * len(new.labels)].reshape(len(old.labels), len(new.labels)).astype(float)


def _match(
    old: _Frame, new: _Frame, overlap: NDArray[np.float64], reach: float | None
) -> list[tuple[int, int]]:
    if not len(old.labels) or not len(new.labels):
        return []
    far = np.linalg.norm(old.centres[:, None] - new.centres[None], axis=2)
    usual = float(np.median(np.concatenate([old.areas, new.areas]))) ** (1 / old.centres.shape[1])
    limit = reach if reach is not None else 1.5 * 1.13 * usual
    union = old.areas[:, None] + new.areas[None] - overlap
    cost = far / limit + 1 - overlap / np.maximum(union, 1)
    cost = np.where((far <= limit) | (overlap > 0), cost, 1e6)
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if cost[a, b] < 1e6]


def relabel_edit(target: LabelsTarget, tracking: Tracking) -> LabelsEdit:
    """Return the edit that gives every cell its track's id, frame by frame."""
    shape = target.shape
    return LabelsEdit.between(
        target, "link over time", _renamed(target, shape, tracking), {"n_tracks": n_tracks(tracking)}
    )


def _renamed(target: LabelsTarget, shape: tuple[int, ...], tracking: Tracking) -> Any:
    for t, mapping in enumerate(tracking.renamed):
        if not mapping:
            continue
        before = target.read((slice(t, t + 1), *(slice(0, n) for n in shape[1:])))
        after = before.copy()
        for old, new in mapping.items():
            after[before == old] = new
        yield (t, *(0,) * (len(shape) - 1)), before, after


def n_tracks(tracking: Tracking) -> int:
    """Return the number of tracks."""
    return len(np.unique(tracking.data[:, 0])) if len(tracking.data) else 0
