"""Lists of cells worth a look: what to label next, similar cells, rare ones, labelled ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.cells.classify.active_learning import find_similar, label_next, largest
from napari_biofm.cells.classify.live import Prepared
from napari_biofm.teaching.cell_states import CellStates, Submit

EVERY, NEXT, SIMILAR, RARE, LABELLED = "All cells", "Label next", "Similar", "Rare", "Labelled"
LISTS = (EVERY, NEXT, SIMILAR, RARE, LABELLED)
LISTED, LISTED_NEXT = 100, 30
Rows = NDArray[np.int64]


class CellLists:
    """The list of cells that is shown.

    Parameters
    ----------
    states : the cells.
    submit : runs short work off the GUI thread, newest wins.

    Attributes
    ----------
    which : the list that was chosen, one of `LISTS`.
    order : its rows.
    """

    chosen = Signal(str)  # another list was chosen here
    changed = Signal()  # `order`
    said = Signal(str)
    failed = Signal(object)

    def __init__(self, states: CellStates, submit: Submit) -> None:
        self.states = states
        self._submit = submit
        self.which = EVERY
        self.order: Rows = np.zeros(0, np.int64)

    def choose(self, which: str, then: Callable[[], None] | None = None) -> None:
        """Show another list, and call `then` when it is there."""
        self.which = which
        self.chosen.emit(which)
        self.refresh(then)

    def refresh(self, then: Callable[[], None] | None = None) -> None:
        """Make the chosen list again; what takes thought is thought of off the GUI thread."""
        states, which, prepared = self.states, self.which, self.states.prepared
        values, rows = states.values, states.selected_rows

        def show(order: Any) -> None:
            if states.values is values and self.which == which:
                self.order = np.asarray(order, np.int64)
                self.changed.emit()
                if then is not None:
                    then()

        if which == SIMILAR and prepared is not None and len(rows):
            features = prepared.features
            self._submit(
                lambda: np.concatenate([rows, find_similar(features, rows, LISTED)]), show, self.failed.emit
            )
        elif which == NEXT and prepared is not None:
            self._submit(self._next_cells(prepared), show, self.failed.emit)
        elif which == SIMILAR and prepared is not None:
            self.said.emit("Choose a cell first: click it in the image, the plot or the table.")
            show(np.zeros(0, np.int64))
        elif which == LABELLED:
            show(np.flatnonzero(states.by_hand >= 0))
        elif which == RARE and states.outlier is not None:
            show(largest(np.nan_to_num(states.outlier), LISTED))
        else:
            show(np.arange(len(values)))

    def _next_cells(self, prepared: Prepared) -> Callable[[], Any]:
        states = self.states
        labelled, outlier = states.by_hand >= 0, states.outlier
        probabilities = None if states.prediction is None else states.prediction.probabilities
        return lambda: label_next(
            prepared.features, labelled, probabilities, outlier, LISTED_NEXT, finite=prepared.finite
        )
