"""Walk through a folder of images: edit, next; the images ahead are prepared in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_biofm.images.prompting import precompute_files
from napari_biofm.images.series import Series, read_image
from napari_biofm.types import BiofmError, Progress
from napari_biofm.widgets.annotate.annotator import Annotator
from napari_biofm.widgets.viewers import layer_id

AHEAD = 3  # images prepared ahead


class SeriesPanel(QWidget):
    """Which image of the series is open, how many are done, and what is prepared."""

    def __init__(self, dock: Any, annotator: Annotator) -> None:
        super().__init__()
        self._dock = dock
        self._annotator = annotator
        self.series: Series | None = None
        self.number = -1
        self._layers: list[Any] = []
        self.open_button = QPushButton("Open folder ...")
        self.open_button.clicked.connect(self._choose)
        self.next_button = QPushButton("Save and next")
        self.next_button.clicked.connect(self.save_and_next)
        self.previous_button = QPushButton("Previous")
        self.previous_button.clicked.connect(lambda: self.show_image(max(0, self.number - 1)))
        self.about = QLabel("Labels are kept in the folder 'labels' beside the images.", wordWrap=True)
        self.bar = QProgressBar()
        self.prepared = QLabel("")
        row = QHBoxLayout()
        for button in (self.open_button, self.previous_button, self.next_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.about)
        layout.addWidget(self.bar)
        layout.addWidget(self.prepared)
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
            self._dock.tell_error(error)
            return
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
            self._dock.tell_error(error)
            return
        viewer = self._dock.viewer
        self._annotator.clear()
        former = [layer for layer in self._layers if layer in viewer.layers]
        is_rgb = image.ndim == 3 and image.shape[-1] in (3, 4)
        shown = viewer.add_image(image, name=entry.path.stem, rgb=is_rgb)
        shape = image.shape[:-1] if is_rgb else image.shape
        data = labels.astype(np.int32) if labels is not None else np.zeros(shape, np.int32)
        made = viewer.add_labels(data, name=f"{entry.path.stem} labels")
        self._layers, self.number = [shown, made], number
        if image.ndim == 2 or is_rgb:
            self._annotator.broker.known_as = {layer_id(shown): str(entry.path)}
        self._dock.layers.choose(shown, made)
        for layer in former:
            viewer.layers.remove(layer)
        self._prepare_ahead()
        self._update()

    def save_and_next(self) -> None:
        """Write the labels, mark the image as done, and open the next one that is not."""
        if self.series is None or self.number < 0 or self._layers[1] not in self._dock.viewer.layers:
            self._annotator.say("Open a folder of images first.")
            return
        try:
            self.series.save_labels(self.number, self._layers[1].data)
        except OSError as error:
            self._dock.tell_error(error)
            return
        following = self.series.next_open(self.number)
        self._update()
        if following is None:
            self._annotator.say("All images of the series are done.")
            return
        self.show_image(following)

    def _prepare_ahead(self) -> None:
        broker = self._annotator.broker
        if self.series is None or broker.is_local:
            self.prepared.setText("")
            return
        ahead = [str(p) for p in self.series.paths[self.number + 1 : self.number + 1 + AHEAD]]
        if not ahead:
            return
        self._dock.session.engine.submit(
            precompute_files,
            ahead,
            broker.backend,
            broker.device,
            name="preparing the next images",
            bound_to=layer_id(self._layers[0]),
            on_progress=self._prepared,
        )

    def _prepared(self, progress: Progress) -> None:
        self.prepared.setText(f"prepared ahead: {progress.done} of {progress.total}")

    def _update(self) -> None:
        is_open = self.series is not None
        self.next_button.setEnabled(is_open)
        self.previous_button.setEnabled(is_open and self.number > 0)
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
