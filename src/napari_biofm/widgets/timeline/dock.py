"""The timeline dock: one clock and one cell id across image, mask, trace and event."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QPushButton

from napari_biofm.canvas.picking import click_picker
from napari_biofm.canvas.pointing import PointedEvent, event_pointer
from napari_biofm.controllers.common.layers import is_helper
from napari_biofm.controllers.common.movie_layers import is_movie
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import ViewerLayersInPlay
from napari_biofm.controllers.timeline.sync import SliderSync
from napari_biofm.session import Session
from napari_biofm.widgets.common.buttons import enable
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.tabs import LowTabs
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id
from napari_biofm.widgets.timeline.activity_morphology_panel import ActivityMorphologyPanel
from napari_biofm.widgets.timeline.align import AlignPanel
from napari_biofm.widgets.timeline.around import AroundPanel
from napari_biofm.widgets.timeline.behaviour_panel import BehaviourPanel
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.in_step import InStepRow
from napari_biofm.widgets.timeline.link import LinkPanel
from napari_biofm.widgets.timeline.player import Player
from napari_biofm.widgets.timeline.raster import RasterPanel
from napari_biofm.widgets.timeline.session_panel import SessionPanel
from napari_biofm.widgets.timeline.show import ShowPanel

PAINTED_MS = 100


class TimelineDock(Dock):
    """Align a movie and a recording, link channels to cells, show events on the image.

    Parameters
    ----------
    napari_viewer : the viewer, injected by napari.
    session : of this viewer; looked up when not given.
    """

    def __init__(self, napari_viewer: Any, *, session: Session | None = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.controller = TimelineController(self.session, ViewerLayersInPlay(self.viewer))
        self.sync = SliderSync(self.viewer, self.session, lambda: self.controller.movie)
        self.movie = Chooser("no movie open", "The image layer whose frames are placed in time.")
        self.labels = Chooser("no cells yet", "The labels layer with the cells.")
        self.recording = Chooser("no recording open", "The recording made at the same time.")
        self.rejected = QCheckBox("Rejected cells, too")
        self.align_panel = AlignPanel(self, self.controller)
        self.link_panel = LinkPanel(self, self.controller)
        self.show_panel = ShowPanel(self, self.controller, self.viewer)
        self.raster_panel = RasterPanel(self, self.controller)
        self.behaviour_panel = BehaviourPanel(self, self.controller)
        self.around_panel = AroundPanel(self, self.controller, self.viewer)
        self.activity_morphology_panel = ActivityMorphologyPanel(self, self.controller)
        self.session_panel = SessionPanel(self, self.controller, self.viewer)
        self._said: str | None = None  # before the mouse came to an event
        self.in_step = InStepRow(self, self.controller, self.viewer)
        self.player = Player(self.viewer, self.controller, self.in_step.box.isChecked)
        self.pointed = PointedEvent(self.viewer, self.controller, self._tell_pointed)
        self.words = note()
        self.undo_button = QPushButton("Undo")
        self.redo_button = QPushButton("Redo")
        self._lay_out()
        self._connect()
        self._layers_changed()
        self._recordings_changed()

    def tell(self, message: str) -> None:
        """Show a short message in napari and in the dock."""
        self.words.setText(message)
        super().tell(message)

    def tell_error(self, error: BaseException) -> None:
        """Show an error in napari's notifications and in the dock."""
        self.words.setText(str(error))
        super().tell_error(error)

    def _say(self, message: str) -> None:
        self.words.setText(message)

    def _tell_pointed(self, words: str) -> None:
        """Say which event the mouse is on; what was said before comes back when it left."""
        if words:
            self._said = self.words.text() if self._said is None else self._said
            self.words.setText(words)
        elif self._said is not None:
            self.words.setText(self._said)
            self._said = None

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Movie", self.movie)
        form.addRow("Cells", self.labels)
        form.addRow("Recording", self.recording)
        form.addRow("", self.rejected)
        self.tabs = LowTabs()
        self.tabs.addTab(self.align_panel, "Align")
        self.tabs.addTab(self.link_panel, "Cells")
        self.tabs.addTab(self.show_panel, "Show")
        self.tabs.addTab(self.raster_panel, "Raster")
        self.tabs.addTab(self.behaviour_panel, "Behaviour")
        self.tabs.addTab(self.around_panel, "Around events")
        place = self.tabs.addTab(self.activity_morphology_panel, "Morphology")
        self.tabs.setTabToolTip(place, "Activity and morphology: what cells do beside what they look like.")
        self.tabs.addTab(self.session_panel, "Session")
        buttons = QHBoxLayout()
        buttons.addWidget(self.undo_button)
        buttons.addWidget(self.redo_button)
        layout = self.scrolled_column()
        layout.addLayout(form)
        layout.addWidget(self.player)
        layout.addWidget(self.in_step)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.job_bar)
        layout.addWidget(self.words)
        layout.addLayout(buttons)

    def _connect(self) -> None:
        session, controller, layers = self.session, self.controller, self.viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.renamed):
            self.listen(event, self._layers_changed)
        self.listen(session.layers_changed, self._layers_changed)
        self.listen(session.recordings_changed, self._recordings_changed)
        for signal in (session.events_changed, session.links_changed, session.clocks_changed):
            self.listen(signal, controller.things_changed)
        self.listen(session.clocks_changed, self.sync.slider_moved)
        self.listen(session.time_changed, self.sync.time_moved)
        self.listen(session.pointed_changed, self.pointed.show)
        self.listen(self.viewer.dims.events.current_step, self.sync.slider_moved)
        self.listen(session.history.changed, self._history_changed)
        self.listen(controller.chosen, self._show_chosen)
        self.listen(controller.events_moved, self._offer_rejected)
        self.rejected.toggled.connect(controller.include_rejected)
        self.movie.chosen.connect(lambda uid: self._chose("movie", uid))
        self.labels.chosen.connect(lambda uid: self._chose("labels", uid))
        self.recording.chosen.connect(lambda uid: self._chose("recording", uid))
        self.listen(session.history.skipped, self._say)  # napari's notification is shown once for all docks
        self.undo_button.clicked.connect(lambda: session.undo())
        self.redo_button.clicked.connect(lambda: session.redo())
        points = self.show_panel.points
        picker = click_picker(controller, points, lambda: not self._gone and self.link_panel.pick.isChecked())
        pointer = event_pointer(controller, points, lambda: not self._gone)
        for callbacks, callback in (
            (self.viewer.mouse_drag_callbacks, picker),
            (self.viewer.mouse_move_callbacks, pointer),
        ):
            callbacks.append(callback)
            self._connections.append((_Callbacks(callbacks), callback))
        self._painted: dict[str, Any] = {}
        self._strokes = QTimer(self)  # while somebody paints, what follows is worked out once a moment
        self._strokes.setSingleShot(True)
        self._strokes.setInterval(PAINTED_MS)
        self._strokes.timeout.connect(controller.pixels_changed)
        self._history_changed()

    def _chose(self, which: str, uid: str | None) -> None:
        self.controller.choose(which, uid)
        if which == "labels" and uid is not None and uid not in self._painted:
            layer: Any = layer_by_id(self.viewer, uid)
            self._painted[uid] = None
            self.listen(layer.events.data, self.controller.pixels_changed)
            self.listen(layer.events.labels_update, lambda _event=None: self._strokes.start())
            self.listen(layer.events.selected_label, lambda _event=None: self.link_panel.show_cell())
        if which == "movie":
            self.sync.slider_moved()

    def _show_chosen(self) -> None:
        """Have the boxes at the top say what is in play, whoever chose it."""
        for box, uid in (
            (self.movie, self.controller.movie_uid),
            (self.labels, self.controller.labels_uid),
            (self.recording, self.controller.recording_uid),
        ):
            box.choose(uid)

    def _offer_rejected(self) -> None:
        """Say how many cells are rejected; the box is there where any is."""
        said = self.controller.said_of_rejected()
        self.rejected.setVisible(bool(said))
        self.rejected.setToolTip(
            f"{said}. On: rejected cells count in raster, overlays, averages, rates and tables."
            if said
            else ""
        )

    def _layers_changed(self, event: Any = None) -> None:
        movies = [(layer.name, layer_id(layer)) for layer in self.viewer.layers if is_movie(layer)]
        labels = [
            (layer.name, layer_id(layer))
            for layer in self.viewer.layers
            if type(layer).__name__ == "Labels" and not is_helper(layer)
        ]
        self.movie.set_choices(movies, prefer=self.session.image)
        self.labels.set_choices(labels, prefer=self.session.labels)

    def _recordings_changed(self) -> None:
        self.recording.set_choices([(uid, uid) for uid in self.session.recordings])
        self.controller.things_changed()

    def _history_changed(self) -> None:
        history = self.session.history
        enable(self.undo_button, history.can_undo, "Nothing to undo.", tip=f"Undo: {history.undo_name}")
        enable(self.redo_button, history.can_redo, "Nothing was undone.")


class _Callbacks:
    """Lets a list of callbacks be left like a signal."""

    def __init__(self, callbacks: list[Any]) -> None:
        self._callbacks = callbacks

    def disconnect(self, callback: Any) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)
