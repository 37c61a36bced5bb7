"""The Cells dock: choose cells and vectors, name classes, click, and see every cell classified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.rarity import find_similar, label_next
from napari_biofm.cells.table import BASELINE, text, vectors_of
from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.cells import jobs
from napari_biofm.widgets.cells.canvas import CanvasClicks, go_to
from napari_biofm.widgets.cells.cell_table import CellTable
from napari_biofm.widgets.cells.classes import N_KEYS, ClassList
from napari_biofm.widgets.cells.edits import MaskEdits
from napari_biofm.widgets.cells.files_panel import FilesPanel
from napari_biofm.widgets.cells.latest import Latest
from napari_biofm.widgets.cells.mirror import mirror_features
from napari_biofm.widgets.cells.overlay import SUFFIX, Overlay
from napari_biofm.widgets.cells.plot_panel import PlotPanel
from napari_biofm.widgets.cells.scores_panel import ScoresPanel
from napari_biofm.widgets.cells.states import ALL, CellStates
from napari_biofm.widgets.pixels import shown_step
from napari_biofm.widgets.viewers import layer_by_id, layer_id

EVERY, NEXT, SIMILAR, RARE, LABELLED = "All cells", "Label next", "Similar", "Rare", "Labelled"
QUIET = 700  # ms without a click before slow mirrors (features, table) are written
LISTED = 100


class CellsDock(Dock):
    """Teach cell states by clicking.

    Parameters
    ----------
    napari_viewer, session : see `Dock`.
    """

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.latest = Latest(inline=self.session.engine.name == "inline")
        self.states = CellStates(self.session, self.latest.submit)
        self.overlay = Overlay(self.viewer)
        self._build()
        self._connect()
        self.clicks = CanvasClicks(
            self.viewer, lambda: self.layer, self._canvas_clicked, self._canvas_hovered
        )
        self.destroyed.connect(_release(self.latest, self.clicks, self.edits))
        self._layers_changed()

    # ------------------------------------------------------------------ building

    def _build(self) -> None:
        self.layer_box = QComboBox()
        self.layer_box.setToolTip("The Labels layer whose cells are classified.")
        self.vectors_box = QComboBox()
        self.vectors_box.setToolTip("What a cell is described by; several blocks can be used side by side.")
        self.measure_button = QPushButton("Measure cells")
        self.measure_button.setToolTip("Make the table of cells: shape, intensity and texture of each.")
        self.head_box = QComboBox()
        self.head_box.addItems(["logistic", "neighbours", "discriminant", "forest", "boosting", "network"])
        self.head_box.setToolTip("Logistic regression learns at each click; the others when you press Train.")
        self.train_button = QPushButton("Train")
        self.train_button.setToolTip("Train the chosen head in the background.")
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
        form.addRow("Vectors", self.vectors_box)
        form.addRow("Head", self._row(self.head_box, self.train_button))
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
        self.plot = PlotPanel(self.states, self.run)
        self.scores = ScoresPanel()
        self.files = FilesPanel(self)
        self.tabs = QTabWidget()
        for widget, name in (
            (cells, "Cells"),
            (self.plot, "Plot"),
            (self.scores, "Scores"),
            (self.files, "Files"),
        ):
            self.tabs.addTab(widget, name)
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
        layout = QVBoxLayout(self)
        layout.addWidget(split, 1)
        layout.addWidget(self.job_bar)
        self.setMinimumWidth(360)

    @staticmethod
    def _row(*widgets: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            row.addWidget(widget, 1)
        return row

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
        self.plot.scatter.lassoed.connect(self.states.select_rows)
        self.plot.scatter.clicked.connect(self._point_clicked)
        self.plot.scatter.hovered.connect(self._say_row)
        self.scores.button.clicked.connect(self.score)
        states = self.states
        states.table_changed.connect(self._table_changed)
        states.classes_changed.connect(self._classes_changed)
        states.labels_changed.connect(self.class_list.recount)
        states.labels_changed.connect(self._labels_changed)
        states.predictions_changed.connect(self._predicted)
        states.failed.connect(self._failed)
        self._quiet = QTimer(self, singleShot=True, interval=QUIET)
        self._quiet.timeout.connect(self._write_mirrors)
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

    # ------------------------------------------------------------------ layers and tables

    @property
    def layer(self) -> Any:
        """The Labels layer in use, None where there is none."""
        return layer_by_id(self.viewer, self.layer_box.currentData())

    def _layers_changed(self, event: Any = None) -> None:
        chosen = self.layer_box.currentData()
        labels = [
            layer
            for layer in self.viewer.layers
            if type(layer).__name__ == "Labels" and "biofm_overlay_of" not in layer.metadata
        ]
        self.layer_box.blockSignals(True)
        self.layer_box.clear()
        for layer in labels:
            self.layer_box.addItem(layer.name, layer_id(layer))
        at = self.layer_box.findData(chosen or self.session.labels)
        self.layer_box.setCurrentIndex(at if at >= 0 else len(labels) - 1)
        self.layer_box.blockSignals(False)
        if self.layer_box.currentData() != self.states.uid or event is None:
            self._layer_chosen()

    def _layer_chosen(self, *_: Any) -> None:
        layer = self.layer
        uid = None if layer is None else layer_id(layer)
        if uid != self.states.uid:
            self.overlay.hide()
        self.edits.follow(layer)
        self.states.use(uid, self.session.cells(uid) if uid else None)
        self._advise()

    def _follow_session(self) -> None:
        at = self.layer_box.findData(self.session.labels)
        if at >= 0:
            self.layer_box.setCurrentIndex(at)

    def _cells_changed(self, uid: str) -> None:
        if uid == self.states.uid and self.session.cells(uid) is not self.states.table:
            self.states.use(uid, self.session.cells(uid))
            self._advise()

    def _advise(self) -> None:
        table = self.states.table
        if self.layer is None:
            self.status.setText(
                "Segment an image first, or open a Labels layer: its cells can be taught here."
            )
        elif table is None:
            self.status.setText("Press 'Measure cells' to begin.")
        elif not table.n_obs:
            self.status.setText(f"'{self.layer.name}' has no cells.")
        elif not self.states.classes:
            self.status.setText(f"{table.n_obs} cells. Name two classes, then click cells of each.")
        else:
            self.status.setText(f"{table.n_obs} cells.")

    def measure(self) -> None:
        """Make the table of the chosen layer, in the worker."""
        layer = self.layer
        if layer is None:
            self._advise()
            return
        uid = layer_id(layer)
        image = self._image_for(layer)
        self.measure_button.setEnabled(False)
        self.run(
            jobs.measure_cells,
            _plane(self.viewer, layer),
            image,
            uid,
            layer.name,
            name=f"Measure '{layer.name}'",
            bound_to=uid,
            on_done=lambda table: self._measured(uid, table),
            on_end=lambda: self.measure_button.setEnabled(True),
        )

    def _measured(self, uid: str, table: Any) -> None:
        if layer_by_id(self.viewer, uid) is None:
            self.tell("The labels were removed while their cells were measured; the table was dropped.")
            return
        former = self.session.cells(uid)
        if former is not None:
            by_hand = dict(zip(former.obs["cell_id"].astype(str), text(former, "class_by_hand"), strict=True))
            table.obs["class_by_hand"] = [by_hand.get(str(c), "") for c in table.obs["cell_id"]]
            table.uns["classes"] = former.uns.get("classes", {})
        self.session.set_cells(uid, table)
        self.session.set_layers(labels=uid)

    def _image_for(self, labels: Any) -> Any:
        """The plane to measure on: of the session's image, or the topmost image of the right shape."""
        shape = _plane(self.viewer, labels).shape
        preferred = layer_by_id(self.viewer, self.session.image)
        candidates = [preferred, *reversed(list(self.viewer.layers))]
        for layer in candidates:
            if layer is None or type(layer).__name__ != "Image":
                continue
            plane = _plane(self.viewer, layer)
            if plane.shape[: len(shape)] == shape:
                return plane
        return None

    def _segmented(self, uid: str) -> None:
        """The masks of a layer were replaced, e.g. by other thresholds."""
        if uid == self.states.uid and self.states.table is not None:
            self._masks_edited(None)

    def _masks_edited(self, changed: set[int] | None) -> None:
        table, layer = self.states.table, self.layer
        if table is None or layer is None:
            return
        uid = layer_id(layer)
        self.run(
            jobs.measure_changed,
            table,
            _plane(self.viewer, layer),
            self._image_for(layer),
            None if changed is None else sorted(changed),
            name="Measure changed cells",
            bound_to=uid,
            on_done=lambda made: self._updated(uid, table, made),
        )

    def _updated(self, uid: str, before: Any, made: Any) -> None:
        if self.session.cells(uid) is before:  # labels given meanwhile are kept
            now = dict(zip(before.obs["cell_id"].astype(str), text(before, "class_by_hand"), strict=True))
            made.obs["class_by_hand"] = [now.get(str(c), "") for c in made.obs["cell_id"]]
            self.session.set_cells(uid, made)

    # ------------------------------------------------------------------ what changed is shown

    def _table_changed(self) -> None:
        table = self.states.table
        self.vectors_box.blockSignals(True)
        self.vectors_box.clear()
        if table is not None:
            names = list(table.obsm)
            self.vectors_box.addItems([*names, *([ALL] if len(names) > 1 else [])])
            self.vectors_box.setCurrentText(self.states.blocks)
        self.vectors_box.blockSignals(False)
        layer = self.layer
        if table is not None and layer is not None and table.n_obs:
            self.overlay.show(layer, int(self.states.values.max()))
            self.overlay.set_colours([c for _, c in self.states.classes])
        else:
            self.overlay.hide()
        self.plot.refresh()
        self._relist()

    def _classes_changed(self) -> None:
        self.class_list.refill()
        self.overlay.set_colours([c for _, c in self.states.classes])
        self._recolour()

    def _recolour(self) -> None:
        codes = self.states.shown_codes
        self.overlay.paint(self.states.values, codes, self.states.selected_rows)
        self.plot.refresh()
        self.cell_table.cells.refresh()
        self._quiet.start()

    def _labels_changed(self) -> None:
        if self.states.head is None:  # else the refit that follows recolours
            self._recolour()

    def _predicted(self) -> None:
        self._recolour()
        if self.list_box.currentText() == NEXT:
            self._relist()
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
            mirror_features(self.layer, self.states.table)

    def _selection_changed(self, _: Any) -> None:
        rows = self.states.selected_rows
        self.overlay.paint(self.states.values, self.states.shown_codes, rows)
        self.plot.show_selection(rows)
        self.cell_table.show_selection(rows)
        if len(rows) == 1:
            self._say_row(int(rows[0]))
        elif len(rows):
            self.status.setText(f"{len(rows)} cells selected.")

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

    # ------------------------------------------------------------------ labelling

    def _canvas_clicked(self, label: int, event: Any) -> None:
        row = int(self.states.rows_of([label])[0])
        if row < 0:
            if self.states.table is not None:
                self.status.setText(f"Cell {label} is not in the table yet; press 'Measure cells'.")
            return
        if self.click_button.isChecked():
            self._give([row], take_away="Shift" in event.modifiers)
        elif "Shift" in event.modifiers:
            self.states.select_rows(np.union1d(self.states.selected_rows, [row]))
        else:
            self.states.select_rows([row])

    def _canvas_hovered(self, label: int) -> None:
        if label:
            self._say_row(int(self.states.rows_of([label])[0]))

    def _point_clicked(self, row: int) -> None:
        if self.click_button.isChecked():
            self._give([row])
        else:
            self.states.select_rows([row])

    def _give(self, rows: Any, code: int | None = None, take_away: bool = False) -> None:
        chosen = -1 if take_away else self.class_list.current if code is None else code
        if chosen < 0 and not take_away:
            self.status.setText("Add a class first, then click cells of it.")
            return
        try:
            self.states.assign(rows, chosen)
        except CellsError as error:
            self.tell_error(error)

    def label_selection(self) -> None:
        """Give the chosen class to the selected cells."""
        rows = self.states.selected_rows
        if not len(rows):
            self.status.setText("Select cells first: click one, or draw a lasso in the plot.")
            return
        self._give(rows)

    def press_key(self, code: int) -> None:
        """What a class's hot key does: choose the class, and give it to the selected cells."""
        if code >= len(self.states.classes):
            return
        self.class_list.choose(code)
        rows = self.states.selected_rows
        if len(rows):
            self._give(rows, code)
            if self.list_box.currentText() == NEXT:
                self.go_to_next()

    def undo(self) -> None:
        """Take the last edit back."""
        try:
            self.session.history.undo()
        except BiofmError as error:
            self.tell_error(error)

    # ------------------------------------------------------------------ lists

    def _list(self, which: str) -> None:
        if self.list_box.currentText() == which:
            self._relist()
        else:
            self.list_box.setCurrentText(which)

    def _relist(self) -> None:
        states, which = self.states, self.list_box.currentText()
        order = np.arange(len(states.values))
        prepared = states.prepared
        if which == LABELLED:
            order = np.flatnonzero(states.by_hand >= 0)
        elif which == RARE and states.outlier is not None:
            order = np.argsort(-np.nan_to_num(states.outlier), kind="stable")[:LISTED]
        elif which == SIMILAR and prepared is not None:
            rows = states.selected_rows
            if len(rows):
                order = np.concatenate([rows, find_similar(prepared.features, rows, LISTED)])
            else:
                order = order[:0]
                self.status.setText("Choose a cell first: click it in the image, the plot or the table.")
        elif which == NEXT and prepared is not None:
            probabilities = None if states.prediction is None else states.prediction.probabilities
            order = label_next(prepared.features, states.by_hand >= 0, probabilities, states.outlier, 30)
        self.cell_table.cells.set_order(order)
        self.cell_table.show_selection(states.selected_rows)

    def go_to_next(self) -> None:
        """Go to the cell that is worth most to label, and select it."""
        self._list(NEXT)
        order = self.cell_table.cells.order
        if len(order):
            self.states.select_rows(order[:1])
            self.go_to_row(int(order[0]))
        else:
            self.status.setText("Every cell has a label, or there are none.")

    def go_to_row(self, row: int) -> None:
        """Bring a cell into view."""
        table, layer = self.states.table, self.layer
        if table is None or layer is None:
            return
        axes = sorted(c for c in table.obs.columns if c.startswith("centroid-"))
        centroid = table.obs.iloc[row][axes].to_numpy(float)
        go_to(self.viewer, layer, centroid, 2 * float(np.sqrt(table.obs["area"].iat[row] / np.pi)))

    def _table_double_clicked(self, index: Any) -> None:
        self.go_to_row(int(self.cell_table.cells.order[index.row()]))

    # ------------------------------------------------------------------ heads and scores

    def _vectors_chosen(self, name: str) -> None:
        if name and self.states.table is not None:
            self.states.use_blocks(name)

    def _confidence_changed(self, value: float) -> None:
        self.states.min_probability = value
        self._predicted()

    def train(self) -> None:
        """Train the chosen head: logistic at once, the others in the worker."""
        if self.head_box.currentText() == "logistic":
            self.states.refit()
            return
        vectors, rows, names, groups = self._training_data()
        if vectors is None:
            return
        table = self.states.table
        self.run(
            jobs.train_head,
            self.head_box.currentText(),
            vectors,
            rows,
            names,
            groups,
            name=f"Train '{self.head_box.currentText()}'",
            bound_to=self.states.uid,
            on_done=lambda trained: self.files.use_trained(trained, table),
        )

    def _training_data(self) -> Any:
        states = self.states
        rows = np.flatnonzero(states.by_hand >= 0)
        if states.table is None or len(set(states.by_hand[rows].tolist())) < 2:
            self.tell_error(CellsError("Two classes are needed to learn; label cells of two classes first."))
            return None, None, None, None
        names = np.asarray([states.classes[c][0] for c in states.by_hand[rows]], object)
        groups = [str(g) for g in text(states.table, "group")[rows]]
        return vectors_of(states.table, states.block_names), rows, names, groups

    def score(self) -> None:
        """Score the labels given so far, in the worker."""
        vectors, rows, names, groups = self._training_data()
        if vectors is None or self.states.table is None or self.layer is None:
            return
        table, layer = self.states.table, self.layer
        baselines = {} if self.states.blocks == BASELINE else {BASELINE: vectors_of(table, BASELINE)[rows]}
        plane = _plane(self.viewer, layer)
        image = self._image_for(layer) if plane.ndim == 2 else None
        self.run(
            jobs.score_cells,
            self.head_box.currentText(),
            vectors[rows],
            names,
            groups,
            baselines,
            self.states.blocks,
            image,
            plane,
            rows,
            name="Score",
            bound_to=self.states.uid,
            on_done=self.scores.show_report,
        )

    def export_csv(self, path: Path) -> None:
        """Write the table as it is shown."""
        self.files.export_csv(path)


def _plane(viewer: Any, layer: Any) -> Any:
    """Pixels of a flat layer or a volume; of a movie (first axis not displayed) the plane in view."""
    data = layer.data[0] if layer.multiscale else layer.data
    n_spatial = 3 if getattr(layer, "rgb", False) else 2
    if data.ndim <= n_spatial or viewer.dims.ndisplay == 3:
        return np.asarray(data)
    return np.asarray(data[shown_step(viewer, layer)])


def _hot_key(dock: CellsDock, code: int) -> Any:
    import weakref

    held = weakref.ref(dock)

    def pressed(viewer: Any) -> None:
        alive = held()
        if alive is not None and not alive._gone:
            alive.press_key(code)

    return pressed


def _release(latest: Latest, clicks: CanvasClicks, edits: MaskEdits) -> Any:
    def release(*_: Any) -> None:
        latest.close()
        clicks.close()
        edits.close()

    return release


__all__ = ["SUFFIX", "CellsDock"]
