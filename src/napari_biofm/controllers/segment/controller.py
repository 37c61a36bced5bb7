"""What the Segment dock does: jobs in, masks and their provenance out. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from psygnal import Signal

from napari_biofm.actions import ReplaceMasks
from napari_biofm.controllers.common.layer_pixels import shown_step, spatial_placing
from napari_biofm.controllers.common.layers import full_data, layer_by_id, layer_id
from napari_biofm.controllers.common.ports import RunJob, TellError
from napari_biofm.controllers.common.recipes import made_from
from napari_biofm.controllers.segment.channels import Channels, channel_pixels, with_channels
from napari_biofm.controllers.segment.flows import describe_loaded, recipe_of
from napari_biofm.controllers.segment.painter import TilePainter, visible_box
from napari_biofm.controllers.segment.pixels import STACKS, pixels_of, plane_shape, whole_placing
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.left_out import describe
from napari_biofm.images.segment.jobs import estimate_job, remask_job, segment_job, segment_large_job
from napari_biofm.images.tiling.large_images import LargeResult
from napari_biofm.images.tiling.passes import TilePiece
from napari_biofm.session import Session
from napari_biofm.types import Labels, Progress, Segmentation, SegmentationParameters, SessionError


@dataclass(frozen=True)
class Request:
    """What the form says.

    Attributes
    ----------
    layer : Image layer to segment. pixels : which of its pixels, one of the words of the form.
    model : name in the catalogue. device : where the network runs.
    channels : of the layer, and a second one.
    """

    layer: Any
    pixels: str
    model: str
    parameters: SegmentationParameters
    device: str
    channels: Channels = field(default_factory=Channels)


class SegmentController:
    """Segments layers of a viewer, makes masks again with other thresholds, and fetches flows.

    Parameters
    ----------
    viewer : gets the labels layers.
    session : gets what belongs to them.
    run : carries the jobs.
    tell_error : shows what went wrong.
    """

    result_changed = Signal(str)  # the outcome, in words
    estimate_changed = Signal(str)  # what a job takes or is doing, in words
    running_changed = Signal(bool)  # whether a segmentation is under way

    def __init__(self, viewer: Any, session: Session, run: RunJob, tell_error: TellError) -> None:
        self._viewer = viewer
        self._session = session
        self._run = run
        self._tell_error = tell_error
        self._painter: TilePainter | None = None
        self._outcome = ""

    # ------------------------------------------------------------------ segmenting

    def segment(self, request: Request) -> None:
        """Start the job; the result comes to its layer, whatever is chosen then."""
        layer = request.layer
        chosen = request.channels != Channels()
        if chosen:
            pixels, stack = channel_pixels(self._viewer, layer, request.pixels, request.channels), None
        else:
            pixels, stack = pixels_of(self._viewer, layer, request.pixels)
        uid, source = layer_id(layer), made_from(layer, request.pixels, shown_step(self._viewer, layer))
        self.running_changed.emit(True)
        self._say(f"Segmenting '{layer.name}' ...")
        is_large = isinstance(pixels, LazyImage)
        job: tuple[Any, ...] = (pixels, request.model, request.parameters, request.device, stack)
        if not is_large:
            job = (*job, visible_box(self._viewer, layer), None if chosen else ())
            self.estimate_changed.emit("")
            self._painter = TilePainter(self._viewer, layer, plane_shape(layer), spatial_placing(layer))
        self._run(
            segment_large_job if is_large else segment_job,
            *job,
            name=f"Segment '{layer.name}'",
            bound_to=uid,
            on_step=self._step,
            on_done=lambda result: self._show(
                uid, request.model, with_channels(result, layer, request.channels), source
            ),
            on_end=self._ended,
        )

    def estimate(self, request: Request) -> None:
        """Ask what the job would take, without running it."""
        planes = full_data(request.layer).shape[0] if request.pixels in STACKS else 1
        self.estimate_changed.emit("Measuring one block of the network ...")
        self._run(
            estimate_job,
            request.model,
            plane_shape(request.layer),
            planes,
            request.parameters,
            request.device,
            name="Estimate",
            on_done=lambda text: self.estimate_changed.emit(
                text or "This model takes moments; no estimate needed."
            ),
        )

    def _step(self, progress: Progress) -> None:
        if " tiles, " in progress.message:
            self.estimate_changed.emit(progress.message)
        if self._painter is not None and isinstance(progress.payload, TilePiece):
            self._painter.paint(progress.payload)

    def _show(
        self, image_uid: str, model: str, result: Segmentation | LargeResult, source: dict[str, Any]
    ) -> None:
        layer = layer_by_id(self._viewer, image_uid)
        if layer is None:
            self._say("The image was removed while it was being segmented; its masks were dropped.")
            return
        count = None
        if isinstance(result, LargeResult):
            count = result.objects
            result = Segmentation(result.labels(), diameter=result.diameter, provenance=result.provenance)
        result = replace(result, provenance={**result.provenance, "choice": model, "made_from": source})
        placing = spatial_placing(layer) if result.masks.ndim == 2 else whole_placing(layer)
        labels = self._viewer.add_labels(
            result.masks, name=f"{layer.name} cells", metadata={"biofm": dict(result.provenance)}, **placing
        )
        uid = layer_id(labels)
        self._session.set_segmentation(uid, result)
        self._session.set_layers(image=image_uid, labels=uid)
        self._say(describe_count(layer.name, result, count))

    def _ended(self) -> None:
        self.running_changed.emit(False)
        if self._painter is not None:
            self._painter.close()
            self._painter = None
        if self._outcome.endswith("..."):
            self._say("Nothing was changed.")

    # ------------------------------------------------------------------ thresholds and flows

    def apply_thresholds(self, parameters: SegmentationParameters, device: str) -> None:
        """Make all masks of the labels in play again; can be undone."""
        uid = self._session.labels
        segmentation = self._session.segmentation(uid) if uid else None
        layer = layer_by_id(self._viewer, uid)
        if uid is None or segmentation is None or layer is None:
            return
        self._run(
            remask_job,
            replace(segmentation, masks=np.asarray(layer.data, np.int32), features=None),
            parameters,
            model_of(segmentation),
            device,
            name=f"New masks for '{layer.name}'",
            lane="interactive",
            bound_to=uid,
            on_done=lambda masks: self._replace_masks(uid, segmentation, masks, parameters),
        )

    def _replace_masks(
        self, uid: str, segmentation: Segmentation, masks: Labels, parameters: SegmentationParameters
    ) -> None:
        layer = layer_by_id(self._viewer, uid)
        if layer is None:
            return
        seen = segmentation.provenance.get("parameters", {}).get(
            "normalise"
        )  # by the network, which did not run again
        told = {**vars(parameters), "normalise": seen}
        used = {**segmentation.provenance, "parameters": told, "remasked": True}
        now = np.asarray(full_data(layer))
        try:
            edit = LabelsEdit.whole(uid, "New thresholds", now, masks, {"parameters": vars(parameters)})
            self._session.do(ReplaceMasks(edit, dict(segmentation.provenance), used))
        except SessionError as error:
            self._tell_error(error)
            return
        self._say(describe_count(layer.name, replace(segmentation, masks=masks, provenance=used)))

    def preview(
        self,
        part: Segmentation,
        parameters: SegmentationParameters,
        device: str,
        show: Callable[[Labels], None],
    ) -> None:
        """Make the masks of a part of a segmentation with other thresholds, and show them."""
        self._run(
            remask_job,
            part,
            parameters,
            model_of(part),
            device,
            name="Preview",
            lane="interactive",
            on_done=show,
        )

    def load_flows(self, device: str) -> None:
        """Get the flows of the labels in play again; their masks stay as they are."""
        uid, recipe = self._session.labels, recipe_of(self._viewer, self._session)
        layer = layer_by_id(self._viewer, uid)
        if uid is None or layer is None or recipe is None:
            return

        def done(result: Segmentation) -> None:
            if result.flows is None or result.masks.shape != np.shape(layer.data):
                self._say(f"'{recipe.model}' gives no flows for the masks of '{layer.name}'.")
                return
            provenance = {**result.provenance, "choice": recipe.model}
            masks = np.asarray(layer.data, np.int32)
            self._session.set_segmentation(uid, replace(result, masks=masks, provenance=provenance))
            self._say(describe_loaded(result))

        self._run(
            segment_job,
            recipe.pixels(self._viewer),
            recipe.model,
            recipe.parameters,
            device,
            recipe.stack,
            name=f"Load flows of '{layer.name}'",
            bound_to=uid,
            on_done=done,
        )

    def write_provenance(self, uid: str) -> None:
        """Write into a layer how its masks were made, also after an undo."""
        layer, segmentation = layer_by_id(self._viewer, uid), self._session.segmentation(uid)
        if layer is not None and segmentation is not None:
            layer.metadata = {**layer.metadata, "biofm": dict(segmentation.provenance)}

    def _say(self, text: str) -> None:
        self._outcome = text
        self.result_changed.emit(text)


def model_of(segmentation: Segmentation) -> str:
    """Return the name of the model that made a segmentation, as it was chosen."""
    return str(segmentation.provenance.get("choice") or segmentation.provenance.get("model", ""))


def describe_count(name: str, result: Segmentation, count: int | None = None) -> str:
    """Return in words how many cells were found."""
    if count is None:
        count = len(np.unique(result.masks[result.masks > 0]))
    told = [f"{note[:1].upper()}{note[1:]}." for note in describe(result.provenance)]
    if not count:
        advice = f"No cells found in '{name}'. Try another model, a diameter, or a lower cell probability, if there are some."
        return " ".join([advice, *told])
    size = f", median diameter {result.diameter:.0f} px" if result.diameter else ""
    return " ".join([f"{count} cells in '{name}'{size}.", *told])
