"""Classes of cells, and the classes given by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from napari_biofm.actions.base import Record, SessionState
from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.packing import pack, unpack
from napari_biofm.types import SessionError

ClassList = tuple[tuple[str, str], ...]  # name, colour


@dataclass(frozen=True)
class EditClasses:
    """Other classes for the cells of a layer: one more, another name, another colour.

    Attributes
    ----------
    layer : unique id of the labels layer.
    name : what the user did.
    before, after : (name, colour) of every class. Cells keep the class at their place in the list; a class at the
        end can only go when no cell has it.
    """

    kind: ClassVar[str] = "edit classes"
    layer: str
    name: str
    before: ClassList
    after: ClassList

    @property
    def nbytes(self) -> int:
        return 120 * (len(self.before) + len(self.after))

    def apply(self, state: SessionState) -> None:
        now = state.cell_classes(self.layer)
        if tuple(zip(now.names, now.colours, strict=True)) != self.before:
            raise SessionError("the classes are no longer those it was made on.")
        if len(self.after) < len(self.before) and (now.codes >= len(self.after)).any():
            raise SessionError(f"there are cells of the class '{self.before[len(self.after)][0]}'.")
        names, colours = tuple(n for n, _ in self.after), tuple(c for _, c in self.after)
        state.put_cell_classes(self.layer, replace(now, names=names, colours=colours))

    def inverse(self) -> EditClasses:
        return EditClasses(self.layer, undone(self.name), self.after, self.before)

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "layer": self.layer,
            "before": [list(pair) for pair in self.before],
            "after": [list(pair) for pair in self.after],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        before, after = (tuple((str(n), str(c)) for n, c in record[key]) for key in ("before", "after"))
        return cls(str(record["layer"]), str(record["action"]), before, after)


def edit_classes(layer: str, now: CellClasses, after: Iterable[tuple[str, str]], name: str) -> EditClasses:
    """Return the edit that gives a layer the classes `after` (name, colour) in place of those of `now`."""
    return EditClasses(layer, name, tuple(zip(now.names, now.colours, strict=True)), tuple(after))


def label_cells(
    layer: str,
    now: CellClasses,
    labels: NDArray[np.integer],
    classes: Sequence[str],
    codes: NDArray[np.integer],
    name: str = "label cells",
) -> LabelCells | None:
    """Return the edit that gives cells a class by hand, None where it changes nothing.

    Parameters
    ----------
    layer : unique id of the labels layer.
    now : classes and labels by hand before.
    labels : (n,) distinct label values.
    classes : names that `codes` count.
    codes : (n,) place of the class of each cell in `classes`; -1 takes a label away.
    name : what the user did.
    """
    ids = np.asarray(labels, np.int64)
    words = tuple(dict.fromkeys([*now.names, *classes, ""]))
    place = {word: i for i, word in enumerate(words)}
    before = np.asarray([*(place[n] for n in now.names), place[""]], np.int16)[now.codes_of(ids)]
    after = np.asarray([*(place[n] for n in classes), place[""]], np.int16)[np.asarray(codes)]
    differ = before != after
    if not differ.any():
        return None
    return LabelCells(layer, name, ids[differ], words, before[differ], after[differ])


@dataclass(frozen=True, eq=False)
class LabelCells:
    """Classes given to cells by hand, or taken away.

    Attributes
    ----------
    layer : unique id of the labels layer.
    name : what the user did.
    labels : (n,) int64 label values, distinct.
    classes : names that `before` and `after` count; "" for no class.
    before, after : (n,) int16 places in `classes`.
    """

    kind: ClassVar[str] = "label cells"
    layer: str
    name: str
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    before: NDArray[np.int16]
    after: NDArray[np.int16]

    @property
    def nbytes(self) -> int:
        return self.labels.nbytes + self.before.nbytes + self.after.nbytes + 64 * len(self.classes)

    def apply(self, state: SessionState) -> None:
        now = state.cell_classes(self.layer)
        code = {name: i for i, name in enumerate(now.names)} | {"": -1}
        used = np.union1d(self.before, self.after)
        missing = [self.classes[i] for i in used if self.classes[i] not in code]
        if missing:
            raise SessionError(f"there is no class '{missing[0]}' any more.")
        codes = np.asarray([code.get(name, -1) for name in self.classes], np.int16)
        if not np.array_equal(now.codes_of(self.labels), codes[self.before]):
            raise SessionError("some of these cells have another class than when it was made.")
        state.put_cell_classes(self.layer, now.with_labels(self.labels, codes[self.after]))

    def inverse(self) -> LabelCells:
        return replace(self, name=undone(self.name), before=self.after, after=self.before)

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "layer": self.layer,
            "n": len(self.labels),
            "labels": pack(self.labels),
            "classes": list(self.classes),
            "before": pack(self.before),
            "after": pack(self.after),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        labels = unpack(record["labels"], np.dtype(np.int64))
        before, after = (unpack(record[key], np.dtype(np.int16)) for key in ("before", "after"))
        classes = tuple(str(name) for name in record["classes"])
        if not len(labels) == len(before) == len(after):
            raise ValueError(f"{len(labels)} cells have {len(before)} and {len(after)} classes")
        if len(labels) and not 0 <= min(before.min(), after.min()) <= max(before.max(), after.max()) < len(
            classes
        ):
            raise ValueError("a class is named by a number that stands for none")
        return cls(str(record["layer"]), str(record["action"]), labels, classes, before, after)
