"""The Segment dock: choose an image and a model, get instance masks, features and one vector per cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Container, FloatSpinBox, PushButton, create_widget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QScrollArea, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_biofm.actions import ReplaceMasks
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.segment.jobs import (
    estimate_job,
    import_job,
    remask_job,
    segment_job,
    segment_large_job,
)
from napari_biofm.images.tiling.large_images import LargeResult
from napari_biofm.models import store
from napari_biofm.types import Labels, Progress, Segmentation, SegmentationParameters, SessionError
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.layer_pixels import MEAN, SHOWN, SPREAD, spatial_placing
from napari_biofm.widgets.common.layers import full_data, layer_by_id, layer_id
from napari_biofm.widgets.segment.flows import describe_loaded, recipe_of
from napari_biofm.widgets.segment.form import ThresholdForm
from napari_biofm.widgets.segment.model_choice import ModelChooser
from napari_biofm.widgets.segment.pixels import (
    STACKS,
    data_of,
    describe_large,
    pixels_of,
    plane_shape,
    whole_placing,
)
from napari_biofm.widgets.segment.preview import ThresholdPreview, TilePainter, visible_box
from napari_biofm.widgets.segment.teach_panel import TeachPanel

DEVICES = ["auto", "cpu", "cuda", "mps"]


class SegmentDock(Dock):
    """Image layer -> Labels layer, with the flows, features and provenance of the same pass."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.chooser = ModelChooser()
        self.model = self.chooser.choice
        self._make_form()
        self.estimate = QLabel(wordWrap=True)
        self.result = QLabel("Open an image, then press Segment.", wordWrap=True)
        self.teach_panel = TeachPanel(self)
        self.teaching = QCollapsible("Teach Cellpose-SAM with corrected masks")
        self.teaching.addWidget(self.teach_panel)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 4, 0)
        for widget in (
            self._form.native,
            self.chooser,
            self.run_button.native,
            self.estimate,
            self.job_bar,
            self.result,
            self._thresholds.native,
            self.teaching,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        scroll = QScrollArea(widgetResizable=True, frameShape=QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        QVBoxLayout(self).addWidget(scroll)
        self.preview = ThresholdPreview(self.viewer, self._ask_preview, self)
        self._painter: TilePainter | None = None
        self._connect()
        self._layers_changed()
        self._watch_labels()

    def _make_form(self) -> None:
        self.image = create_widget(
            annotation="napari.layers.Image",
            name="image",
            label="Image",
            options={"tooltip": "The image layer to segment."},
        )
        self._pixel_choices = [SHOWN, MEAN, SPREAD]
        self.pixels = ComboBox(
            label="Pixels",
            choices=lambda _: self._pixel_choices,
            tooltip="Of a movie or stack: the plane you see, the mean over its first axis, or all of it.",
        )
        self.device = ComboBox(label="Device", choices=DEVICES, tooltip="Where the network runs.")
        self.diameter = FloatSpinBox(
            label="Diameter (px)",
            value=0,
            min=0,
            max=2000,
            step=1,
            tooltip="Mean cell diameter in pixels; 0 lets the model estimate it.",
        )
        self.estimate_button = PushButton(
            text="Estimate", tooltip="Tell tiles, time and memory before anything is run."
        )
        self.run_button = PushButton(text="Segment", tooltip="Find the cells in the chosen image.")
        self._form = Container(
            widgets=[self.image, self.pixels, self.model, self.device, self.diameter, self.estimate_button],
            labels=True,
        )
        for box in (self.image, self.model, self.pixels):  # long names do not make the dock wide
            box.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.native.setMinimumContentsLength(16)
        thresholds = ThresholdForm()
        self._thresholds = thresholds.container
        self.cell_prob, self.flow_threshold = thresholds.cell_prob, thresholds.flow_threshold
        self.min_size, self.apply_button = thresholds.min_size, thresholds.apply_button
        self.load_button = thresholds.load_button

    def _connect(self) -> None:
        self.run_button.changed.connect(self.segment)
        self.estimate_button.changed.connect(self.tell_estimate)
        self.apply_button.changed.connect(self.apply_thresholds)
        self.image.changed.connect(self._image_changed)
        for widget in (self.cell_prob, self.flow_threshold, self.min_size):
            widget.changed.connect(lambda _: self.preview.touch())
        self.chooser.download_asked.connect(self.download)
        self.chooser.import_asked.connect(self.import_weights)
        self.teach_panel.taught.connect(self._models_changed)
        self.load_button.changed.connect(self.load_flows)
        self.pixels.changed.connect(self._tell_size)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            self.listen(event, self._layers_changed)
        self.listen(self.session.layers_changed, self._watch_labels)
        self.listen(self.session.segmentation_changed, self._watch_labels)
        self.listen(self.session.segmentation_changed, self._segmentation_changed)

    @property
    def parameters(self) -> SegmentationParameters:
        """What the form says."""
        return SegmentationParameters(
            diameter=self.diameter.value or None,
            flow_threshold=self.flow_threshold.value,
            cellprob_threshold=self.cell_prob.value,
            min_size=self.min_size.value,
        )

    # ------------------------------------------------------------------ jobs

    def segment(self) -> None:
        """Start the job for the chosen layer; the result comes back to it, whatever is chosen then."""
        layer = self.image.value
        if layer is None:
            self.tell("Open an image first: drag a file onto the canvas, or File > Open Sample.")
            return
        missing = self.chooser.what_is_missing()
        if missing:
            self.result.setText(f"{missing} Press Download, or choose another model.")
            self.tell(self.result.text())
            return
        try:
            pixels, stack = pixels_of(self.viewer, layer, self.pixels.value)
        except Exception as error:  # lazy arrays read here, with whatever their files do
            self.tell_error(error)
            return
        uid, model = layer_id(layer), self.chooser.value
        self.preview.close()
        self.run_button.enabled = False
        self.result.setText(f"Segmenting '{layer.name}' ...")
        if isinstance(pixels, LazyImage):
            self.run(
                segment_large_job,
                pixels,
                model,
                self.parameters,
                self.device.value,
                stack,
                name=f"Segment '{layer.name}'",
                bound_to=uid,
                on_step=self._step,
                on_done=lambda result: self._show(uid, model, result),
                on_end=self._job_ended,
            )
            return
        self.estimate.clear()
        self._painter = TilePainter(self.viewer, layer, plane_shape(layer), spatial_placing(layer))
        self.run(
            segment_job,
            pixels,
            model,
            self.parameters,
            self.device.value,
            stack,
            visible_box(self.viewer, layer),
            name=f"Segment '{layer.name}'",
            bound_to=uid,
            on_step=self._step,
            on_done=lambda result: self._show(uid, model, result),
            on_end=self._job_ended,
        )

    def tell_estimate(self) -> None:
        """Ask what the job would take, without running it."""
        layer = self.image.value
        missing = self.chooser.what_is_missing()
        if layer is None or missing:
            self.estimate.setText(missing or "Open an image first.")
            return
        planes = data_of(layer).shape[0] if self.pixels.value in STACKS else 1
        self.estimate.setText("Measuring one block of the network ...")
        self.run(
            estimate_job,
            self.chooser.value,
            plane_shape(layer),
            planes,
            self.parameters,
            self.device.value,
            name="Estimate",
            on_done=lambda text: self.estimate.setText(
                text or "This model takes moments; no estimate needed."
            ),
        )

    def download(self, name: str) -> None:
        """Fetch the weights of a registered model."""
        self.run(
            store.download,
            name,
            name=f"Download {name}",
            on_done=lambda path: self.tell(f"{name} is here: {path}"),
            on_end=self._models_changed,
        )

    def import_weights(self, path: str) -> None:
        """Take the user's own weights, and choose them."""
        self.run(import_job, Path(path), name="Import weights", on_done=self._models_changed)

    def _models_changed(self, chosen: str | None = None) -> None:
        self.chooser.refresh(chosen)
        self.teach_panel.refresh()

    def apply_thresholds(self) -> None:
        """Make all masks of the layer in play again with the thresholds of the form."""
        uid = self.session.labels
        found = self.session.segmentation(uid) if uid else None
        layer = layer_by_id(self.viewer, uid)
        if uid is None or found is None or layer is None:
            return
        parameters = self.parameters
        self.run(
            remask_job,
            replace(found, masks=np.asarray(layer.data, np.int32), features=None),
            parameters,
            self._model_of(found),
            self.device.value,
            name=f"New masks for '{layer.name}'",
            lane="interactive",
            bound_to=uid,
            on_done=lambda masks: self._replace_masks(uid, found, masks, parameters),
        )

    def load_flows(self) -> None:
        """Get the flows of the labels in play again; their masks stay as they are."""
        uid, recipe = self.session.labels, recipe_of(self.viewer, self.session)
        layer = layer_by_id(self.viewer, uid)
        if layer is None or recipe is None:
            return

        def done(found: Segmentation) -> None:
            if found.flows is None or found.masks.shape != np.shape(layer.data):
                self.result.setText(f"'{recipe.model}' gives no flows for the masks of '{layer.name}'.")
                return
            made = {**found.provenance, "choice": recipe.model}
            masks = np.asarray(layer.data, np.int32)
            self.session.set_segmentation(uid, replace(found, masks=masks, provenance=made))
            self.result.setText(describe_loaded(found))

        self.run(
            segment_job,
            recipe.pixels(self.viewer),
            recipe.model,
            recipe.parameters,
            self.device.value,
            recipe.stack,
            name=f"Load flows of '{layer.name}'",
            bound_to=uid,
            on_done=done,
        )

    def _ask_preview(self, part: Segmentation, box: tuple[int, int, int, int]) -> None:
        self.run(
            remask_job,
            part,
            self.parameters,
            self._model_of(part),
            self.device.value,
            name="Preview",
            lane="interactive",
            on_done=lambda masks: self.preview.show(masks, box),
        )

    # ------------------------------------------------------------------ what comes back

    def _step(self, progress: Progress) -> None:
        if " tiles, " in progress.message:
            self.estimate.setText(progress.message)
        if self._painter is not None and hasattr(progress.payload, "cell_prob"):
            self._painter.paint(progress.payload)

    def _show(self, image_uid: str, model: str, found: Segmentation | LargeResult) -> None:
        layer = layer_by_id(self.viewer, image_uid)
        if layer is None:
            self.result.setText("The image was removed while it was being segmented; its masks were dropped.")
            return
        count = None
        if isinstance(found, LargeResult):
            count = found.objects
            found = Segmentation(found.labels(), diameter=found.diameter, provenance=found.provenance)
        result = replace(found, provenance={**found.provenance, "choice": model})
        flat = result.masks.ndim == 2
        labels = self.viewer.add_labels(
            result.masks,
            name=f"{layer.name} cells",
            metadata={"biofm": dict(result.provenance)},
            **(spatial_placing(layer) if flat else whole_placing(layer)),
        )
        uid = layer_id(labels)
        self.session.set_segmentation(uid, result)
        self.session.set_layers(image=image_uid, labels=uid)
        self._tell_count(layer.name, result, count)

    def _tell_count(self, name: str, result: Segmentation, count: int | None = None) -> None:
        if count is None:
            count = len(np.unique(result.masks[result.masks > 0]))
        size = f", median diameter {result.diameter:.0f} px" if result.diameter else ""
        self.result.setText(
            f"{count} cells in '{name}'{size}."
            if count
            else f"No cells found in '{name}'. Try another model, a diameter, or a lower cell probability."
        )

    def _replace_masks(
        self, uid: str, found: Segmentation, masks: Labels, parameters: SegmentationParameters
    ) -> None:
        layer = layer_by_id(self.viewer, uid)
        if layer is None:
            return
        used = {**found.provenance, "parameters": vars(parameters), "remasked": True}
        self.preview.close()
        try:
            now = np.asarray(full_data(layer))
            edit = LabelsEdit.whole(uid, "New thresholds", now, masks, {"parameters": vars(parameters)})
            self.session.do(ReplaceMasks(edit, dict(found.provenance), used))
        except SessionError as error:
            self.tell_error(error)
            return
        self._tell_count(layer.name, replace(found, masks=masks, provenance=used))

    def _segmentation_changed(self, uid: str) -> None:
        """Write into the layer how its masks were made, also after an undo."""
        layer, found = layer_by_id(self.viewer, uid), self.session.segmentation(uid)
        if layer is not None and found is not None:
            layer.metadata = {**layer.metadata, "biofm": dict(found.provenance)}

    def _job_ended(self) -> None:
        self.run_button.enabled = True
        if self._painter is not None:
            self._painter.close()
            self._painter = None
        if self.result.text().endswith("..."):
            self.result.setText("Nothing was changed.")

    # ------------------------------------------------------------------ layers

    def _model_of(self, segmentation: Segmentation) -> str:
        return str(segmentation.provenance.get("choice") or segmentation.provenance.get("model", ""))

    def _watch_labels(self, *_: Any) -> None:
        """Offer new thresholds for the labels in play, where their flows were kept."""
        uid = self.session.labels
        layer = layer_by_id(self.viewer, uid)
        found = self.session.segmentation(uid) if uid else None
        kept = layer is not None and found is not None and found.flows is not None
        self.apply_button.enabled = kept
        self.load_button.enabled = not kept and recipe_of(self.viewer, self.session) is not None
        if kept and found is not None:
            self.preview.watch(layer, found)

    def _layers_changed(self, event: Any = None) -> None:
        self.image.reset_choices()
        self._image_changed()

    def _image_changed(self, *_: Any) -> None:
        """Offer the whole stack only where there is one."""
        layer = self.image.value
        leading = 0 if layer is None else data_of(layer).ndim - (3 if layer.rgb else 2)
        self._pixel_choices = [SHOWN, MEAN, SPREAD, *(STACKS if leading == 1 else ())]
        self.pixels.reset_choices()
        self._tell_size()

    def _tell_size(self, *_: Any) -> None:
        """Say before the start that a large image goes in parts."""
        text = describe_large(self.viewer, self.image.value, self.pixels.value)
        if text or self.estimate.text().startswith("Large image"):  # an estimate that was asked for stays
            self.estimate.setText(text)
