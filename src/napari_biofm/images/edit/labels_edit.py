"""Edits of labels as data: what changed, where, and back again.

An edit keeps changed pixels only, as runs of equal before and after, compressed: a cell of a thousand pixels
takes some hundred bytes, whatever the size of the image. `actions.EditLabels` makes it an action of a session, and
its record in the log is enough to make the same labels again.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.types import SessionError, WritableArray

Region = tuple[slice, ...]
_COLUMNS = 4  # gap, length, before, after
_LARGEST = 1 << 34  # pixels of one patch; more is not an edit
_SLAB = 1 << 22  # pixels of a patch where everything may change


def undone(name: str) -> str:
    """Return the name of the edit that takes back the one of this name."""
    return name.removeprefix("undo ") if name.startswith("undo ") else f"undo {name}"


class LabelsTarget(Protocol):
    """Labels that can be edited in place: an array, or a layer of a viewer."""

    @property
    def uid(self) -> str:
        """Unique id of the layer, as sessions name it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels."""
        ...

    def read(self, region: Region) -> NDArray[Any]:
        """Return a copy of the labels in `region`."""
        ...

    def put(
        self, start: tuple[int, ...], shape: tuple[int, ...], index: NDArray[np.intp], values: ArrayLike
    ) -> None:
        """Write `values` at flat `index` (C order) of the box of `shape` that begins at `start`."""
        ...


class ArrayTarget:
    """A plain array (numpy, zarr, ...) as target of edits.

    Parameters
    ----------
    data : integer array of any dimension that supports reading and writing by slices.
    uid : id under which edits of it are logged.
    """

    def __init__(self, data: WritableArray, uid: str = "labels") -> None:
        self.data = data
        self.uid = uid

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.data.shape)

    def read(self, region: Region) -> NDArray[Any]:
        return np.array(self.data[region])

    def put(
        self, start: tuple[int, ...], shape: tuple[int, ...], index: NDArray[np.intp], values: ArrayLike
    ) -> None:
        region = box_region(start, shape)
        block = np.ascontiguousarray(self.data[region])
        block.reshape(-1)[index] = values
        self.data[region] = block


def box_region(start: Iterable[int], shape: Iterable[int]) -> Region:
    """Return the slices of a box."""
    return tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))


@dataclass(frozen=True)
class Patch:
    """The changed pixels of one box.

    Attributes
    ----------
    start, shape : where the box begins in the labels, and its size.
    runs : zlib of int64 little-endian columns gap, length, before, after; `gap` counts unchanged pixels (C
        order in the box) between the end of one run and the start of the next.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]
    runs: bytes

    @classmethod
    def between(cls, start: Iterable[int], before: NDArray[Any], after: NDArray[Any]) -> Patch | None:
        """Return what takes `before` to `after` (same shape), or None where they are equal."""
        if before.shape != after.shape:
            raise SessionError(f"An edit needs arrays of one shape, not {before.shape} and {after.shape}.")
        changed = before != after
        if not changed.any():
            return None
        inner = _bounds(changed)
        offset = tuple(int(a) + s.start for a, s in zip(start, inner, strict=True))
        changed, before, after = changed[inner], before[inner], after[inner]
        index = np.flatnonzero(changed)
        columns = _to_runs(index, before.reshape(-1)[index], after.reshape(-1)[index])
        return cls(offset, changed.shape, zlib.compress(columns.astype("<i8").tobytes(), 6))

    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
        """Return flat index in the box, values before and values after of every changed pixel."""
        gap, length, before, after = self.columns()
        ends = np.cumsum(gap + length)
        index = np.repeat(ends - np.cumsum(length), length) + np.arange(int(length.sum()))
        return index.astype(np.intp), np.repeat(before, length), np.repeat(after, length)

    def columns(self) -> NDArray[np.int64]:
        """Return the runs as (4, n) int64: gap, length, before, after.

        Raises
        ------
        SessionError : if the bytes are not runs within the box.
        """
        try:
            raw = zlib.decompress(self.runs)
        except zlib.error as error:
            raise SessionError(f"An edit at {self.start} is damaged: {error}.") from error
        if len(raw) % (8 * _COLUMNS):
            raise SessionError(f"An edit at {self.start} is damaged: {len(raw)} bytes are no runs.")
        columns = np.frombuffer(raw, "<i8").reshape(_COLUMNS, -1)
        size = int(np.prod(self.shape, dtype=np.int64))
        if (columns[:2] < 0).any() or size > _LARGEST or int(columns[:2].sum()) > size:
            raise SessionError(f"An edit at {self.start} is damaged: its runs leave the box {self.shape}.")
        return columns

    @property
    def n_pixels(self) -> int:
        """Number of changed pixels."""
        return int(self.columns()[1].sum())

    def reversed(self) -> Patch:
        """Return the patch that takes this one back."""
        columns = self.columns()[[0, 1, 3, 2]]
        return Patch(self.start, self.shape, zlib.compress(columns.astype("<i8").tobytes(), 6))

    def to_json(self) -> dict[str, Any]:
        """Return the patch for the log."""
        return {
            "start": list(self.start),
            "shape": list(self.shape),
            "runs": base64.b64encode(self.runs).decode("ascii"),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Patch:
        """Read a patch of the log; SessionError where it is not one."""
        try:
            start = tuple(int(n) for n in values["start"])
            shape = tuple(int(n) for n in values["shape"])
            runs = base64.b64decode(values["runs"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise SessionError(f"The log holds an edit that cannot be read ({error}).") from error
        if len(start) != len(shape) or min(start, default=0) < 0 or min(shape, default=0) < 0:
            raise SessionError(f"The log holds an edit at {start} of shape {shape}, which is no box.")
        return cls(start, shape, runs)


def _bounds(mask: NDArray[np.bool_]) -> Region:
    """Return the smallest box around the true pixels of a mask that has some."""
    slices = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(slices)


def _to_runs(index: NDArray[np.intp], before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.int64]:
    fresh = np.ones(len(index), bool)
    fresh[1:] = (np.diff(index) != 1) | (before[1:] != before[:-1]) | (after[1:] != after[:-1])
    first = np.flatnonzero(fresh)
    length = np.diff(np.append(first, len(index)))
    begin = index[first]
    gap = begin - np.concatenate([[0], (begin + length)[:-1]])
    return np.stack([gap, length, before[first].astype(np.int64), after[first].astype(np.int64)])


@dataclass(frozen=True)
class LabelsEdit:
    """One edit of a labels layer as data.

    Attributes
    ----------
    layer : unique id of the layer.
    name : what the user did.
    patches : changed boxes, in the order in which they are applied.
    details : JSON-able account of how (tool, backend, prompts).
    """

    layer: str
    name: str
    patches: tuple[Patch, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def between(
        cls,
        target: LabelsTarget,
        name: str,
        blocks: Iterable[tuple[Iterable[int], NDArray[Any], NDArray[Any]]],
        details: Mapping[str, Any] | None = None,
    ) -> LabelsEdit:
        """Make an edit of (start, before, after) blocks; unchanged ones are left out."""
        patches = [Patch.between(*block) for block in blocks]
        return cls(target.uid, name, tuple(p for p in patches if p is not None), dict(details or {}))

    @classmethod
    def whole(
        cls,
        layer: str,
        name: str,
        before: NDArray[Any],
        after: NDArray[Any],
        details: Mapping[str, Any] | None = None,
    ) -> LabelsEdit:
        """Make the edit that takes all labels of a layer to others of the same shape, slab by slab."""
        if before.shape != after.shape:
            raise SessionError(f"Masks of shape {after.shape} cannot replace masks of shape {before.shape}.")
        row = max(1, int(np.prod(before.shape[1:], dtype=np.int64)))
        step = max(1, _SLAB // row)
        rest = (0,) * (before.ndim - 1)
        patches = [
            Patch.between((begin, *rest), before[begin : begin + step], after[begin : begin + step])
            for begin in range(0, before.shape[0], step)
        ]
        return cls(layer, name, tuple(p for p in patches if p is not None), dict(details or {}))

    def __bool__(self) -> bool:
        return bool(self.patches)

    def write(self, target: LabelsTarget) -> None:
        """Write the edit.

        Raises
        ------
        SessionError : if the labels are no longer what the edit was made on; nothing is written then.
        """
        done: list[Patch] = []
        try:
            for patch in self.patches:
                self._write_checked(target, patch)
                done.append(patch)
        except BaseException:  # also where memory runs out: all of it is written, or nothing
            for patch in reversed(done):
                self._write_checked(target, patch.reversed())
            raise

    def _write_checked(self, target: LabelsTarget, patch: Patch) -> None:
        index, before, after = patch.pixels()
        if len(patch.start) != len(target.shape):
            raise SessionError(f"the labels have the shape {target.shape} now.")
        now = target.read(box_region(patch.start, patch.shape)).reshape(-1)
        fits = now.size == int(np.prod(patch.shape, dtype=np.int64)) and np.array_equal(now[index], before)
        if not fits:
            raise SessionError(
                f"the labels at {patch.start} were changed by something that is not in the history."
            )
        target.put(patch.start, patch.shape, index, after)

    def inverse(self) -> LabelsEdit:
        """Return the edit that takes this one back."""
        name = undone(self.name)
        return LabelsEdit(self.layer, name, tuple(p.reversed() for p in reversed(self.patches)), self.details)

    @property
    def labels(self) -> tuple[int, ...]:
        """Ids of the cells it touches, ascending."""
        ids: set[int] = set()
        for patch in self.patches:
            ids.update(np.unique(patch.columns()[2:]).tolist())
        return tuple(sorted(ids - {0}))

    @property
    def nbytes(self) -> int:
        """Bytes it holds."""
        return sum(len(p.runs) for p in self.patches)

    def record(self) -> dict[str, Any]:
        """Return the log's account, from which `from_record` and `replay` make the same labels."""
        taken = ("kind", "action", "layer", "labels", "patches")
        return {
            "action": self.name,
            "layer": self.layer,
            "labels": list(self.labels),
            "patches": [p.to_json() for p in self.patches],
            **{k: v for k, v in self.details.items() if k not in taken},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> LabelsEdit:
        """Make the edit of a record again; SessionError, KeyError or TypeError where it is damaged."""
        taken = ("kind", "action", "layer", "labels", "patches", "at")
        details = {str(k): v for k, v in record.items() if k not in taken}
        patches = tuple(Patch.from_json(p) for p in record["patches"])
        return cls(str(record["layer"]), str(record["action"]), patches, details)


def edits_of(log: Iterable[Mapping[str, Any]], layer: str | None = None) -> Iterator[tuple[str, list[Patch]]]:
    """Yield name and patches of every edit of labels in a log, in order; of one layer where it is named."""
    for entry in log:
        if "patches" in entry and layer in (None, entry.get("layer")):
            yield str(entry.get("action", "edit")), [Patch.from_json(p) for p in entry["patches"]]


def replay(log: Iterable[Mapping[str, Any]], target: LabelsTarget, layer: str | None = None) -> int:
    """Write every edit of a log, undos included, and return their number.

    Values are written as the log states them, so that replaying over labels that hold a part of the edits
    already (a snapshot taken while somebody drew) gives the same result.

    Parameters
    ----------
    log : records of the history, oldest first.
    target : labels as they were when the log began.
    layer : unique id of the layer whose edits count; None takes all.

    Raises
    ------
    SessionError : if an entry is damaged or lies outside the labels.
    """
    count = 0
    for name, patches in edits_of(log, layer):
        for patch in patches:
            ends = [a + n for a, n in zip(patch.start, patch.shape, strict=True)]
            if len(ends) != len(target.shape) or any(e > n for e, n in zip(ends, target.shape, strict=True)):
                raise SessionError(
                    f"'{name}' of the log ends at {tuple(ends)}, outside labels of shape {target.shape}: "
                    "the log belongs to another image."
                )
            index, _, after = patch.pixels()
            target.put(patch.start, patch.shape, index, after)
        count += 1
    return count
