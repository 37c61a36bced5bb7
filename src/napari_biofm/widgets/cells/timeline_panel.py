"""Classes over time, one row per track: click a frame to go there; smoothed only when asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_biofm.cells.tracks import Timeline, smooth

WINDOW = 3  # frames
ABSENT = (0, 0, 0, 0)
UNKNOWN_RGBA = (107, 107, 107, 255)


class TimelinePanel(QWidget):
    """Heatmap of track x frame, in the colours of the classes."""

    frame_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("Classify movie")
        self.button.setToolTip(
            "Link the masks of all frames by overlap, and classify every cell in every frame with what was "
            "learnt on the frame that was measured."
        )
        self.smooth_box = QCheckBox("Smooth")
        self.smooth_box.setToolTip(
            f"Show the most frequent class of {WINDOW} frames. Short states such as metaphase can vanish."
        )
        self.words = QLabel("For Labels layers with time as first axis.")
        self.words.setWordWrap(True)
        self.plot = pg.PlotWidget()
        self.plot.setBackground(None)
        self.plot.setLabel("bottom", "frame")
        self.plot.setLabel("left", "track")
        self.plot.setMinimumHeight(120)
        self.plot.setMouseEnabled(y=False)
        self.picture = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.picture)
        self.cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen("#ffffff", width=1))
        self.plot.addItem(self.cursor)
        row = QHBoxLayout()
        for widget in (self.button, self.smooth_box):
            row.addWidget(widget)
        row.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        self.timeline: Timeline | None = None
        self._colours: dict[str, str] = {}
        self.smooth_box.toggled.connect(self.draw)
        self.plot.scene().sigMouseClicked.connect(self._clicked)

    def show_timeline(self, timeline: Timeline, colours: dict[str, str]) -> None:
        """Show classes over time."""
        self.timeline, self._colours = timeline, colours
        n, frames = timeline.codes.shape
        self.words.setText(f"{n} tracks in {frames} frames.")
        self.draw()
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
        self.cursor.setPos(frame)

    def _clicked(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.timeline is not None:
            point = self.plot.getViewBox().mapSceneToView(event.scenePos())
            frame = round(point.x())
            if 0 <= frame < self.timeline.codes.shape[1]:
                self.frame_chosen.emit(frame)
