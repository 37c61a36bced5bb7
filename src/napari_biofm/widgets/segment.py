"""The Segment dock: choose an image and a model, get instance masks, features and one vector per cell."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox, Container, FloatSpinBox, PushButton, SpinBox, create_widget
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_biofm.images.catalogue import DEFAULT_MODEL, FAMILIES, segment
from napari_biofm.types import Segmentation, SegmentationParameters
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.pixels import MEAN, SHOWN, plane_of, spatial_placing
from napari_biofm.widgets.viewers import layer_by_id, layer_id


class SegmentDock(Dock):
    """Image layer -> Labels layer, with the flows, features and provenance of the same pass."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.image = create_widget(
            annotation="napari.layers.Image",
            name="image",
            label="Image",
            options={"tooltip": "The image layer to segment."},
        )
        self.model = ComboBox(
            label="Model",
            choices=[(family.title, name) for name, family in FAMILIES.items()],
            value=DEFAULT_MODEL,
            tooltip="The method that finds the cells.",
        )
        self.pixels = ComboBox(
            label="Pixels",
            choices=[SHOWN, MEAN],
            tooltip="Of a movie or stack: the plane you see, or the mean over its first axis.",
        )
        self.diameter = FloatSpinBox(
            label="Diameter (px)",
            value=0,
            min=0,
            max=2000,
            step=1,
            tooltip="Mean cell diameter in pixels; 0 lets the model estimate it.",
        )
        self.cell_prob = FloatSpinBox(
            label="Cell probability",
            value=0,
            min=-6,
            max=6,
            step=0.5,
            tooltip="Logit above which a pixel belongs to a cell: lower finds more and larger cells.",
        )
        self.min_size = SpinBox(
            label="Smallest (px)",
            value=15,
            min=0,
            max=100_000,
            tooltip="Objects with fewer pixels are dropped.",
        )
        self.run_button = PushButton(text="Segment", tooltip="Find the cells in the chosen image.")
        form = Container(
            widgets=[
                self.image,
                self.model,
                self.pixels,
                self.diameter,
                self.cell_prob,
                self.min_size,
                self.run_button,
            ],
            labels=True,
        )
        self.about_model = QLabel(wordWrap=True)
        self.result = QLabel("Open an image, then press Segment.", wordWrap=True)
        layout = QVBoxLayout(self)
        layout.addWidget(form.native)
        layout.addWidget(self.about_model)
        layout.addWidget(self.job_bar)
        layout.addWidget(self.result)
        layout.addStretch(1)
        self._form = form
        self.model.changed.connect(self._describe_model)
        self.run_button.changed.connect(self.segment)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            self.listen(event, self._layers_changed)
        self._describe_model()
        self._layers_changed()

    @property
    def parameters(self) -> SegmentationParameters:
        """What the form says."""
        return SegmentationParameters(
            diameter=self.diameter.value or None,
            cellprob_threshold=self.cell_prob.value,
            min_size=self.min_size.value,
        )

    def segment(self) -> None:
        """Start the job for the chosen layer; the result comes back to that layer, whatever is chosen then."""
        layer = self.image.value
        if layer is None:
            self.tell("Open an image first: drag a file onto the canvas, or File > Open Sample.")
            return
        try:
            pixels = plane_of(self.viewer, layer, self.pixels.value)
        except Exception as error:  # lazy arrays read here, with whatever their files do
            self.tell_error(error)
            return
        uid = layer_id(layer)
        self.run_button.enabled = False
        self.result.setText(f"Segmenting '{layer.name}' ...")
        self.run(
            segment,
            pixels,
            self.model.value,
            self.parameters,
            name=f"Segment '{layer.name}'",
            bound_to=uid,
            on_done=lambda result: self._show(uid, result),
            on_end=self._job_ended,
        )

    def _show(self, image_uid: str, result: Segmentation) -> None:
        layer = layer_by_id(self.viewer, image_uid)
        if layer is None:
            self.result.setText("The image was removed while it was being segmented; its masks were dropped.")
            return
        labels = self.viewer.add_labels(
            result.masks,
            name=f"{layer.name} cells",
            metadata={"biofm": dict(result.provenance)},
            **spatial_placing(layer),
        )
        uid = layer_id(labels)
        self.session.set_segmentation(uid, result)
        self.session.set_layers(image=image_uid, labels=uid)
        count = int(result.masks.max())
        size = f", median diameter {result.diameter:.0f} px" if result.diameter else ""
        self.result.setText(
            f"{count} cells in '{layer.name}'{size}."
            if count
            else f"No cells found in '{layer.name}'. Try another model, a diameter, or a lower cell probability."
        )

    def _job_ended(self) -> None:
        self.run_button.enabled = True
        if self.result.text().endswith("..."):
            self.result.setText("Nothing was changed.")

    def _describe_model(self) -> None:
        self.about_model.setText(FAMILIES[self.model.value].good_for)

    def _layers_changed(self, event: Any = None) -> None:
        self.image.reset_choices()
