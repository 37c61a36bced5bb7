"""The cells of one Labels layer while they are being taught: classes, labels by hand, live predictions.

Knows the session and the table, no Qt and no napari. Widgets listen to its signals and call its methods;
every label goes through the session's history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.cells.classify.active_learning import outlier_scores
from napari_biofm.cells.classify.heads import Head
from napari_biofm.cells.classify.live import LiveHead, Prediction, Prepared, prepare
from napari_biofm.cells.table.cell_table import BASELINE, UNKNOWN, add_block, text, vectors_of
from napari_biofm.session import Session
from napari_biofm.session.history import CallAction
from napari_biofm.session.selection import CellSet
from napari_biofm.types import CellsError, Vectors

if TYPE_CHECKING:
    from anndata import AnnData

# Told apart by people with any colour vision (Okabe and Ito 2008), lightened where napari is dark.
COLOURS = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999",
    "#b2df8a", "#fb9a99", "#cab2d6", "#fdbf6f",
)  # fmt: skip
UNKNOWN_CODE, SELECTED_CODE = 255, 254
ALL = "all side by side"
Submit = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]], None]
Codes = NDArray[np.int16]


class CellStates:
    """Labels and predictions of the cells of one layer.

    Parameters
    ----------
    session : whose table, selection and history are used.
    submit : runs short work, newest wins: `submit(work, on_done, on_error)`.
    """

    table_changed = Signal()
    classes_changed = Signal()
    labels_changed = Signal()
    predictions_changed = Signal()
    failed = Signal(object)  # exception

    def __init__(self, session: Session, submit: Submit) -> None:
        self.session = session
        self._submit = submit
        self.uid: str | None = None
        self.table: AnnData | None = None
        self.classes: list[tuple[str, str]] = []  # name, colour
        self.min_probability = 0.5
        self.blocks = BASELINE
        self._clear()

    def _clear(self) -> None:
        self.values: NDArray[np.int64] = np.zeros(0, np.int64)
        self.by_hand: Codes = np.zeros(0, np.int16)
        self.prepared: Prepared | None = None
        self.head: LiveHead | None = None
        self.prediction: Prediction | None = None
        self._other_blocks: list[str] = []
        self.other_head: Head | None = None  # gave the prediction, where it was not the live head
        self.groups: NDArray[np.object_] = np.zeros(0, object)
        self.outlier: NDArray[np.float64] | None = None
        self._tuned_at = 0
        self._selected: tuple[CellSet, NDArray[np.int64]] | None = None  # rows of a selection

    # ------------------------------------------------------------------ what is shown

    def use(self, uid: str | None, table: AnnData | None) -> None:
        """Show the cells of another layer, or another table of the same, with the labels in it."""
        self.uid, self.table = uid, table
        self._clear()
        if table is not None:
            self.values = table.obs["label"].to_numpy(np.int64)
            self.groups = text(table, "group")
            self._read_classes(table)
            if self.blocks != ALL and self.blocks not in table.obsm:
                self.blocks = str(table.uns["vectors"])
        self.table_changed.emit()
        self.classes_changed.emit()
        self.labels_changed.emit()
        self.predictions_changed.emit()
        if table is not None and table.n_obs:
            self._prepare()

    def use_blocks(self, blocks: str) -> None:
        """Choose the vectors to learn from: the name of a block, or `ALL`."""
        if blocks != self.blocks:
            self.blocks = blocks
            self.prepared = self.head = self.prediction = None
            if self.table is not None and self.table.n_obs:
                self._prepare()

    def add_block(self, name: str, vectors: Vectors, source: Mapping[str, Any]) -> None:
        """Put a block of vectors into the table; one of the same name is replaced."""
        if self.table is None:
            raise CellsError("Measure the cells first; there is no table to put vectors into.")
        add_block(self.table, name, vectors, source)
        if name in self.block_names:
            self.prepared = self.head = self.prediction = None
            self._prepare()
        self.table_changed.emit()

    @property
    def head_blocks(self) -> list[str]:
        """Names of the blocks the head takes that gave the predictions."""
        return self.block_names if self.other_head is None else self._other_blocks

    @property
    def block_names(self) -> list[str]:
        """Names of the blocks in use."""
        if self.table is None:
            return []
        return list(self.table.obsm) if self.blocks == ALL else [self.blocks]

    def _prepare(self) -> None:
        table, uid, blocks = self.table, self.uid, self.block_names
        if table is None:
            return

        def work() -> tuple[Prepared, NDArray[np.float64]]:
            prepared = prepare(vectors_of(table, blocks))
            return prepared, outlier_scores(prepared.features, prepared.finite)

        def done(found: tuple[Prepared, NDArray[np.float64]]) -> None:
            if self.table is not table or self.uid != uid:
                return
            self.prepared, self.outlier = found
            table.obs["outlier"] = self.outlier
            self.head = LiveHead(self.prepared)
            self._tuned_at = 0
            self.table_changed.emit()
            self.refit()

        self._submit(work, done, self.failed.emit)

    # ------------------------------------------------------------------ classes

    def add_class(self, name: str, colour: str | None = None) -> int:
        """Define a class and return its code."""
        name = name.strip()
        names = [n for n, _ in self.classes]
        if not name or name == UNKNOWN:
            raise CellsError(f"'{name}' cannot be a class name; choose another.")
        if name in names:
            return names.index(name)
        if len(names) >= SELECTED_CODE - 1:
            raise CellsError(f"There are {len(names)} classes already; no more can be told apart.")
        self.classes.append((name, colour or COLOURS[len(names) % len(COLOURS)]))
        self._write_classes()
        self.classes_changed.emit()
        return len(names)

    def set_colour(self, code: int, colour: str) -> None:
        """Give a class another colour."""
        self.classes[code] = (self.classes[code][0], colour)
        self._write_classes()
        self.classes_changed.emit()

    def rename(self, code: int, name: str) -> None:
        """Give a class another name; its labels stay. Can be undone."""
        name, former = name.strip(), self.classes[code][0]
        if name == former:
            return
        if not name or name == UNKNOWN or name in (n for n, _ in self.classes):
            raise CellsError(f"'{name}' cannot be the name of a class: it is empty, reserved or taken.")

        def put(value: str) -> None:
            self.classes[code] = (value, self.classes[code][1])
            self._write_classes()
            self._mirror_labels()
            self.classes_changed.emit()
            self.predictions_changed.emit()

        details = {"layer": self.uid, "from": former, "to": name}
        self.session.history.do(CallAction("rename class", lambda: put(name), lambda: put(former), details))

    def _read_classes(self, table: AnnData) -> None:
        names = text(table, "class_by_hand")
        stored = table.uns.get("classes", {})
        known = dict(zip(stored.get("names", []), stored.get("colours", []), strict=False))
        for name, colour in self.classes:
            known.setdefault(name, colour)
        for name in sorted(set(names) - {""}):
            known.setdefault(name, COLOURS[len(known) % len(COLOURS)])
        self.classes = [(str(n), str(c)) for n, c in known.items()]
        code = {name: i for i, (name, _) in enumerate(self.classes)}
        self.by_hand = np.full(len(names), -1, np.int16)
        labelled = np.flatnonzero(names != "")
        self.by_hand[labelled] = [code.get(n, -1) for n in names[labelled]]

    def _write_classes(self) -> None:
        if self.table is not None:
            self.table.uns["classes"] = {
                "names": [n for n, _ in self.classes],
                "colours": [c for _, c in self.classes],
            }

    # ------------------------------------------------------------------ labels

    def assign(self, rows: Sequence[int] | NDArray[np.integer], code: int) -> None:
        """Label cells by hand (`code` -1 takes labels away). Can be undone."""
        at = np.asarray(rows, np.int64)
        if self.table is None or not len(at):
            return
        self._change(at, np.full(len(at), code, np.int16), "label cell" if len(at) == 1 else "label cells")

    def assign_names(self, class_of: Mapping[str, str]) -> None:
        """Label cells by `cell_id`, e.g. read from a file. Can be undone in one step."""
        if self.table is None:
            raise CellsError("Measure the cells first; there is no table to put labels into.")
        ids = self.table.obs["cell_id"]
        row = {str(ids.iat[i]): i for i in np.flatnonzero(ids.isin(list(class_of)))}
        codes = np.asarray([self.add_class(name) for name in class_of.values()], np.int16)
        self._change(np.asarray([row[c] for c in class_of], np.int64), codes, "read labels")

    def _change(self, at: NDArray[np.int64], new: Codes, name: str) -> None:
        uid, ids, old = self.uid, self.values[at], self.by_hand[at].copy()
        if np.array_equal(old, new):
            return
        before, after = self._names_of(old), self._names_of(new)

        def put(names: NDArray[np.object_]) -> None:
            if self.uid == uid:
                codes = {name: self.add_class(name) for name in set(names) - {""}} | {"": -1}
                rows = self.rows_of(ids)
                there = rows >= 0
                self.by_hand[rows[there]] = [codes[name] for name in names[there]]
                self._mirror_labels()
                self.labels_changed.emit()
                self.refit()
            else:  # undone while another layer is shown
                self._put_elsewhere(uid, dict(zip(ids.tolist(), names, strict=True)))

        details = {"layer": uid, "cells": ids[:50].tolist(), "n": len(ids), "class": str(after[0])}
        self.session.history.do(CallAction(name, lambda: put(after), lambda: put(before), details))

    def _put_elsewhere(self, uid: str | None, names: dict[int, str]) -> None:
        table = self.session.cells(uid) if uid else None
        if table is not None:
            kept = zip(table.obs["label"], text(table, "class_by_hand"), strict=True)
            table.obs["class_by_hand"] = [names.get(int(label), name) for label, name in kept]

    def _names_of(self, codes: Codes) -> NDArray[np.object_]:
        return np.asarray([*(n for n, _ in self.classes), ""], object)[codes]

    def _mirror_labels(self) -> None:
        if self.table is not None:
            self.table.obs["class_by_hand"] = self._names_of(self.by_hand)

    # ------------------------------------------------------------------ predictions

    def refit(self) -> None:
        """Fit on the labels as they are and predict all cells, off the GUI thread; the newest wins."""
        head, codes = self.head, self.by_hand.copy()
        if head is None or self.table is None:
            return
        n_labels = int((codes >= 0).sum())
        tune = n_labels >= 1.2 * self._tuned_at or n_labels < 0.8 * self._tuned_at
        groups = self.groups

        def work() -> Prediction | None:
            if tune:
                head.tune(codes, groups)
            return head.refit(codes)

        def done(found: Prediction | None) -> None:
            if self.head is not head:
                return
            self._tuned_at = n_labels if tune else self._tuned_at
            if found is not None or self.other_head is None:
                self.prediction, self.other_head = found, None
            self.predictions_changed.emit()

        self._submit(work, done, self.failed.emit)

    def show_other(
        self, head: Head, probabilities: NDArray[np.float32], blocks: Sequence[str] | None = None
    ) -> None:
        """Show what another head says, (n, n_classes); the next label brings the live head back.

        Parameters
        ----------
        blocks : the vectors it takes; those in use when not given.
        """
        self._other_blocks = list(blocks) if blocks is not None else self.block_names
        codes = tuple(self.add_class(name) for name in head.classes)
        finite = np.isfinite(probabilities).all(1)
        best = np.where(finite, np.nan_to_num(probabilities).argmax(1), -1)
        found = np.asarray([*codes, -1], np.int16)[best]
        self.other_head = head
        self.prediction = Prediction(found, probabilities.max(1), probabilities, codes)
        self.predictions_changed.emit()

    @property
    def shown_codes(self) -> NDArray[np.uint8]:
        """What each cell is shown as: 1 .. n class (by hand, else predicted), 255 unknown, 0 nothing."""
        shown = np.zeros(len(self.values), np.uint8)
        if self.prediction is not None and len(self.prediction.code) == len(shown):
            sure = self.prediction.probability >= self.min_probability
            valid = self.prediction.code >= 0
            shown[valid] = np.where(sure[valid], self.prediction.code[valid] + 1, UNKNOWN_CODE)
        hand = self.by_hand >= 0
        shown[hand] = self.by_hand[hand] + 1
        return shown

    def write_predictions(self) -> None:
        """Write `predicted` and `probability` into the table, as they are shown."""
        if self.table is None:
            return
        predicted = np.full(len(self.values), -2, np.int64)
        probability = np.full(len(self.values), np.nan)
        if self.prediction is not None and len(self.prediction.code) == len(self.values):
            valid = self.prediction.code >= 0
            sure = self.prediction.probability >= self.min_probability
            predicted[valid] = np.where(sure[valid], self.prediction.code[valid], -1)
            probability = self.prediction.probability.astype(np.float64)
        names = np.asarray([*(n for n, _ in self.classes), "", UNKNOWN], object)
        self.table.obs["predicted"] = names[predicted]
        self.table.obs["probability"] = probability

    def describe(self, row: int) -> str:
        """Say in words what is known of a cell."""
        words = f"cell {self.values[row]}"
        if self.by_hand[row] >= 0:
            words += f": {self.classes[self.by_hand[row]][0]} (by hand)"
        if self.prediction is not None and self.prediction.code[row] >= 0:
            order = np.argsort(-self.prediction.probabilities[row])[:3]
            likely = ", ".join(
                f"{self.classes[self.prediction.classes[i]][0]} {self.prediction.probabilities[row, i]:.0%}"
                for i in order
            )
            words += f" · {likely}"
        return words

    # ------------------------------------------------------------------ rows and ids

    def rows_of(self, labels: Iterable[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the row of each label value, -1 where there is none."""
        wanted = np.asarray(list(labels) if not isinstance(labels, np.ndarray) else labels, np.int64)
        if not len(self.values):
            return np.full(len(wanted), -1, np.int64)
        at = np.minimum(np.searchsorted(self.values, wanted), len(self.values) - 1)
        return np.where(self.values[at] == wanted, at, -1)

    @property
    def selected_rows(self) -> NDArray[np.int64]:
        """Rows of the session's selection in this layer."""
        selection = self.session.selection
        if self._selected is None or self._selected[0] is not selection:
            rows = self.rows_of(selection.labels_of(self.uid))
            self._selected = selection, np.sort(rows[rows >= 0])
        return self._selected[1]

    def select_rows(self, rows: NDArray[np.integer] | Sequence[int]) -> None:
        """Make these cells the session's selection."""
        if self.uid is not None:
            chosen = np.array(rows, np.int64)
            if not (np.diff(chosen) > 0).all():
                chosen = np.unique(chosen)
            cells = CellSet({self.uid: self.values[chosen]})
            self._selected = cells, chosen
            self.session.select(cells)
