"""Which image is clicked on, which labels are edited, and new labels that lie on the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QWidget

from napari_biofm.controllers.common.layers import is_helper, layer_id, layer_shape, placing_of
from napari_biofm.widgets.common.buttons import push_button

NO_IMAGE = "(none: open an image)"
NO_LABELS = "(none: press New)"
SHORTEST = 12  # characters a box shows at least: long names must not widen the dock


class LayerChoice(QWidget):
    """Two boxes that follow the viewer's layers; helper layers are left out.

    Parameters
    ----------
    viewer : the viewer.
    tell : shows a message.
    """

    chosen = Signal()

    def __init__(self, viewer: Any, tell: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._tell = tell
        self.image = short_box("The image that is clicked on.")
        self.labels = short_box("The labels that are edited, whoever made them.")
        self.new_button = push_button("New", "Make an empty labels layer on the image.")
        row = QHBoxLayout()
        row.addWidget(self.labels, 1)
        row.addWidget(self.new_button)
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.addRow("Image", self.image)
        self.form.addRow("Labels", row)
        self.image.activated.connect(lambda _: self.chosen.emit())
        self.labels.activated.connect(lambda _: self.chosen.emit())
        self.new_button.clicked.connect(self.new_labels)

    def refresh(self, _event: Any = None) -> None:
        """Offer the layers there are; what was chosen stays so."""
        layers = [x for x in self._viewer.layers if not is_helper(x)]
        for box, kind, nothing in ((self.image, Image, NO_IMAGE), (self.labels, Labels, NO_LABELS)):
            before = box.currentData()
            box.blockSignals(True)
            box.clear()
            for layer in reversed(layers):
                if isinstance(layer, kind):
                    box.addItem(layer.name, layer_id(layer))
            if not box.count():
                box.addItem(nothing, None)
            box.setCurrentIndex(max(0, box.findData(before)))
            box.blockSignals(False)
        self.chosen.emit()

    def layer(self, box: QComboBox) -> Any:
        """Return the layer chosen in a box, or None."""
        uid = box.currentData()
        return next((x for x in self._viewer.layers if uid and layer_id(x) == uid), None)

    def choose(self, image: Any, labels: Any) -> None:
        """Put these layers in play; None leaves a box as it is."""
        for box, layer in ((self.image, image), (self.labels, labels)):
            if layer is not None:
                box.setCurrentIndex(max(0, box.findData(layer_id(layer))))
        self.chosen.emit()

    def new_labels(self) -> Any:
        """Add an empty labels layer that lies on the image, and put it in play."""
        image = self.layer(self.image)
        if image is None:
            self._tell("Open an image first.")
            return None
        layer = self._viewer.add_labels(
            np.zeros(layer_shape(image), np.int32),
            name=f"{image.name} labels",
            **placing_of(image),
        )
        self.choose(image, layer)
        return layer


class ListBox(QComboBox):
    """A box that tells before its list is shown, so that entries may be added."""

    about_to_open = Signal()

    def showPopup(self) -> None:
        """Tell, then show the list."""
        self.about_to_open.emit()
        super().showPopup()


def short_box(tip: str) -> ListBox:
    """Return a box whose width does not follow its longest entry."""
    box = ListBox()
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(SHORTEST)
    return box
