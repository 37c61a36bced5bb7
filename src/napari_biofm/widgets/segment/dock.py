"""The Segment dock: choose an image and a model, get instance masks, features and one vector per cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from magicgui.widgets import ComboBox, Container, FloatSpinBox, PushButton, create_widget
from qtpy.QtWidgets import QComboBox
from superqt import QCollapsible

from napari_biofm.controllers.common.layer_pixels import SHOWN
from napari_biofm.controllers.common.layers import full_data, layer_by_id
from napari_biofm.controllers.common.recipes import segmentation_steps
from napari_biofm.controllers.segment.controller import Request, SegmentController
from napari_biofm.controllers.segment.flows import recipe_of
from napari_biofm.controllers.segment.painter import Box
from napari_biofm.controllers.segment.pixels import STACKS, describe_large
from napari_biofm.controllers.segment.which_model import ModelComparer
from napari_biofm.images.io.projections import PROJECTIONS
from napari_biofm.images.segment.jobs import import_job
from napari_biofm.models import downloads
from napari_biofm.types import Segmentation, SegmentationParameters
from napari_biofm.widgets.common.buttons import enable
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.recipe_bar import RecipeBar
from napari_biofm.widgets.segment.channel_boxes import ChannelBoxes
from napari_biofm.widgets.segment.form import PercentileBoxes, ThresholdForm
from napari_biofm.widgets.segment.model_choice import ModelChooser
from napari_biofm.widgets.segment.preview import ThresholdPreview
from napari_biofm.widgets.segment.teach_panel import TeachPanel

DEVICES = ["auto", "cpu", "cuda", "mps"]


class SegmentDock(Dock):
    """Image layer -> Labels layer, with the flows, features and provenance of the same pass."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.controller = SegmentController(self.viewer, self.session, self.run, self.tell_error)
        self.comparer = ModelComparer(self.viewer, self.controller, self.run)
        self.chooser = ModelChooser()
        self.model = self.chooser.choice
        self._make_form()
        self.estimate = note()
        self.result = note("Open an image, then press Segment.")
        self.teach_panel = TeachPanel(
            self.viewer,
            self.session,
            run=self.run,
            tell=self.tell,
            image=lambda: self.image.value,
            device=lambda: self.device.value,
        )
        self.teaching = QCollapsible("Teach a model with corrected masks")
        self.teaching.addWidget(self.teach_panel)
        self.recipe = RecipeBar(
            lambda: segmentation_steps(self.viewer, self.session, self.session.labels or ""),
            self.tell,
            self.tell_error,
        )
        layout = self.scrolled_column()
        for widget in (
            self._form.native,
            self.chooser,
            self.run_button.native,
            self.estimate,
            self.job_bar,
            self.result,
            self._thresholds.native,
            self.recipe,
            self.teaching,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.preview = ThresholdPreview(self.viewer, self._ask_preview, self)
        self._connect()
        self._layers_changed()
        self._watch_labels()

    def _make_form(self) -> None:
        self.image = cast(
            "ComboBox",
            create_widget(
                annotation="napari.layers.Image",
                name="image",
                label="Image",
                options={"tooltip": "The image layer to segment."},
            ),
        )
        self._pixel_choices = [SHOWN, *PROJECTIONS.values()]
        self.pixels = ComboBox(
            label="Pixels",
            choices=lambda _: self._pixel_choices,
            tooltip="Of a movie or stack: the plane you see, a picture of its first axis (mean, variation, activity), or all of it.",
        )
        self.channels = ChannelBoxes()
        self.device = ComboBox(label="Device", choices=DEVICES, tooltip="Where the network runs.")
        self.diameter = FloatSpinBox(
            label="Diameter (px)",
            value=0,
            min=0,
            max=2000,
            step=1,
            tooltip="Mean cell diameter in pixels; 0 lets the model estimate it.",
        )
        self.normalise = PercentileBoxes()
        self.estimate_button = PushButton(
            text="Estimate", tooltip="Tell tiles, time and memory before anything is run."
        )
        self.which_button = PushButton(
            text="Which model?",
            tooltip="Run all models that are here on the part you see; outlines side by side, with scores of agreement.",
        )
        self.run_button = PushButton(text="Segment", tooltip="Find the cells in the chosen image.")
        self._form = Container(
            widgets=[
                self.image,
                self.pixels,
                self.channels.first,
                self.channels.second,
                self.model,
                self.device,
                self.diameter,
                self.normalise.container,
                self.estimate_button,
                self.which_button,
            ],
            labels=True,
        )
        boxes = self.image, self.model, self.pixels, self.channels.first, self.channels.second
        for box in boxes:  # long names do not make the dock wide
            box.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.native.setMinimumContentsLength(16)
        thresholds = ThresholdForm()
        self._thresholds = thresholds.container
        self.cell_prob, self.flow_threshold = thresholds.cell_prob, thresholds.flow_threshold
        self.min_size, self.apply_button = thresholds.min_size, thresholds.apply_button
        self.relative_size, self.least_contrast = thresholds.relative_size, thresholds.least_contrast
        self.load_button = thresholds.load_button

    def _connect(self) -> None:
        self.run_button.changed.connect(self.segment)
        self.estimate_button.changed.connect(self.tell_estimate)
        self.which_button.changed.connect(self.which_model)
        self.apply_button.changed.connect(self.apply_thresholds)
        self.image.changed.connect(self._image_changed)
        for widget in (self.cell_prob, self.flow_threshold, self.min_size, self.relative_size):
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
        self.listen(self.session.segmentation_changed, self.controller.write_provenance)
        self.listen(self.controller.result_changed, self._show_result)
        self.listen(self.controller.estimate_changed, self._show_estimate)
        self.listen(self.controller.running_changed, self._running_changed)

    @property
    def parameters(self) -> SegmentationParameters:
        """What the form says."""
        return SegmentationParameters(
            diameter=self.diameter.value or None,
            flow_threshold=self.flow_threshold.value,
            cellprob_threshold=self.cell_prob.value,
            min_size=self.min_size.value,
            relative_size=self.relative_size.value,
            least_contrast=self.least_contrast.value,
            normalise=self.normalise.value,
        )

    # ------------------------------------------------------------------ jobs

    @property
    def request(self) -> Request:
        """All that the form says."""
        return Request(
            self.image.value,
            self.pixels.value,
            self.chooser.value,
            self.parameters,
            self.device.value,
            self.channels.value,
        )

    def segment(self) -> None:
        """Start the job for the chosen layer; the result comes back to it, whatever is chosen then."""
        if self.image.value is None:
            self.tell("Open an image first: drag a file onto the canvas, or File > Open Sample.")
            return
        missing = self.chooser.what_is_missing()
        if missing:
            self.result.setText(f"{missing} Press Download, or choose another model.")
            self.tell(self.result.text())
            return
        self.preview.close()
        try:
            self.controller.segment(self.request)
        except Exception as error:  # noqa: BLE001 - lazy arrays are read here, with whatever their files do
            self.tell_error(error)

    def which_model(self) -> None:
        """Compare the models that are here on what is on the screen."""
        if self.image.value is None:
            self.tell("Open an image first: drag a file onto the canvas, or File > Open Sample.")
            return
        try:
            self.comparer.compare(self.request)
        except Exception as error:  # noqa: BLE001 - lazy arrays are read here, with whatever their files do
            self.tell_error(error)

    def tell_estimate(self) -> None:
        """Ask what the job would take, without running it."""
        missing = self.chooser.what_is_missing()
        if self.image.value is None or missing:
            self.estimate.setText(missing or "Open an image first.")
        else:
            self.controller.estimate(self.request)

    def download(self, name: str) -> None:
        """Fetch the weights of a registered model."""
        self.run(
            downloads.download,
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
        self.preview.close()
        self.controller.apply_thresholds(self.parameters, self.device.value)

    def load_flows(self) -> None:
        """Get the flows of the labels in play again; their masks stay as they are."""
        self.controller.load_flows(self.device.value)

    def _ask_preview(self, part: Segmentation, box: Box) -> None:
        self.controller.preview(
            part, self.parameters, self.device.value, lambda masks: self.preview.show(masks, box)
        )

    # ------------------------------------------------------------------ layers

    def _watch_labels(self, *_: Any) -> None:
        """Offer new thresholds for the labels in play, where their flows were kept."""
        uid = self.session.labels
        layer = layer_by_id(self.viewer, uid)
        found = self.session.segmentation(uid) if uid else None
        kept = layer is not None and found is not None and found.flows is not None
        can_load = not kept and recipe_of(self.viewer, self.session) is not None
        why = "Off: the flows are here." if kept else "Off: these masks do not say how they were made."
        enable(self.apply_button.native, kept, "Off: segment an image first, or load the flows of its masks.")
        enable(self.load_button.native, can_load, why)
        if kept and found is not None:
            self.preview.watch(layer, found)

    def _show_result(self, text: str) -> None:
        self.result.setText(text)

    def _show_estimate(self, text: str) -> None:
        self.estimate.setText(text)

    def _running_changed(self, is_running: bool) -> None:
        for one in (self.run_button, self.which_button):
            enable(one.native, not is_running)

    def _layers_changed(self, event: Any = None) -> None:
        self.image.reset_choices()
        self._image_changed()

    def _image_changed(self, *_: Any) -> None:
        """Offer the whole stack only where there is one."""
        layer = self.image.value
        leading = 0 if layer is None else full_data(layer).ndim - (3 if layer.rgb else 2)
        self._pixel_choices = [SHOWN, *PROJECTIONS.values(), *(STACKS if leading == 1 else ())]
        self.pixels.reset_choices()
        self.channels.refresh(layer, self.image.choices)
        self._tell_size()

    def _tell_size(self, *_: Any) -> None:
        """Say before the start that a large image goes in parts."""
        text = describe_large(self.viewer, self.image.value, self.pixels.value)
        if text or self.estimate.text().startswith("Large image"):  # an estimate that was asked for stays
            self.estimate.setText(text)
