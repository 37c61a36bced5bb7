"""A tick that shows other movies of the clock in step, and which frame of each is due."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_biofm.canvas.in_step import MoviesInStep
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.in_step import KEPT
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.timeline.panel import Host


class InStepRow(QWidget):
    """Is there where another movie is open.

    Parameters
    ----------
    host : whose signals it hears.
    controller : of the timeline.
    viewer : napari viewer, gets the layers.
    """

    def __init__(self, host: Host, controller: TimelineController, viewer: Any) -> None:
        super().__init__()
        self.movies = MoviesInStep(viewer, controller)
        self.box = QCheckBox("Other movies in step")
        self.box.setToolTip(
            "Show every other movie that is aligned to the same recording at the second of the cursor, by its own clock."
        )
        self.words = note()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.box)
        column.addWidget(self.words)
        self.box.toggled.connect(self._toggled)
        host.listen(controller.chosen, self.refresh)
        host.listen(controller.session.clocks_changed, self.refresh)
        host.listen(controller.session.time_changed, self._time_moved)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            host.listen(event, self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Follow movies, clocks and what is in play; a session that was saved in step opens in step."""
        others = self.movies.others.beside()
        self.setVisible(bool(others))
        if not self.box.isChecked() and any(
            one.metadata.get(KEPT) for one, _ in self.movies.others.in_step()
        ):
            self.box.setChecked(True)
            return
        self.movies.refresh()
        if not self.movies.on and self.box.isChecked():
            self.box.setChecked(False)  # the layer that was shown in step was removed by hand
        self._say()

    def _toggled(self, on: bool) -> None:
        self.movies.show(on)
        self._say()

    def _time_moved(self, seconds: float) -> None:
        if self.box.isChecked():
            self.movies.time_moved(seconds)
            self._say()

    def _say(self) -> None:
        self.words.setText(self.movies.said() if self.box.isChecked() else "")
