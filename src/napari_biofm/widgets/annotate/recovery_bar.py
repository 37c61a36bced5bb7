"""Offers the edits that a killed napari left behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_biofm.types import BiofmError
from napari_biofm.widgets.annotate.autosave import recover_layer, unsaved


class RecoveryBar(QWidget):
    """Hidden unless there is something to recover.

    Parameters
    ----------
    viewer : gets the recovered layer.
    folder : of all journals.
    tell_error : shows what cannot be read.
    """

    recovered = Signal(object)  # the layer

    def __init__(self, viewer: Any, folder: Path, tell_error: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._folder = folder
        self._tell_error = tell_error
        self.text = QLabel(wordWrap=True)
        self.recover_button = QPushButton("Recover")
        self.recover_button.setToolTip("Add these labels to the viewer, with every edit.")
        self.forget_button = QPushButton("Forget")
        self.forget_button.setToolTip("Delete what was kept of them.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addWidget(self.recover_button)
        row.addWidget(self.forget_button)
        self.recover_button.clicked.connect(self.recover)
        self.forget_button.clicked.connect(self.forget)
        self.offer()

    def offer(self) -> None:
        """Show what there is to recover, or nothing."""
        found = unsaved(self._folder)
        self.setVisible(bool(found))
        if found:
            name = found[0].about.get("name", "labels")
            self.text.setText(f"napari ended without closing. Edits of '{name}' are kept.")

    def recover(self) -> Any:
        """Add the labels of the window that was killed, with every edit, and work on them."""
        found = unsaved(self._folder)
        if not found:
            self.hide()
            return None
        try:
            layer = recover_layer(self._viewer, found[0].folder)
        except BiofmError as error:
            self._tell_error(error)
            return None
        self.recovered.emit(layer)
        shutil.rmtree(found[0].folder, ignore_errors=True)
        self.offer()
        return layer

    def forget(self) -> None:
        """Remove what the killed window left."""
        for found in unsaved(self._folder)[:1]:
            shutil.rmtree(found.folder, ignore_errors=True)
        self.offer()
