"""Show panel: what is laid over the image."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QFormLayout

from napari_biofm.canvas.cell_map import MapOverlay
from napari_biofm.canvas.event_points import EventPoints
from napari_biofm.canvas.overlays import ActivityLayer
from napari_biofm.canvas.pipette import PipetteMarkers
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.timeline.activity import CellLevels, cell_levels
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.panel import Host, Panel, number_box


class ShowPanel(Panel):
    """Switches for the overlays.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    viewer : napari viewer, gets the layers.
    """

    def __init__(self, host: Host, controller: TimelineController, viewer: Any) -> None:
        super().__init__(host, controller)
        self.points = EventPoints(viewer, controller)
        self.activity = ActivityLayer(viewer, controller)
        self.map = MapOverlay(viewer, controller)
        self.pipettes = PipetteMarkers(viewer, controller)
        self._levels_of: tuple[Any, ...] = ()
        self.show_activity = _switch(
            "Show activity of cells", "Each cell as bright as its trace, frame by frame."
        )
        self.show_flashes = _switch(
            "Flash cells at events", "A cell lights up at an event, in the colour of its class, and fades."
        )
        self.show_points = _switch(
            "Show events on the image",
            "A point on the cell from the frame an event falls in, in its class's colour.",
        )
        self.show_pipettes = _switch(
            "Show which cell was recorded",
            "A cross on every cell that is linked to a recording. Drag it to another cell to move the link.",
        )
        self.map_of = Chooser("nothing", "Colour the cells by their event rate or a number of their table.")
        self.hold = number_box(
            0.0, 60.0, 2, " s", "How long an event stays visible while it fades.", self.points.hold_s
        )
        self.hold.setSingleStep(0.05)
        form = QFormLayout()
        for switch in (self.show_points, self.show_flashes, self.show_activity, self.show_pipettes):
            form.addRow(switch)
        form.addRow("Visible for", self.hold)
        form.addRow("Colour cells by", self.map_of)
        self.column.addLayout(form)
        self.column.addWidget(self.words)
        self.column.addStretch(1)
        self.show_points.toggled.connect(lambda on: self.words.setText(self.points.show(on)))
        self.show_pipettes.toggled.connect(lambda on: self.words.setText(self.pipettes.show(on)))
        self.hold.valueChanged.connect(self._hold_changed)
        self.show_flashes.toggled.connect(self._flash)
        self.show_activity.toggled.connect(self._activity)
        self.map_of.set_choices(self.map.choices())
        self.map_of.chosen.connect(self._map)
        host.listen(controller.events_moved, self.refresh)
        host.listen(controller.session.cells_changed, self._cells_changed)
        host.listen(viewer.dims.events.current_step, self.activity.frame_moved)
        host.listen(viewer.dims.events.current_step, self.points.frame_moved)

    def refresh(self) -> None:
        """Bring the overlays up to date."""
        if self.show_activity.isChecked():
            self._measure_levels()
        overlays = (self.map, self.activity, self.points, self.pipettes)
        for words in [overlay.refresh() for overlay in overlays]:
            if words:
                self.words.setText(words)

    def _hold_changed(self, seconds: float) -> None:
        self.points.hold_s = seconds
        self.activity.decay_s = max(seconds, 0.02)
        self.refresh()

    def _map(self, what: object) -> None:
        self.map.what = str(what or "")
        self.words.setText(self.map.refresh())

    def _cells_changed(self, uid: str) -> None:
        self.map_of.set_choices(self.map.choices())
        if self.map.what:
            self.map.refresh()

    def _flash(self, on: bool) -> None:
        self.activity.flashing = on
        self.words.setText(self.activity.refresh())

    def _activity(self, on: bool) -> None:
        if on:
            lacking = self.controller.lacks()
            if lacking or self.controller.traces() is None:
                self.words.setText(lacking or "No traces of these cells: measure them under 'Cells' first.")
                self.show_activity.setChecked(False)
                return
            self._measure_levels()
            return
        self.activity.levels, self._levels_of = None, ()
        self.words.setText(self.activity.refresh())

    def _measure_levels(self) -> None:
        """Scale the traces in a job, unless that was done for these traces and this clock."""
        recording, clock = self.controller.counted_traces(), self.controller.clock
        of = (id(self.controller.traces()), id(clock), self.controller.rejected)
        if recording is None or clock is None or of == self._levels_of:
            return
        self._levels_of = of
        self.host.run(
            cell_levels,
            recording,
            clock,
            name="Brightness of cells",
            lane="interactive",
            bound_to=self.controller.movie_uid,
            on_done=lambda levels: self._show_activity(levels, of),
        )

    def _show_activity(self, levels: CellLevels, of: tuple[Any, ...]) -> None:
        if self.show_activity.isChecked() and of == self._levels_of:
            self.activity.levels = levels
            self.words.setText(self.activity.refresh())


def _switch(text: str, tooltip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tooltip)
    return box
