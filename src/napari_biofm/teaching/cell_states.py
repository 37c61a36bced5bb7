"""The cells of one Labels layer while they are being taught: classes, labels by hand, live predictions.

Knows the session and the table, no Qt and no napari. Widgets listen to its signals and call its methods;
every label goes through the session's history.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.actions import Action, Group, edit_classes, label_cells
from napari_biofm.cells.classify.active_learning import outlier_scores
from napari_biofm.cells.classify.classified import Classified, identity
from napari_biofm.cells.classify.heads import Head
from napari_biofm.cells.classify.live import LiveHead, Prediction, Prepared, prepare
from napari_biofm.cells.table.cell_table import BASELINE, add_embedding, text, vectors_of
from napari_biofm.cells.table.classes import CellClasses, checked_name
from napari_biofm.selection import CellSet
from napari_biofm.session import Session
from napari_biofm.teaching.class_editing import class_removed
from napari_biofm.teaching.predictions import (
    Codes,
    columns_of,
    described,
    digest_of,
    shown_codes,
)
from napari_biofm.types import CellsError, Vectors

if TYPE_CHECKING:
    from anndata import AnnData

ALL = "all side by side"
Submit = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]], None]


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
        self._palette: list[tuple[str, str]] = []  # classes defined for other layers, or before there was one
        self._seen = CellClasses()
        session.classes_changed.connect(self._session_classes_changed)
        self.min_probability = 0.5
        self.embeddings = BASELINE
        self._clear()

    def _clear(self) -> None:
        self.values: NDArray[np.int64] = np.zeros(0, np.int64)
        self._codes: tuple[CellClasses, Codes] | None = (
            None  # classes of the rows, and what they were read from
        )
        self.prepared: Prepared | None = None
        self.head: LiveHead | None = None
        self._learnt: LiveHead | None = (
            None  # as it was when it gave the prediction; the head may be refitted since
        )
        self.prediction: Prediction | None = None
        self._other_embeddings: list[str] = []
        self._other_is_live = False  # it was taught by the labels by hand, and follows them
        self.other_head: Head | None = None  # gave the prediction, where it was not the live head
        self.groups: NDArray[np.object_] = np.zeros(0, object)
        self.outlier: NDArray[np.float64] | None = None
        self._tuned_at = 0
        self._digest = 0  # of the vectors in use
        self._selected: tuple[CellSet, NDArray[np.int64]] | None = None  # rows of a selection

    # ------------------------------------------------------------------ what is shown

    def use(self, uid: str | None, table: AnnData | None) -> None:
        """Show the cells of another layer, or another table of the same, with the labels in it."""
        self._palette = self.classes
        self.uid, self.table = uid, table
        self._seen = self._given
        self._clear()
        if table is not None:
            self.values = table.obs["label"].to_numpy(np.int64)
            self._show_kept()
            self.groups = text(table, "group")
            if self.embeddings != ALL and self.embeddings not in table.obsm:
                self.embeddings = str(table.uns["vectors"])
        self.table_changed.emit()
        self.classes_changed.emit()
        self.labels_changed.emit()
        self.predictions_changed.emit()
        if table is not None and table.n_obs:
            self._prepare()

    def _show_kept(self) -> None:
        """Show at once what was said of these cells before, from a session or before an edit."""
        kept = None if self.uid is None else self.session.classified(self.uid)
        if kept is not None:
            self.min_probability = kept.min_probability
            self.prediction = kept.on_rows(self.values, [name for name, _ in self.classes])
            self.other_head, self._other_embeddings = kept.head, list(kept.embeddings)
            self._other_is_live = kept.is_live

    def use_embeddings(self, embeddings: str) -> None:
        """Choose the vectors to learn from: the name of an embedding, or `ALL`."""
        if embeddings != self.embeddings:
            self.embeddings = embeddings
            self.prepared = self.head = self._learnt = self.prediction = None
            if self.table is not None and self.table.n_obs:
                self._prepare()

    def add_embedding(self, name: str, vectors: Vectors, source: Mapping[str, Any]) -> None:
        """Put an embedding into the table; one of the same name is replaced."""
        if self.table is None:
            raise CellsError("Measure the cells first; there is no table to put vectors into.")
        if self.uid is not None and self.session.cells(self.uid) is self.table:
            self.session.add_cell_vectors(self.uid, name, vectors, source)
        else:
            add_embedding(self.table, name, vectors, source)
        if name in self.embedding_names:
            self.prepared = self.head = self._learnt = self.prediction = None
            self._prepare()
        self.table_changed.emit()

    @property
    def head_embeddings(self) -> list[str]:
        """Names of the embeddings that the classifier takes that gave the predictions."""
        return self.embedding_names if self.other_head is None else self._other_embeddings

    @property
    def embedding_names(self) -> list[str]:
        """Names of the embeddings in use."""
        if self.table is None:
            return []
        return list(self.table.obsm) if self.embeddings == ALL else [self.embeddings]

    def _prepare(self) -> None:
        table, uid, embeddings = self.table, self.uid, self.embedding_names
        if table is None:
            return

        def work() -> tuple[Prepared, NDArray[np.float64], int]:
            vectors = vectors_of(table, embeddings)
            prepared = prepare(vectors)
            return prepared, outlier_scores(prepared.features, prepared.finite), digest_of(vectors)

        def done(result: tuple[Prepared, NDArray[np.float64], int]) -> None:
            if self.table is not table or self.uid != uid:
                return
            self.prepared, self.outlier, self._digest = result
            self._write(table, {"outlier": self.outlier})
            self.head, self._learnt = LiveHead(self.prepared), None
            self._tuned_at = 0
            self.table_changed.emit()
            self._predict_anew(table)

        self._submit(work, done, self.failed.emit)

    # ------------------------------------------------------------------ classes

    @property
    def _given(self) -> CellClasses:
        return self.session.classes(self.uid) if self.uid is not None else CellClasses()

    @property
    def classes(self) -> list[tuple[str, str]]:
        """Name and colour of every class: those of the layer, then those defined for other layers."""
        given = self._given
        pairs = list(zip(given.names, given.colours, strict=True))
        return pairs + [pair for pair in self._palette if pair[0] not in given.names]

    @property
    def by_hand(self) -> Codes:
        """Code of the class each row was given by hand, -1 for none (n,)."""
        given = self._given
        if self._codes is None or self._codes[0] is not given or len(self._codes[1]) != len(self.values):
            codes = given.codes_of(self.values)
            codes.setflags(write=False)
            self._codes = given, codes
        return self._codes[1]

    def add_class(self, name: str, colour: str | None = None) -> int:
        """Define a class and return its code. Can be undone where a layer is in use."""
        name, pairs = name.strip(), self.classes
        names = [n for n, _ in pairs]
        if name in names:
            return names.index(name)
        more = CellClasses(tuple(names), tuple(c for _, c in pairs)).with_class(name, colour)
        added = (name, more.colours[-1])
        if self.uid is None:
            self._palette.append(added)
            self.classes_changed.emit()
        else:
            self.session.set_classes(self.uid, [*pairs, added], f"add class {name}")
        return len(names)

    def set_colour(self, code: int, colour: str) -> None:
        """Give a class another colour. Can be undone."""
        self._set_class(code, (self.classes[code][0], colour), "recolour class")

    def rename(self, code: int, name: str) -> None:
        """Give a class another name; its labels stay. Can be undone."""
        name, (former, colour) = name.strip(), self.classes[code]
        if name != former:
            checked_name(name, [n for n, _ in self.classes])
            self._set_class(code, (name, colour), "rename class")

    def remove_class(self, code: int, into: int | None = None) -> None:
        """Take a class away; its cells get the class `into`, or lose their label. Can be undone in one step."""
        pairs, name = self.classes, self.classes[code][0]
        target = None if into is None else pairs[into]
        self._palette = [pair for pair in self._palette if pair[0] != name]
        given = self._given
        if self.uid is None or name not in given.names:
            self.classes_changed.emit()
            return
        if target is not None and target[0] not in given.names:
            self.session.set_classes(self.uid, pairs, "add classes")
            given = self._given
        at = None if target is None else given.names.index(target[0])
        self.session.do(class_removed(self.uid, given, given.names.index(name), at))

    def _set_class(self, code: int, pair: tuple[str, str], name: str) -> None:
        pairs = self.classes
        before, pairs[code] = pairs[code], pair
        self._palette = [pair if known == before else known for known in self._palette]
        if self.uid is None:
            self.classes_changed.emit()
        else:
            self.session.set_classes(self.uid, pairs, name)

    def _session_classes_changed(self, uid: str) -> None:
        """Follow an edit of classes or labels, whoever made it."""
        if uid != self.uid:
            return
        before, now = self._seen, self._given
        self._seen = now
        if (before.names, before.colours) != (now.names, now.colours):
            self.classes_changed.emit()
            self.predictions_changed.emit()
        if not np.array_equal(before.labels, now.labels) or not np.array_equal(before.codes, now.codes):
            self.labels_changed.emit()
            self.refit()

    # ------------------------------------------------------------------ labels

    def assign(self, rows: Sequence[int] | NDArray[np.integer], code: int) -> None:
        """Label cells by hand (`code` -1 takes labels away). Can be undone."""
        at = np.asarray(rows, np.int64)
        if self.table is None or not len(at):
            return
        self._label(at, np.full(len(at), code, np.int16), "label cell" if len(at) == 1 else "label cells")

    def assign_names(self, class_of: Mapping[str, str]) -> None:
        """Label cells by `cell_id`, e.g. read from a file. Can be undone in one step."""
        if self.table is None:
            raise CellsError("Measure the cells first; there is no table to put labels into.")
        ids = self.table.obs["cell_id"]
        row = {str(ids.iat[i]): i for i in np.flatnonzero(ids.isin(list(class_of)))}
        pairs = self.classes
        more = CellClasses(tuple(n for n, _ in pairs), tuple(c for _, c in pairs))
        for name in dict.fromkeys(class_of.values()):
            more = more if name in more.names else more.with_class(name)
        code = {name: i for i, name in enumerate(more.names)}
        codes = np.asarray([code[name] for name in class_of.values()], np.int16)
        rows = np.asarray([row[c] for c in class_of], np.int64)
        self._label(rows, codes, "read labels", list(zip(more.names, more.colours, strict=True)))

    def _label(
        self,
        rows: NDArray[np.int64],
        codes: Codes,
        name: str,
        classes: list[tuple[str, str]] | None = None,
    ) -> None:
        """Give rows the classes `codes` count, as one edit; classes the layer does not have yet are added."""
        if self.uid is None:
            return
        pairs, given = classes or self.classes, self._given
        steps: list[Action] = []
        if len(codes) and int(codes.max()) >= len(given.names):
            steps.append(edit_classes(self.uid, given, pairs, "add classes"))
        names = [n for n, _ in pairs]
        labelled = label_cells(self.uid, given, self.values[rows], names, codes, name)
        if labelled is not None:
            steps.append(labelled)
        if steps:
            self.session.do(steps[0] if len(steps) == 1 else Group(name, tuple(steps)))

    # ------------------------------------------------------------------ predictions

    def _predict_anew(self, table: AnnData) -> None:
        """Predict cells that changed: by the classifier that was trained or loaded, else by one taught anew."""
        kept = None if self.uid is None else self.session.classified(self.uid)
        if kept is None or (kept.is_live and kept.digest != self._digest_with_labels()):
            self.refit()
        elif kept.digest != self._digest and not kept.is_live:
            head, names = kept.head, list(kept.embeddings)

            def done(probabilities: NDArray[np.float32]) -> None:
                if self.table is table and self.other_head is head:
                    self.show_other(head, probabilities, names)

            if set(names) <= set(table.obsm):
                self._submit(lambda: head.predict_proba(vectors_of(table, names)), done, self.failed.emit)

    def _digest_with_labels(self) -> int:
        return zlib.crc32(np.ascontiguousarray(self.by_hand).data, self._digest)

    def _keep(self, live: bool) -> None:
        """Have the session keep what is said of the cells, and by which classifier."""
        if self.uid is None or self.table is None:
            return
        if self.prediction is None or not self.embeddings_known():
            self.session.set_classified(self.uid, None)
            return
        blocks, used = self.table.uns["blocks"], tuple(self.head_embeddings)
        self.session.set_classified(
            self.uid,
            Classified(
                self.values,
                self.prediction,
                tuple(name for name, _ in self.classes),
                self.classifier(),
                used,
                {name: identity(blocks[name]) for name in used},
                self.min_probability,
                self._digest_with_labels() if live else self._digest,
                live,
            ),
        )

    def embeddings_known(self) -> bool:
        """Tell whether the vectors that the classifier takes are in the table."""
        return self.table is not None and set(self.head_embeddings) <= set(self.table.obsm)

    def set_min_probability(self, value: float) -> None:
        """Call cells unknown whose likeliest class is less probable."""
        self.min_probability = value
        kept = None if self.uid is None else self.session.classified(self.uid)
        if kept is not None and self.uid is not None:
            self.session.set_classified(self.uid, replace(kept, min_probability=value))
        self.predictions_changed.emit()

    def refit(self) -> None:
        """Fit on the labels as they are and predict all cells, off the GUI thread; the newest wins."""
        head, codes = self.head, self.by_hand.copy()
        if head is None or self.table is None:
            return
        n_labels = int((codes >= 0).sum())
        tune = n_labels >= 1.2 * self._tuned_at or n_labels < 0.8 * self._tuned_at
        groups = self.groups

        def work() -> tuple[Prediction | None, LiveHead]:
            if tune:
                head.tune(codes, groups)
            return head.refit(codes), copy(head)

        def done(both: tuple[Prediction | None, LiveHead]) -> None:
            result, learnt = both
            if self.head is not head:
                return
            if result is not None and max(result.classes, default=-1) >= len(self.classes):
                return  # a class was taken away meanwhile: the refit without it follows
            self._learnt = learnt
            self._tuned_at = n_labels if tune else self._tuned_at
            if result is not None or self.other_head is None or self._other_is_live:
                self.prediction, self.other_head = result, None
                self._keep(live=True)
            self.predictions_changed.emit()

        self._submit(work, done, self.failed.emit)

    def show_other(
        self, head: Head, probabilities: NDArray[np.float32], embeddings: Sequence[str] | None = None
    ) -> None:
        """Show what another classifier says, (n, n_classes); the next label brings the live one back.

        Parameters
        ----------
        embeddings : the vectors it takes; those in use when not given.
        """
        self._other_embeddings = list(embeddings) if embeddings is not None else self.embedding_names
        codes = tuple(self.add_class(name) for name in head.classes)
        finite = np.isfinite(probabilities).all(1)
        best = np.where(finite, np.nan_to_num(probabilities).argmax(1), -1)
        shown = np.asarray([*codes, -1], np.int16)[best]
        self.other_head, self._other_is_live = head, False
        self.prediction = Prediction(shown, probabilities.max(1), probabilities, codes)
        self._keep(live=False)
        self.predictions_changed.emit()

    @property
    def shown_codes(self) -> NDArray[np.uint8]:
        """What each cell is shown as: 1 .. n class (by hand, else predicted), 255 unknown, 0 nothing."""
        return shown_codes(self.prediction, self.by_hand, self.min_probability)

    def write_predictions(self) -> None:
        """Write `predicted` and `probability` into the table, as they are shown."""
        if self.table is None:
            return
        names = [name for name, _ in self.classes]
        self._write(self.table, columns_of(self.prediction, len(self.values), names, self.min_probability))

    def write_columns(self, columns: Mapping[str, Any]) -> None:
        """Write computed columns into the table, one value per row."""
        self._write(self.measured(), columns)

    def measured(self) -> AnnData:
        """Return the table; CellsError where the cells were not measured."""
        if self.table is None:
            raise CellsError("Measure the cells first; there is no table yet.")
        return self.table

    @property
    def is_taught(self) -> bool:
        """Whether a classifier is there."""
        return self.other_head is not None or (self._learnt is not None and self._learnt.weights is not None)

    def classifier(self) -> Head:
        """Return the classifier that gave the predictions; CellsError where nothing was learnt."""
        if self.other_head is not None:
            return self.other_head
        if self._learnt is None:
            raise CellsError("Nothing was learnt yet; label cells of two classes first.")
        return self._learnt.as_head([name for name, _ in self.classes])

    def _write(self, table: AnnData, columns: Mapping[str, Any]) -> None:
        """Have the session write columns into its table, unless it has another one by now."""
        if self.uid is not None and self.session.cells(self.uid) is table:
            self.session.set_cell_columns(self.uid, columns)

    def describe(self, row: int) -> str:
        """Say in words what is known of a cell."""
        words = f"cell {self.values[row]}"
        if self.by_hand[row] >= 0:
            words += f": {self.classes[self.by_hand[row]][0]} (by hand)"
        return words + described(self.prediction, row, [name for name, _ in self.classes])

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
