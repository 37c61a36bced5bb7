"""What the Cells dock does, without Qt: follows the session, gives labels, says how far the teaching is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.session import Session
from napari_biofm.teaching.cell_files import CellFiles
from napari_biofm.teaching.cell_lists import NEXT, SIMILAR, CellLists
from napari_biofm.teaching.cell_states import CellStates, Submit
from napari_biofm.teaching.cell_tables import CellTables
from napari_biofm.teaching.cell_values import CellValues
from napari_biofm.teaching.learning import Learning, RunJob
from napari_biofm.teaching.predictions import UNKNOWN_CODE
from napari_biofm.types import BiofmError, CellsError


class CellsController:
    """The cells of the layer in play while they are taught.

    Parameters
    ----------
    session : of the viewer. tables : keeps its tables of cells in step with the masks.
    run : runs jobs. refit, think : run short work off the GUI thread, newest wins: refits, lists.

    Attributes
    ----------
    uid : the Labels layer in play, None where there is none.
    states, lists, learning, files, values : the parts of teaching.
    images : ids of the image layers that cells are measured on; what `tables` chooses when empty.
    plane_only : whether only the plane in view is measured; None lets `tables` decide.
    code : the class that clicks give, -1 for none.
    is_closed : whether its dock is gone.
    labels_by_clicking : whether a click on a cell labels it; else it selects.
    """

    said = Signal(str)  # to be shown in the dock
    told = Signal(str)  # to be shown in napari
    failed = Signal(object)  # exception
    class_chosen = Signal(int)
    centred = Signal(object, float)  # centre in pixels of the labels, diameter: to be brought into view

    def __init__(
        self, session: Session, tables: CellTables, run: RunJob, refit: Submit, think: Submit
    ) -> None:
        self.session = session
        self.tables = tables
        self._run = run
        self.uid: str | None = None
        self.states = CellStates(session, refit)
        self.lists = CellLists(self.states, think)
        self.learning = Learning(self.states, tables, run)
        self.files = CellFiles(self.states, self.learning, run)
        self.values = CellValues(self.states, self.learning, run)
        self.images: tuple[str, ...] = ()
        self.plane_only: bool | None = None
        self.code = -1
        self.labels_by_clicking = False
        self.is_closed = False
        self._valued: Any = None  # the table whose values are predicted
        self.lists.said.connect(self.said.emit)
        self.learning.said.connect(self.told.emit)
        for part in (self.lists, self.states):
            part.failed.connect(self._failed)
        self.learning.failed.connect(self.failed.emit)
        self.states.table_changed.connect(self._table_changed)

    # ------------------------------------------------------------------ the layer in play

    def use_layer(self, uid: str | None) -> None:
        """Teach the cells of another layer."""
        if uid != self.uid:
            self.images, self.plane_only = (), None
        self.uid = uid
        self.states.use(uid, self.session.cells(uid) if uid else None)
        self.advise()

    def cells_changed(self, uid: str) -> None:
        """Follow the session: a layer has another table."""
        if uid == self.states.uid and self.session.cells(uid) is not self.states.table:
            self.states.use(uid, self.session.cells(uid))
            self.advise()

    def images_offered(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the images cells can be measured on, names by id, and those that are."""
        if self.uid is None or self.tables.pixels.labels(self.uid) is None:
            return {}, ()
        offered = self.tables.images_for(self.uid, self.plane_only)
        return offered, self.images or self.tables.images_in_use(self.uid)

    def part_to_measure(self) -> bool | None:
        """Return whether all planes of a stack are measured, or the one in view; None where there is one plane."""
        labels = None if self.uid is None else self.tables.pixels.labels(self.uid)
        if labels is None or len(labels.shape) != 3:
            return None
        return not self.tables.plane_to_measure(str(self.uid), self.plane_only)

    def measure(self, on_end: Callable[[], None]) -> None:
        """Make the table of the layer in play, in the worker."""
        if self.uid is None:
            self.advise()
            on_end()
        else:
            self.tables.measure(self.uid, self._run, on_end, self.images, self.plane_only)

    def _table_changed(self) -> None:
        if self.states.table is not self._valued:
            self._valued = self.states.table
            self.values.forget()

    # ------------------------------------------------------------------ what is said

    def advise(self) -> None:
        """Say what to do next."""
        table = self.states.table
        if self.uid is None:
            self.said.emit("Segment an image first, or open a Labels layer: its cells can be taught here.")
        elif table is None:
            self.said.emit("Press 'Measure cells' to begin.")
        elif not table.n_obs:
            self.said.emit(f"'{self.tables.pixels.name(self.uid)}' has no cells.")
        elif not self.states.classes:
            self.said.emit(f"{self._measured_words()}. Name two classes, then click cells of each.")
        else:
            self.said.emit(f"{self._measured_words()}.")

    def _measured_words(self) -> str:
        """Say how many cells were measured, on which images and which part of a stack."""
        table = self.states.measured()
        images = " and ".join(str(name) for name in table.uns.get("images", ()))
        plane = str(table.uns.get("plane", ""))
        return (
            f"{table.n_obs} cells"
            + (f" of plane {plane}" if plane else "")
            + (f" on {images}" if images else "")
        )

    def say_state(self) -> None:
        """Say how many cells are labelled, and what is missing to learn."""
        states, table = self.states, self.states.table
        if table is None or not table.n_obs:
            return
        if states.prediction is not None:
            n_labels = int((states.by_hand >= 0).sum())
            unknown = int((states.shown_codes == UNKNOWN_CODE).sum())
            self.said.emit(f"{table.n_obs} cells, {n_labels} labelled by hand, {unknown} unknown.")
        elif states.classes:
            n = len(set(states.by_hand[states.by_hand >= 0].tolist()))
            words = "Label a cell of another class." if n == 1 else "Label cells of two classes."
            self.said.emit(f"{table.n_obs} cells. {words}")

    def say_row(self, row: int) -> None:
        """Say what is known of a cell."""
        if 0 <= row < len(self.states.values):
            self.said.emit(self.states.describe(row))

    def say_selection(self) -> None:
        """Say what is selected."""
        rows = self.states.selected_rows
        if len(rows) == 1:
            self.say_row(int(rows[0]))
        elif len(rows):
            self.said.emit(f"{len(rows)} cells selected.")
        else:
            self.say_state()

    def _failed(self, error: Exception) -> None:
        self.said.emit(str(error))
        if not isinstance(error, BiofmError):
            self.failed.emit(error)

    # ------------------------------------------------------------------ labels

    def click(self, label: int, modifiers: Iterable[str] = ()) -> None:
        """A cell was clicked in the image: label it or select it; Shift takes the label away, or selects more."""
        row = int(self.states.rows_of([label])[0])
        if row < 0:
            if self.states.table is not None:
                self.said.emit(f"Cell {label} is not in the table yet; press 'Measure cells'.")
        elif self.labels_by_clicking:
            self._give([row], -1 if "Shift" in modifiers else None)
        elif "Shift" in modifiers:
            self.states.select_rows(np.union1d(self.states.selected_rows, [row]))
        else:
            self.states.select_rows([row])

    def hover(self, label: int) -> None:
        """The mouse is on a cell."""
        if label:
            self.say_row(int(self.states.rows_of([label])[0]))

    def click_point(self, row: int) -> None:
        """A cell was clicked in the plot."""
        if self.labels_by_clicking:
            self._give([row])
        else:
            self.states.select_rows([row])

    def label_selection(self) -> None:
        """Give the chosen class to the selected cells."""
        rows = self.states.selected_rows
        if len(rows):
            self._give(rows)
        else:
            self.said.emit("Select cells first: click one, or draw a lasso in the plot.")

    def press_key(self, code: int) -> None:
        """What a class's hot key does: choose the class, and give it to the selected cells."""
        if code >= len(self.states.classes):
            return
        self.class_chosen.emit(code)
        rows = self.states.selected_rows
        if len(rows):
            self._give(rows, code)
            if self.lists.which == NEXT:
                self.go_to_next()

    def _give(self, rows: list[int] | NDArray[np.integer], code: int | None = None) -> None:
        """Give rows a class, the chosen one by default; -1 takes their labels away."""
        if code is None and self.code < 0:
            self.said.emit("Add a class first, then click cells of it.")
            return
        try:
            self.states.assign(rows, self.code if code is None else code)
        except CellsError as error:
            self.failed.emit(error)

    def set_min_probability(self, value: float) -> None:
        """Call cells unknown whose likeliest class is less probable."""
        self.states.set_min_probability(value)

    # ------------------------------------------------------------------ from cell to cell

    def find_similar(self) -> None:
        """List the cells most like the selected ones."""
        self.lists.choose(SIMILAR)

    def go_to_next(self) -> None:
        """Go to the cell that is worth most to label, and select it."""
        self.lists.choose(NEXT, then=self._go_to_first)

    def _go_to_first(self) -> None:
        order = self.lists.order
        if len(order):
            self.states.select_rows(order[:1])
            self.go_to_row(int(order[0]))
        else:
            self.said.emit("Every cell has a label, or there are none.")

    def go_to_row(self, row: int) -> None:
        """Bring a cell into view."""
        table = self.states.table
        if table is None or self.uid is None:
            return
        axes = sorted(c for c in table.obs.columns if c.startswith("centroid-"))
        centre = np.concatenate([self.tables.plane_of(self.uid), table.obs.iloc[row][axes].to_numpy(float)])
        self.centred.emit(centre, 2 * float(np.sqrt(table.obs["area"].iat[row] / np.pi)))
