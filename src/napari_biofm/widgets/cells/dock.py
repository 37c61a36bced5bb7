"""The Cells dock: choose cells and vectors, name classes, click, and see every cell classified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.classify.more_heads import HEADS
from napari_biofm.types import BiofmError
from napari_biofm.widgets.cells.canvas import CanvasClicks
from napari_biofm.widgets.cells.cell_table import CellTable
from napari_biofm.widgets.cells.classes import N_KEYS, ClassList
from napari_biofm.widgets.cells.edits import MaskEdits
from napari_biofm.widgets.cells.files_panel import FilesPanel
from napari_biofm.widgets.cells.jobs import ClassifiedMovie
from napari_biofm.widgets.cells.latest import Latest
from napari_biofm.widgets.cells.learning import CELLS, FILES, PLOT, SCORES, TIME, VALUES, LearningDock
from napari_biofm.widgets.cells.mirror import mirror_steps
from napari_biofm.widgets.cells.overlay import SUFFIX, Overlay
from napari_biofm.widgets.cells.plot_panel import PlotPanel
from napari_biofm.widgets.cells.scores_panel import ScoresPanel
from napari_biofm.widgets.cells.states import ALL, CellStates
from napari_biofm.widgets.cells.teaching import EVERY, LABELLED, NEXT, RARE, SIMILAR
from napari_biofm.widgets.cells.timeline_panel import TimelinePanel
from napari_biofm.widgets.cells.values_panel import ValuesPanel
from napari_biofm.widgets.common.event_loop import EventLoopTask
from napari_biofm.widgets.common.later_tabs import LaterTabs

WIDTH = 360  # pixels
Panel = TypeVar("Panel", bound=QWidget)
QUIET = 700  # ms without a click before slow mirrors (features, table) are written


class CellsDockContent(LearningDock):
    """Teach cell states by clicking.

    Parameters
    ----------
    napari_viewer, session : see `Dock`.
    """

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.latest = Latest(inline=self.session.engine.name == "inline")
        self.lists = Latest(inline=self.session.engine.name == "inline")
        self.states = CellStates(self.session, self.latest.submit)
        self.overlay = Overlay(self.viewer)
        self._valued: Any = None  # the table whose values are shown
        self._below: list[Any] = []  # what this dock put under the image
        self._build()
        self._connect()
        self.clicks = CanvasClicks(
            self.viewer, lambda: self.layer, self._canvas_clicked, self._canvas_hovered
        )
        self.destroyed.connect(_release((self.latest, self.lists), self.clicks, self.edits, self._below))

    def begin(self) -> None:
        """Show the layer in play and its cells."""
        self._layers_changed()

    # ------------------------------------------------------------------ building

    def _build(self) -> None:
        self.layer_box = QComboBox()
        self.layer_box.setToolTip("The Labels layer whose cells are classified.")
        self.vectors_box = QComboBox()
        self.vectors_box.setToolTip(
            "What a cell is described by; several embeddings can be used side by side."
        )
        self.measure_button = QPushButton("Measure cells")
        self.measure_button.setToolTip("Make the table of cells: shape, intensity and texture of each.")
        self.head_box = QComboBox()
        self.head_box.addItems(list(HEADS))
        self.head_box.setToolTip("Logistic regression learns at each click; the others when you press Train.")
        self.train_button = QPushButton("Train")
        self.train_button.setToolTip("Train the chosen classifier in the background.")
        self.confidence = QDoubleSpinBox()
        self.confidence.setRange(0.0, 0.99)
        self.confidence.setSingleStep(0.05)
        self.confidence.setValue(self.states.min_probability)
        self.confidence.setToolTip(
            "Cells whose likeliest class is less probable than this are called unknown."
        )
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Cells", self._row(self.layer_box, self.measure_button))
        self.add_button = self._add_vectors_button()
        vectors = self._row(self.vectors_box, self.add_button)
        vectors.setStretch(0, 2)  # names of embeddings are long
        form.addRow("Vectors", vectors)
        form.addRow("Classifier", self._row(self.head_box, self.train_button))
        form.addRow("Unknown below", self.confidence)
        self.class_list = ClassList(self.states, self.tell_error)
        self.click_button = QPushButton("Label by clicking")
        self.click_button.setCheckable(True)
        self.click_button.setToolTip(
            "While down, a click on a cell gives it the chosen class; Shift+click takes the label away. "
            "Up, a click selects the cell."
        )
        self.assign_button = QPushButton("Label selection")
        self.assign_button.setToolTip("Give the chosen class to the selected cells (or use the class's key).")
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("Take the last label back.")
        self.status = QLabel("")
        self.status.setWordWrap(True)
        self.list_box = QComboBox()
        self.list_box.addItems([EVERY, NEXT, SIMILAR, RARE, LABELLED])
        self.list_box.setToolTip("Which cells the table shows, and in what order.")
        self.next_button = QPushButton("Next")
        self.next_button.setToolTip("Go to the cell whose label would teach most.")
        self.similar_button = QPushButton("Find similar")
        self.similar_button.setToolTip("List the cells that look most like the selected ones.")
        self.cell_table = CellTable(self.states)
        cells = QWidget()
        column = QVBoxLayout(cells)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._row(self.list_box, self.next_button, self.similar_button))
        column.addWidget(self.cell_table, 1)
        self.tabs = LaterTabs()
        self.tabs.addTab(cells, CELLS)
        self.tabs.add(PLOT, self._make_plot, lambda _: self._refresh_plot())
        self.tabs.add(SCORES, self._make_scores)
        self.tabs.add(TIME, self._make_timeline, TimelinePanel.add_plot)
        self.tabs.add(VALUES, lambda: ValuesPanel(self))
        self.tabs.add(FILES, lambda: FilesPanel(self))
        top = QWidget()
        upper = QVBoxLayout(top)
        upper.setContentsMargins(0, 0, 0, 0)
        upper.addLayout(form)
        upper.addWidget(self.class_list, 1)
        upper.addLayout(self._row(self.click_button, self.assign_button, self.undo_button))
        upper.addWidget(self.status)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(top)
        split.addWidget(self.tabs)
        split.setChildrenCollapsible(False)
        split.setStretchFactor(0, 0)
        split.setStretchFactor(1, 1)  # the classes are few, the cells many
        layout = QVBoxLayout(self)
        layout.addWidget(split, 1)
        layout.addWidget(self.job_bar)
        _narrow(self)
        self.setMinimumWidth(WIDTH)

    def _make_plot(self) -> PlotPanel:
        plot = PlotPanel(self.states, self.run)
        plot.scatter.lassoed.connect(self.states.select_rows)
        plot.scatter.clicked.connect(self._point_clicked)
        plot.scatter.hovered.connect(self._say_row)
        return _narrow(plot)

    def _make_scores(self) -> ScoresPanel:
        scores = ScoresPanel()
        scores.button.clicked.connect(self.score)
        return scores

    def _make_timeline(self) -> TimelinePanel:
        timeline = TimelinePanel(self._dock_below)
        timeline.closing_asked.connect(self._undock)
        timeline.button.clicked.connect(self.classify_movie)
        timeline.read_button.clicked.connect(self.ask_tracks)
        timeline.frame_chosen.connect(lambda frame: self.viewer.dims.set_current_step(0, frame))
        timeline.set_tracks(self._tracks_layers())
        return _narrow(timeline)

    @property
    def plot(self) -> PlotPanel:
        return self.tabs.panel(PLOT)  # type: ignore[return-value]

    @property
    def scores(self) -> ScoresPanel:  # type: ignore[override]
        return self.tabs.panel(SCORES)  # type: ignore[return-value]

    @property
    def timeline(self) -> TimelinePanel:  # type: ignore[override]
        return self.tabs.panel(TIME)  # type: ignore[return-value]

    @property
    def values_panel(self) -> ValuesPanel:
        return self.tabs.panel(VALUES)  # type: ignore[return-value]

    @property
    def files(self) -> FilesPanel:  # type: ignore[override]
        return self.tabs.panel(FILES)  # type: ignore[return-value]

    def sizeHint(self) -> QSize:
        return QSize(WIDTH + 20, 800)

    def _undock(self, docked: Any) -> None:
        self._below.clear()
        self.viewer.window.remove_dock_widget(docked)

    @staticmethod
    def _row(*widgets: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            row.addWidget(widget, 1)
        return row

    def _dock_below(self, widget: QWidget) -> Any:
        docked = self.viewer.window.add_dock_widget(widget, name="Cell states over time", area="bottom")
        self._below.append(docked)
        return docked

    def _connect(self) -> None:
        self.layer_box.currentIndexChanged.connect(self._layer_chosen)
        self.vectors_box.currentTextChanged.connect(self._vectors_chosen)
        self.measure_button.clicked.connect(self.measure)
        self.train_button.clicked.connect(self.train)
        self.confidence.valueChanged.connect(self._confidence_changed)
        self.assign_button.clicked.connect(self.label_selection)
        self.undo_button.clicked.connect(self.undo)
        self.next_button.clicked.connect(self.go_to_next)
        self.similar_button.clicked.connect(lambda: self._list(SIMILAR))
        self.list_box.currentTextChanged.connect(lambda _: self._relist())
        self.cell_table.doubleClicked.connect(self._table_double_clicked)
        self.listen(self.viewer.layers.events.inserted, self._offer_tracks)
        self.listen(self.viewer.layers.events.removed, self._offer_tracks)
        self.listen(self.viewer.dims.events.current_step, self._frame_changed)
        states = self.states
        states.table_changed.connect(self._table_changed)
        states.classes_changed.connect(self._classes_changed)
        states.labels_changed.connect(self.class_list.recount)
        states.labels_changed.connect(self._labels_changed)
        states.predictions_changed.connect(self._predicted)
        states.failed.connect(self._failed)
        self._overlay_task = EventLoopTask(self)
        self._quiet = QTimer(self, singleShot=True, interval=QUIET)
        self._quiet.timeout.connect(self._write_mirrors)
        self._mirror = EventLoopTask(self)
        self.listen(self.session.cells_changed, self._cells_changed)
        self.listen(self.session.segmentation_changed, self._segmented)
        self.listen(self.session.selection_changed, self._selection_changed)
        self.listen(self.session.layers_changed, self._follow_session)
        self.listen(self.session.history.changed, self._history_changed)
        self.listen(self.viewer.layers.events.inserted, self._layers_changed)
        self.listen(self.viewer.layers.events.removed, self._layers_changed)
        self.edits = MaskEdits(self._masks_edited)
        for i in range(N_KEYS):
            self.viewer.bind_key(f"Alt-{i + 1}", _hot_key(self, i), overwrite=True)

    # ------------------------------------------------------------------ what changed is shown

    def _table_changed(self) -> None:
        table = self.states.table
        if table is not self._valued:  # what was predicted belongs to the cells it was predicted for
            self._valued = table
            if self.tabs.made(VALUES) is not None:
                self.values_panel.forget()
        self.vectors_box.blockSignals(True)
        self.vectors_box.clear()
        if table is not None:
            names = list(table.obsm)
            self.vectors_box.addItems([*names, *([ALL] if len(names) > 1 else [])])
            self.vectors_box.setCurrentText(self.states.embeddings)
        self.vectors_box.blockSignals(False)
        self._overlay_task.start(self._show_overlay())
        self._refresh_plot()
        self._relist()

    def _show_overlay(self) -> Iterator[None]:
        """Put the class layer over the cells, in turns of the event loop that have nothing else to do."""
        yield
        layer, states = self.layer, self.states
        if layer is None or states.table is None or not states.table.n_obs:
            self.overlay.hide()
            return
        self.overlay.show(layer, int(states.values.max()))
        yield
        self.overlay.set_colours([c for _, c in states.classes])
        self.overlay.paint(states.values, states.shown_codes, states.selected_rows)

    def _movie_classified(self, found: ClassifiedMovie) -> None:
        self._overlay_task.finish()
        super()._movie_classified(found)

    def _classes_changed(self) -> None:
        self.class_list.refill()
        self.overlay.set_colours([c for _, c in self.states.classes])
        self._recolour()

    def _recolour(self) -> None:
        codes = self.states.shown_codes
        self.overlay.paint(self.states.values, codes, self.states.selected_rows)
        self._refresh_plot()
        self.cell_table.cells.refresh()
        self._quiet.start()

    def _refresh_plot(self) -> None:
        plot = self.tabs.made(PLOT)
        if isinstance(plot, PlotPanel):
            plot.refresh()

    def _labels_changed(self) -> None:
        if self.states.head is None:  # else the refit that follows recolours
            self._recolour()

    def _predicted(self) -> None:
        self._recolour()
        if self.list_box.currentText() == NEXT:
            self._relist()
        self._say_state()

    def _say_state(self) -> None:
        found, table = self.states.prediction, self.states.table
        if table is None or not table.n_obs:
            return
        if found is None:
            n = len(set(self.states.by_hand[self.states.by_hand >= 0].tolist()))
            if self.states.classes:
                self.status.setText(
                    f"{table.n_obs} cells. "
                    + ("Label a cell of another class." if n == 1 else "Label cells of two classes.")
                )
            return
        n_labels = int((self.states.by_hand >= 0).sum())
        unknown = int((self.states.shown_codes == 255).sum())
        self.status.setText(f"{table.n_obs} cells, {n_labels} labelled by hand, {unknown} unknown.")

    def _write_mirrors(self) -> None:
        self.states.write_predictions()
        if self.layer is not None and self.states.table is not None:
            self._mirror.start(mirror_steps(self.layer, self.states.table))

    def _selection_changed(self, _: Any) -> None:
        rows = self.states.selected_rows
        self.overlay.paint(self.states.values, self.states.shown_codes, rows)
        if self.tabs.made(PLOT) is not None:
            self.plot.show_selection(rows)
        self.cell_table.show_selection(rows)
        if len(rows) == 1:
            self._say_row(int(rows[0]))
        elif len(rows):
            self.status.setText(f"{len(rows)} cells selected.")
        else:
            self._say_state()

    def _history_changed(self) -> None:
        self.undo_button.setEnabled(self.session.history.can_undo)
        name = self.session.history.undo_name
        self.undo_button.setToolTip(f"Take back: {name}" if name else "Nothing to take back.")

    def _failed(self, error: Exception) -> None:
        self.status.setText(str(error))
        if not isinstance(error, BiofmError):
            self.tell_error(error)

    def _say_row(self, row: int) -> None:
        if 0 <= row < len(self.states.values):
            self.status.setText(self.states.describe(row))


def _narrow(panel: Panel) -> Panel:
    """Keep boxes from being wider than the dock: the canvas must not jump."""
    for box in panel.findChildren(QComboBox):
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(8)
    return panel


def _hot_key(dock: CellsDockContent, code: int) -> Any:
    import weakref

    held = weakref.ref(dock)

    def pressed(viewer: Any) -> None:
        alive = held()
        if alive is not None and not alive._gone:
            alive.press_key(code)

    return pressed


def _release(work: tuple[Latest, ...], clicks: CanvasClicks, edits: MaskEdits, below: list[Any]) -> Any:
    def release(*_: Any) -> None:
        for docked in below:
            with contextlib.suppress(RuntimeError):  # the window went first, and took it along
                docked.deleteLater()
        for latest in work:
            latest.close()
        clicks.close()
        edits.close()

    return release


__all__ = ["SUFFIX", "CellsDockContent"]
