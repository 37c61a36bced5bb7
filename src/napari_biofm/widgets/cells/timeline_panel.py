"""Classes over time, one row per track: click a frame to go there; smoothed only when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.track.tracks import Timeline, smooth
from napari_biofm.controllers.cells.layers import BY_LABEL, BY_OVERLAP
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import note

WINDOW = 3  # frames
BELOW_HEIGHT = 170  # pixels
ABSENT = (0, 0, 0, 0)
UNKNOWN_RGBA = (107, 107, 107, 255)


class TimelinePanel(QWidget):
    """Heatmap of track x frame, in the colours of the classes.

    Parameters
    ----------
    dock_below : puts a widget under the image and returns what holds it there.
    """

    frame_chosen = Signal(int)
    closing_asked = Signal(object)  # what `dock_below` returned

    def __init__(self, dock_below: Callable[[QWidget], Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dock_below = dock_below
        self._docked: Any = None
        self.button = push_button(
            "Classify movie",
            "Follow the cells through all frames, and classify every cell in every frame with what was "
            "learnt on the frame that was measured.",
        )
        self.tracks_box = QComboBox()
        self.tracks_box.setToolTip(
            "How cells are followed: by overlap with the frame before; by label values, where a cell has the "
            "same in all frames (trackastra); or by a Tracks layer (btrack, laptrack, trackmate ...)."
        )
        self.read_button = push_button(
            "Read tracks ...", "Add a Tracks layer from a CSV: track (or ID), frame (or t), y, x in pixels."
        )
        self.smooth_box = QCheckBox("Smooth")
        self.smooth_box.setToolTip(
            f"Show the most frequent class of {WINDOW} frames. Short states such as metaphase can vanish."
        )
        self.below_box = QCheckBox("Under the image")
        self.below_box.setToolTip("Show the timeline under the image, with the time slider.")
        self.words = note("For Labels layers with time as first axis.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widgets in (
            (self.button, self.tracks_box, self.read_button),
            (self.smooth_box, self.below_box),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget)
            layout.addLayout(row)
        layout.addWidget(self.words)
        self.holder = QWidget()
        self.inside = QVBoxLayout(self.holder)
        self.inside.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.holder, 1)
        self.timeline: Timeline | None = None
        self._colours: dict[str, str] = {}
        self.set_tracks([])

    def add_plot(self) -> None:
        """Make the plot, which takes as long as all the rest; to be called once, before anything is shown."""
        self.plot = pg.PlotWidget()
        self.plot.setBackground(None)
        self.plot.setLabel("bottom", "frame")
        self.plot.setLabel("left", "track")
        self.plot.setMinimumHeight(120)
        self.plot.setMouseEnabled(y=False)
        self.picture = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.picture)
        self.frame_line = pg.InfiniteLine(angle=90, pen=pg.mkPen("#d98e04", width=1))
        self.plot.addItem(self.frame_line)
        self.frame_line.hide()
        self.plot.setXRange(0, 10)  # until there is a timeline
        self.plot.setYRange(0, 10)
        self.inside.addWidget(self.plot)
        self.smooth_box.toggled.connect(self.draw)
        self.below_box.toggled.connect(self._move_plot)
        self.plot.scene().sigMouseClicked.connect(self._clicked)

    def set_tracks(self, layers: list[tuple[str, str]]) -> None:
        """Offer these Tracks layers (name, unique id) beside the ways that need none."""
        chosen = self.tracks_box.currentData()
        self.tracks_box.clear()
        for name, uid in [(BY_OVERLAP, BY_OVERLAP), (BY_LABEL, BY_LABEL), *layers]:
            self.tracks_box.addItem(name, uid)
        self.tracks_box.setCurrentIndex(max(0, self.tracks_box.findData(chosen)))

    def _move_plot(self, below: bool) -> None:
        """Bring the plot under the image, or back."""
        if below and self._docked is None:
            self.frame = QWidget()
            under = QVBoxLayout(self.frame)
            under.setContentsMargins(0, 0, 0, 0)
            self.frame.setMinimumHeight(BELOW_HEIGHT)
            under.addWidget(self.plot)
            self._docked = self._dock_below(self.frame)
            self._docked.visibilityChanged.connect(self._docked_closed)
        elif not below and self._docked is not None:
            self._docked = None
            self.inside.addWidget(self.plot)
            self.closing_asked.emit(self.frame)

    def _docked_closed(self, visible: bool) -> None:
        """Its own cross was pressed: the plot comes back into the tab."""
        if not visible and self._docked is not None and self._docked.isHidden():
            self.below_box.setChecked(False)

    def show_timeline(self, timeline: Timeline, colours: dict[str, str]) -> None:
        """Show classes over time."""
        self.timeline, self._colours = timeline, colours
        n, frames = timeline.codes.shape
        self.words.setText(f"{n} tracks in {frames} frames.")
        self.draw()
        self.frame_line.show()
        self.plot.setXRange(-0.5, frames - 0.5, padding=0)
        self.plot.setYRange(-0.5, n - 0.5, padding=0)

    @property
    def shown(self) -> Timeline | None:
        """What is drawn: smoothed where that was asked for."""
        if self.timeline is None or not self.smooth_box.isChecked():
            return self.timeline
        return smooth(self.timeline, WINDOW)

    def draw(self, *_: Any) -> None:
        """Draw the heatmap."""
        shown = self.shown
        if shown is None:
            return
        known = {name: QColor(colour).getRgb() for name, colour in self._colours.items()}
        palette = [known.get(name, UNKNOWN_RGBA) for name in shown.classes]
        rgba = np.asarray([*palette, ABSENT], np.uint8)[shown.codes]
        self.picture.setImage(rgba, autoLevels=False, levels=(0, 255))
        self.picture.setPos(-0.5, -0.5)

    def set_frame(self, frame: int) -> None:
        """Put the cursor on a frame."""
        self.frame_line.setPos(frame)

    def _clicked(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.timeline is not None:
            point = self.plot.getViewBox().mapSceneToView(event.scenePos())
            frame = round(point.x())
            if 0 <= frame < self.timeline.codes.shape[1]:
                self.frame_chosen.emit(frame)
