"""Show panel: what is laid over the image, and the slider's tie to the time."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.timeline.activity import CellLevels, cell_levels
from napari_biofm.timeline.places import is_of_movie
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.timeline.cell_map import MapOverlay
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.overlays import ActivityOverlay, FlashOverlay
from napari_biofm.widgets.timeline.points import EventPoints
from napari_biofm.widgets.timeline.state import TimelineState


class ShowPanel(QWidget):
    """Switches for the overlays.

    Parameters
    ----------
    dock : that holds the panel.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__()
        self.dock = dock
        self.state = state
        self.points = EventPoints(state)
        self.activity = ActivityOverlay(state)
        self.flashes = FlashOverlay(state)
        self.show_activity = QCheckBox("Show activity of cells")
        self.show_activity.setToolTip("Each cell as bright as its trace, frame by frame.")
        self.map = MapOverlay(state)
        self.map_of = Chooser("nothing", "Colour the cells by their event rate or a number of their table.")
        self.show_flashes = QCheckBox("Flash cells at events")
        self.show_flashes.setToolTip("A cell lights up at an event, in the colour of its class, and fades.")
        self.show_points = QCheckBox("Show events on the image")
        self.show_points.setToolTip(
            "A point on the cell from the frame an event falls in, in its class's colour."
        )
        self.hold = QDoubleSpinBox()
        self.hold.setRange(0.0, 60.0)
        self.hold.setDecimals(2)
        self.hold.setSingleStep(0.05)
        self.hold.setSuffix(" s")
        self.hold.setValue(self.points.hold_s)
        self.hold.setKeyboardTracking(False)
        self.hold.setToolTip("How long an event stays visible while it fades.")
        self.words = QLabel()
        self.words.setWordWrap(True)
        form = QFormLayout()
        form.addRow(self.show_points)
        form.addRow(self.show_flashes)
        form.addRow(self.show_activity)
        form.addRow("Visible for", self.hold)
        form.addRow("Colour cells by", self.map_of)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.show_points.toggled.connect(lambda on: self.words.setText(self.points.show(on)))
        self.hold.valueChanged.connect(self._hold_changed)
        self.show_flashes.toggled.connect(self._flash)
        self.show_activity.toggled.connect(self._activity)
        self.map_of.set_choices(self.map.choices())
        self.map_of.chosen.connect(self._map)
        dock.listen(state.events_moved, self.refresh)
        dock.listen(state.session.cells_changed, self._cells_changed)
        dock.listen(state.viewer.dims.events.current_step, self.flashes.frame_moved)

    def refresh(self) -> None:
        """Bring the overlays up to date."""
        for words in (self.map.refresh(), self.flashes.refresh(), self.points.refresh()):
            if words:
                self.words.setText(words)

    def _hold_changed(self, seconds: float) -> None:
        self.points.hold_s = seconds
        self.flashes.decay_s = max(seconds, 0.02)
        self.refresh()

    def _map(self, what: object) -> None:
        self.map.what = str(what or "")
        self.words.setText(self.map.refresh())

    def _cells_changed(self, uid: str) -> None:
        self.map_of.set_choices(self.map.choices())
        if self.map.what:
            self.map.refresh()

    def _flash(self, on: bool) -> None:
        self.flashes.on = on
        if on:
            self.words.setText(self.flashes.refresh())
        else:
            self.flashes.remove()

    def _activity(self, on: bool) -> None:
        self.activity.on = on
        self.activity.remove()
        if not on:
            return
        lacking, recording = self.activity.lacks(), self._traces()
        if lacking or recording is None:
            self.words.setText(lacking or "No traces of these cells: measure them under 'Cells' first.")
            self.show_activity.setChecked(False)
            return
        self.dock.run(
            cell_levels,
            recording,
            self.state.clock,
            name="Brightness of cells",
            bound_to=self.state.movie_uid,
            on_done=self._show_activity,
        )

    def _show_activity(self, levels: CellLevels) -> None:
        if self.activity.on and not self.activity.lacks():
            self.words.setText(self.activity.show(levels))

    def _traces(self) -> Recording | None:
        """Return the traces of cells to show: those of the movie before others, the latest first."""
        clock = self.state.clock
        entries = [e.recording for e in self.state.session.recordings.values() if e.recording.is_cells]
        own = [r for r in entries if clock is not None and is_of_movie(r, clock)]
        return next(reversed(own or entries), None)
