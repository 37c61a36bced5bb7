"""Walk through a folder of images: edit, next; the images ahead are prepared in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.controllers.annotate.annotator import Annotator
from napari_biofm.controllers.common.ports import TellError
from napari_biofm.images.io.series import Series, read_image
from napari_biofm.types import BiofmError
from napari_biofm.widgets.annotate.prefetch import Prefetch
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.forms import note, words
from napari_biofm.widgets.common.viewers import layer_id

NO_SERIES, FIRST = "Off: open a folder of images first.", "Off: this is the first image."
HOW = "Choose a folder of images. Labels are kept in the folder 'labels' beside them, with the progress."


class SeriesPanel(QWidget):
    """Which image of the series is open, how many are done, and what is prepared.

    Parameters
    ----------
    annotator : whose viewer shows the images.
    choose : puts an image layer and a labels layer in play.
    tell_error : shows what cannot be read or written.
    """

    def __init__(
        self, annotator: Annotator, *, choose: Callable[[Any, Any], None], tell_error: TellError
    ) -> None:
        super().__init__()
        self._annotator = annotator
        self._choose_layers = choose
        self._tell_error = tell_error
        self.series: Series | None = None
        self.number = -1
        self._layers: list[Any] = []
        self.open_button = push_button(
            "Open folder ...", "Begin a series, or go on at the first image that is not done."
        )
        self.open_button.clicked.connect(self._choose)
        self.next_button = push_button(
            "Save and next", "Write the labels, mark the image as done, open the next that is not."
        )
        self.next_button.clicked.connect(self.save_and_next)
        self.previous_button = push_button("Previous", "Open the image before, with its labels.")
        self.previous_button.clicked.connect(lambda: self.show_image(max(0, self.number - 1)))
        self.about = note(HOW)
        self.bar = QProgressBar()
        self.ahead = QCheckBox("Prepare the images ahead in the background")
        self.ahead.setToolTip(
            "Runs the network of 'Clicks by' over the images that are not done, and keeps the result on disk."
        )
        self.ahead.setChecked(True)
        self.ahead.toggled.connect(self.prepare_ahead)
        self.prepared = words()
        self.prefetch = Prefetch(annotator.session, annotator.predictor, tell_error, self)
        self.prefetch.changed.connect(self._show_prepared)
        row = QHBoxLayout()
        for button in (self.open_button, self.previous_button, self.next_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        for part in (self.about, self.bar, self.ahead, self.prepared):
            layout.addWidget(part)
        layout.addStretch(1)
        self._update()

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of images")
        if folder:
            self.open_folder(folder)

    def open_folder(self, folder: str | Path) -> None:
        """Begin (or go on with) the series in a folder, at the first image that is not done."""
        try:
            self.series = Series(folder)
        except BiofmError as error:
            self._tell_error(error)
            return
        self.prefetch.forget()
        first = self.series.next_open()
        self.show_image(0 if first is None else first)

    def show_image(self, number: int) -> None:
        """Open an image of the series, with the labels made before, and close the one before it."""
        if self.series is None:
            return
        try:
            entry = self.series.entry(number)
            image, labels = read_image(entry.path), self.series.load_labels(number)
        except BiofmError as error:
            self._tell_error(error)
            return
        viewer = self._annotator.viewer
        self._annotator.clear()
        former = [layer for layer in self._layers if layer in viewer.layers]
        is_rgb = image.ndim == 3 and image.shape[-1] in (3, 4)
        shown = viewer.add_image(image, name=entry.name, rgb=is_rgb)
        shape = image.shape[:-1] if is_rgb else image.shape
        data = labels if labels is not None else np.zeros(shape, np.int32)
        made = viewer.add_labels(data, name=f"{entry.name} labels")
        self._layers, self.number = [shown, made], number
        if image.ndim == 2 or is_rgb:
            self._annotator.predictor.known_as = {layer_id(shown): str(entry.path)}
        self._choose_layers(shown, made)
        for layer in former:
            viewer.layers.remove(layer)
        self.prepare_ahead()
        self._update()

    def save_and_next(self) -> None:
        """Write the labels, mark the image as done, and open the next one that is not."""
        if self.series is None or self.number < 0 or self._layers[1] not in self._annotator.viewer.layers:
            self._annotator.say("Open a folder of images first.")
            return
        try:
            self.series.save_labels(self.number, self._layers[1].data)
        except OSError as error:
            self._tell_error(error)
            return
        following = self.series.next_open(self.number)
        self._update()
        if following is None:
            self._annotator.say("All images of the series are done.")
            return
        self.show_image(following)

    def prepare_ahead(self, *_: Any) -> None:
        """Prepare the images that are not done, beginning behind the one that is open; or stop."""
        if self.series is None or self._annotator.predictor.is_local or not self.ahead.isChecked():
            self.prefetch.stop()
            self._show_prepared()
            return
        n = len(self.series)
        order = [(self.number + k) % n for k in range(1, n)]
        waiting = [self.series.entry(k) for k in order]
        self.prefetch.begin([str(e.path) for e in waiting if not e.done])

    def backend_changed(self) -> None:
        """Begin anew: another network prepares in another way."""
        self.prefetch.forget()
        self.prepare_ahead()

    def _show_prepared(self) -> None:
        self.prepared.setText(self.prefetch.text)

    def _update(self) -> None:
        is_open = self.series is not None
        self.bar.setVisible(is_open)
        self.ahead.setVisible(is_open)
        enable(self.next_button, is_open, NO_SERIES)
        enable(self.previous_button, is_open and self.number > 0, FIRST if is_open else NO_SERIES)
        if self.series is None:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
            return
        self.bar.setRange(0, len(self.series))
        self.bar.setValue(self.series.n_done)
        self.bar.setFormat(f"{self.series.n_done} of {len(self.series)} done")
        self.about.setText(
            f"{self.series.entry(self.number).path.name} ({self.number + 1} of {len(self.series)})"
        )
