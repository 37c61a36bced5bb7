"""The Cells dock: choose cells and vectors, name classes, click, and see every cell classified."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QSplitter, QVBoxLayout, QWidget

from napari_biofm.canvas.cell_overlay import Overlay
from napari_biofm.cells.classify.movies import ClassifiedMovie
from napari_biofm.cells.track.tracks import tracks_from_csv
from napari_biofm.controllers.cells import layers
from napari_biofm.controllers.cells.canvas import CanvasClicks
from napari_biofm.controllers.cells.controller import CellsController
from napari_biofm.controllers.cells.latest import Latest
from napari_biofm.controllers.cells.mask_files import MaskFiles
from napari_biofm.controllers.cells.mirror import mirror_steps
from napari_biofm.controllers.cells.recipe import cells_draft
from napari_biofm.controllers.common.going import go_to
from napari_biofm.controllers.common.layers import layer_by_id, layer_id
from napari_biofm.teaching.cell_lists import LISTS, NEXT
from napari_biofm.teaching.cell_states import ALL
from napari_biofm.types import CellsError
from napari_biofm.widgets.cells.cell_table import CellTable
from napari_biofm.widgets.cells.classes import N_KEYS
from napari_biofm.widgets.cells.files_panel import FilesPanel
from napari_biofm.widgets.cells.gallery import GalleryPanel
from napari_biofm.widgets.cells.plot_panel import PlotPanel
from napari_biofm.widgets.cells.scores_panel import ScoresPanel
from napari_biofm.widgets.cells.teaching_form import TeachingForm, row_of
from napari_biofm.widgets.cells.timeline_panel import TimelinePanel
from napari_biofm.widgets.cells.values_panel import ValuesPanel
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.cell_tables import cell_tables
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.event_loop import EventLoopTask
from napari_biofm.widgets.common.later_tabs import LaterTabs
from napari_biofm.widgets.common.qt_parts import timer, when_destroyed
from napari_biofm.widgets.common.recipe_bar import RecipeBar
from napari_biofm.widgets.common.viewers import QtPost

CELLS, GALLERY, PLOT, SCORES, TIME, VALUES, FILES = (
    "Cells", "Gallery", "Plot", "Scores", "Time", "Values", "Files",
)  # tabs  # fmt: skip
LABELLING = "label cells"  # the mode of clicks while 'Label by clicking' is down
WIDTH = 410  # pixels: its widest tab and the scroll bar
QUIET = 700  # ms without a click before slow mirrors (features, table) are written
Panel = TypeVar("Panel", bound=QWidget)


class CellsDockContent(Dock):
    """Teach cell states by clicking.

    Parameters
    ----------
    napari_viewer, session : see `Dock`.
    """

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        post = None if self.session.engine.name == "inline" else QtPost()
        self.latest, self.lists = Latest(post), Latest(post)
        self.tables = cell_tables(self.viewer, self.session)
        self.controller = CellsController(
            self.session, self.tables, self._run_job, self.latest.submit, self.lists.submit
        )
        self.states = self.controller.states
        self.overlay = Overlay(self.viewer)
        self.below: list[Any] = []  # what this dock put under the image
        self._overlay_task, self._mirror = EventLoopTask(self), EventLoopTask(self)
        self._quiet = timer(self, QUIET, self._write_mirrors)
        self._build()
        self._connect()
        self.clicks = CanvasClicks(
            self.viewer,
            lambda: self.layer,
            lambda label, event: self.controller.click(label, event.modifiers),
            self.controller.hover,
        )
        when_destroyed(self, _release, self, self.latest, self.lists)

    def begin(self) -> None:
        """Show the layer in play and its cells."""
        self._layers_changed()

    @property
    def layer(self) -> Any:
        """The Labels layer in use, None where there is none."""
        return layer_by_id(self.viewer, self.form.layer_box.currentData())

    def _run_job(self, function: Callable[..., Any], *args: Any, name: str, **more: Any) -> Any:
        return self.run(function, *args, name=name, **more)

    # ------------------------------------------------------------------ building

    def _build(self) -> None:
        control = self.controller
        self.form = TeachingForm(
            self.states, control.learning, self.tell_error, self.states.min_probability, control
        )
        self.list_box = QComboBox()
        self.list_box.addItems(list(LISTS))
        self.list_box.setToolTip("Which cells the table shows, and in what order.")
        self.next_button = push_button("Next", "Go to the cell whose label would teach most.")
        self.similar_button = push_button(
            "Find similar", "List the cells that look most like the selected ones."
        )
        self.cell_table = CellTable(self.states)
        cells = QWidget()
        column = QVBoxLayout(cells)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row_of(self.list_box, self.next_button, self.similar_button))
        column.addWidget(self.cell_table, 1)
        self.tabs = LaterTabs()
        self.tabs.addTab(cells, CELLS)
        self.tabs.add(PLOT, self._make_plot, lambda _: self._refresh_plot())
        self.tabs.add(GALLERY, self._make_gallery, lambda panel: panel.fill())
        self.tabs.add(SCORES, self._make_scores)
        self.tabs.add(TIME, self._make_timeline, TimelinePanel.add_plot)
        self.tabs.add(VALUES, lambda: ValuesPanel(control.values, self.add_value_layer, self.tell_error))
        self.tabs.add(FILES, self._make_files)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.form)
        split.addWidget(self.tabs)
        split.setChildrenCollapsible(False)
        split.setStretchFactor(0, 0)
        split.setStretchFactor(1, 1)  # the classes are few, the cells many
        layout = self.scrolled_column()
        layout.addWidget(split, 1)
        layout.addWidget(self.job_bar)
        _narrow(self)
        self.setMinimumWidth(WIDTH)

    def _make_gallery(self) -> GalleryPanel:
        control = self.controller
        return _narrow(GalleryPanel(self.states, self.tables.pixels_of, control.go_to_row, self.tell_error))

    def _make_plot(self) -> PlotPanel:
        plot = PlotPanel(self.states, self.run)
        plot.scatter.lassoed.connect(self.states.select_rows)
        plot.scatter.clicked.connect(self.controller.click_point)
        plot.scatter.hovered.connect(self.controller.say_row)
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
        timeline.set_tracks(layers.tracks_layers(self.viewer))
        return _narrow(timeline)

    def _make_files(self) -> FilesPanel:
        masks = MaskFiles(self.viewer, self.session)
        recipe = RecipeBar(lambda: cells_draft(self.viewer, self.controller), self.tell, self.tell_error)
        files = FilesPanel(
            self.controller.files, masks, lambda: self.controller.uid, self.add_class_layer, self.tell_error,
            recipe,
        )  # fmt: skip
        self.listen(masks.said, files.say)
        self.listen(self.controller.files.said, files.say)
        return files

    @property
    def gallery(self) -> GalleryPanel:
        return self.tabs.panel(GALLERY)  # type: ignore[return-value]

    @property
    def plot(self) -> PlotPanel:
        return self.tabs.panel(PLOT)  # type: ignore[return-value]

    @property
    def scores(self) -> ScoresPanel:
        return self.tabs.panel(SCORES)  # type: ignore[return-value]

    @property
    def timeline(self) -> TimelinePanel:
        return self.tabs.panel(TIME)  # type: ignore[return-value]

    @property
    def values_panel(self) -> ValuesPanel:
        return self.tabs.panel(VALUES)  # type: ignore[return-value]

    @property
    def files_panel(self) -> FilesPanel:
        return self.tabs.panel(FILES)  # type: ignore[return-value]

    def sizeHint(self) -> QSize:
        return QSize(WIDTH + 20, 800)

    def _undock(self, docked: Any) -> None:
        self.below.clear()
        self.viewer.window.remove_dock_widget(docked)

    def _dock_below(self, widget: QWidget) -> Any:
        docked = self.viewer.window.add_dock_widget(widget, name="Cell states over time", area="bottom")
        self.below.append(docked)
        return docked

    # ------------------------------------------------------------------ connecting

    def _connect(self) -> None:
        form, control, states = self.form, self.controller, self.states
        form.layer_box.currentIndexChanged.connect(self._layer_chosen)
        form.vectors_box.currentTextChanged.connect(self._vectors_chosen)
        form.measure_button.clicked.connect(self.measure)
        form.train_button.clicked.connect(lambda: control.learning.train(form.head_box.currentText()))
        form.confidence.valueChanged.connect(control.set_min_probability)
        form.class_list.current_changed.connect(self._class_chosen)
        form.click_button.toggled.connect(self._clicking)
        form.assign_button.clicked.connect(control.label_selection)
        form.undo_button.clicked.connect(self.undo)
        self.next_button.clicked.connect(control.go_to_next)
        self.similar_button.clicked.connect(control.find_similar)
        self.list_box.currentTextChanged.connect(control.lists.choose)
        self.cell_table.doubleClicked.connect(
            lambda index: control.go_to_row(int(self.cell_table.cells.order[index.row()]))
        )
        control.said.connect(form.say)
        control.told.connect(self.tell)
        control.failed.connect(self.tell_error)
        control.class_chosen.connect(form.class_list.choose)
        control.centred.connect(lambda centre, size: go_to(self.viewer, self.layer, centre, size))
        control.lists.chosen.connect(self._show_list)
        control.lists.changed.connect(self._show_order)
        control.learning.scored.connect(lambda report: self.scores.show_report(report))
        control.learning.movie_classified.connect(self._movie_classified)
        states.table_changed.connect(self._table_changed)
        states.classes_changed.connect(self._classes_changed)
        states.labels_changed.connect(form.class_list.recount)
        states.labels_changed.connect(self._labels_changed)
        states.predictions_changed.connect(self._predicted)
        session, events = self.session, self.viewer.layers.events
        self.listen(self.tables.failed, self.tell_error)
        self.listen(session.cells_changed, control.cells_changed)
        self.listen(session.selection_changed, self._selection_changed)
        self.listen(session.layers_changed, self._follow_session)
        self.listen(session.canvas_taken, self._give_way)
        self.listen(session.history.changed, lambda: form.show_undo(session.history.undo_name))
        self.listen(events.inserted, self._layers_changed)
        self.listen(events.removed, self._layers_changed)
        self.listen(self.viewer.dims.events.current_step, self._frame_changed)
        for i in range(N_KEYS):
            self.viewer.bind_key(f"Alt-{i + 1}", _hot_key(control, i), overwrite=True)

    # ------------------------------------------------------------------ what the user chooses

    def measure(self) -> None:
        """Make the table of the chosen layer, in the worker."""
        button = self.form.measure_button
        enable(button, False)
        self.controller.measure(lambda: enable(button, True))

    def undo(self) -> None:
        """Take the last edit back."""
        self.session.undo()

    def score(self) -> None:
        """Score the labels given so far, in the worker."""
        self.controller.learning.score(self.form.head_box.currentText())

    def classify_movie(self) -> None:
        """Classify every cell in every frame with what was learnt on the frame in the table."""
        layer = self.layer
        try:
            if layer is None:
                raise CellsError("Choose a Labels layer with time as first axis.")
            labels = layers.labels_of(layer)
            tracks = layers.tracks_for(self.viewer, layer, self.timeline.tracks_box.currentData())
        except CellsError as error:
            self.tell_error(error)
            return
        self.controller.learning.classify_movie(labels, layers.movie_for(self.viewer, labels.shape), tracks)

    def ask_tracks(self) -> None:
        """Let the user choose a CSV of tracks."""
        name, _ = QFileDialog.getOpenFileName(self, "Tracks", "", "CSV (*.csv)")
        if name:
            try:
                self.read_tracks(Path(name))
            except CellsError as error:
                self.tell_error(error)

    def read_tracks(self, path: Path) -> None:
        """Add a Tracks layer from a CSV, and choose it."""
        if self.layer is None:
            raise CellsError("Open the movie's Labels layer first; tracks are given in its pixels.")
        uid = layers.add_tracks(self.viewer, self.layer, tracks_from_csv(path), path.stem)
        self.timeline.set_tracks(layers.tracks_layers(self.viewer))
        self.timeline.tracks_box.setCurrentIndex(self.timeline.tracks_box.findData(uid))

    def add_class_layer(self) -> None:
        """Add a Labels layer whose values are classes, a copy that stays as it is."""
        self.states.measured()
        picture, legend = self.controller.files.class_picture(layers.labels_of(self.layer))
        layers.add_class_layer(self.viewer, self.layer, picture, legend)

    def add_value_layer(self, name: str) -> None:
        """Add an image layer of the predicted values of a target; it stays as it is."""
        self.states.measured()
        picture, contrast = self.controller.values.picture(name, layers.labels_of(self.layer))
        layers.add_value_layer(self.viewer, self.layer, name, picture, contrast)

    def _class_chosen(self, code: int) -> None:
        self.controller.code = code

    def _clicking(self, on: bool) -> None:
        self.controller.labels_by_clicking = on
        if on:
            self.session.canvas_taken.emit(LABELLING)

    def _give_way(self, mode: str) -> None:
        """Clicks edit masks from now on: they label no more."""
        if mode != LABELLING:
            self.form.click_button.setChecked(False)

    def _vectors_chosen(self, name: str) -> None:
        if name and self.states.table is not None:
            self.states.use_embeddings(name)

    # ------------------------------------------------------------------ layers

    def _layers_changed(self, event: Any = None) -> None:
        box, found = self.form.layer_box, layers.cell_layers(self.viewer)
        chosen = box.currentData()
        box.blockSignals(True)
        box.clear()
        for layer in found:
            box.addItem(layer.name, layer_id(layer))
        at = box.findData(chosen or self.session.labels)
        box.setCurrentIndex(at if at >= 0 else len(found) - 1)
        box.blockSignals(False)
        if box.currentData() != self.states.uid or event is None:
            self._layer_chosen()
        self.form.measured_on.refresh()
        if self.tabs.made(TIME) is not None:
            self.timeline.set_tracks(layers.tracks_layers(self.viewer))

    def _layer_chosen(self, *_: Any) -> None:
        uid = None if self.layer is None else layer_id(self.layer)
        if uid != self.states.uid:
            self.overlay.hide()
        self.controller.use_layer(uid)
        self.form.measured_on.refresh()

    def _follow_session(self) -> None:
        at = self.form.layer_box.findData(self.session.labels)
        if at >= 0:
            self.form.layer_box.setCurrentIndex(at)

    # ------------------------------------------------------------------ what changed is shown

    def _table_changed(self) -> None:
        table = self.states.table
        names = [] if table is None else list(table.obsm)
        self.form.show_vectors([*names, *([ALL] if len(names) > 1 else [])], self.states.embeddings)
        self._overlay_task.start(self._show_overlay())
        self._refresh_plot()
        self.controller.lists.refresh()

    def _show_overlay(self) -> Iterator[None]:
        """Put the class layer over the cells, in turns of the event loop that have nothing else to do."""
        yield
        layer, states = self.layer, self.states
        if layer is None or states.table is None or not states.table.n_obs:
            self.overlay.hide()
            return
        self.overlay.show(layer, states.values)
        yield
        self.overlay.set_colours([c for _, c in states.classes])
        self.overlay.paint(states.values, states.shown_codes, states.selected_rows)

    def _movie_classified(self, movie: ClassifiedMovie) -> None:
        self._overlay_task.finish()
        self.overlay.paint_frames(movie.luts, movie.ids)
        self.timeline.show_timeline(movie.timeline, dict(self.states.classes))
        self._frame_changed()

    def _frame_changed(self, event: Any = None) -> None:
        if self.tabs.made(TIME) is not None and self.timeline.timeline is not None:
            self.timeline.set_frame(int(self.viewer.dims.current_step[0]))

    def _classes_changed(self) -> None:
        self.form.class_list.refill()
        self.overlay.set_colours([c for _, c in self.states.classes])
        self._recolour()

    def _recolour(self) -> None:
        self.overlay.paint(self.states.values, self.states.shown_codes, self.states.selected_rows)
        self._refresh_plot()
        self.cell_table.cells.refresh()
        self._quiet.start()

    def _refresh_plot(self) -> None:
        if self.tabs.made(PLOT) is not None:
            self.plot.refresh()

    def _labels_changed(self) -> None:
        if self.states.head is None:  # else the refit that follows recolours
            self._recolour()

    def _predicted(self) -> None:
        self.form.show_confidence(self.states.min_probability)
        self._recolour()
        if self.controller.lists.which == NEXT:
            self.controller.lists.refresh()
        self.controller.say_state()

    def _write_mirrors(self) -> None:
        self.states.write_predictions()
        if self.layer is not None and self.states.table is not None:
            self._mirror.start(mirror_steps(self.layer, self.states.table))

    def _show_list(self, which: str) -> None:
        self.list_box.blockSignals(True)
        self.list_box.setCurrentText(which)
        self.list_box.blockSignals(False)

    def _show_order(self) -> None:
        self.cell_table.cells.set_order(self.controller.lists.order)
        self.cell_table.show_selection(self.states.selected_rows)

    def _selection_changed(self, _: Any) -> None:
        rows = self.states.selected_rows
        self.overlay.paint(self.states.values, self.states.shown_codes, rows)
        if self.tabs.made(PLOT) is not None:
            self.plot.show_selection(rows)
        self.cell_table.show_selection(rows)
        self.controller.say_selection()


def _narrow(panel: Panel) -> Panel:
    """Keep boxes from being wider than the dock: the canvas must not jump."""
    for box in panel.findChildren(QComboBox):
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(8)
    return panel


def _hot_key(controller: CellsController, code: int) -> Any:
    held = weakref.ref(controller)

    def pressed(_viewer: Any) -> None:
        alive = held()
        if alive is not None and not alive.is_closed:
            alive.press_key(code)

    return pressed


def _release(dock: CellsDockContent | None, *work: Latest | None) -> None:
    for latest in work:
        if latest is not None:
            latest.close()
    if dock is None:
        return
    dock.controller.is_closed = True
    for docked in dock.below:
        with contextlib.suppress(RuntimeError):  # the window went first, and took it along
            docked.deleteLater()
    dock.clicks.close()
