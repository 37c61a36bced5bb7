"""What is being annotated: layers in play, the tool, and edits through the history. No Qt widgets here.

The prompt and its preview are on the `PromptController`, the meaning of clicks and drags in `Gestures`, growing and
shrinking in `CellSizes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psygnal import Signal

from napari_biofm.actions import EditLabels
from napari_biofm.controllers.annotate.context import EditPreview
from napari_biofm.controllers.annotate.gestures import Gestures
from napari_biofm.controllers.annotate.mask_predictor import MaskPredictor
from napari_biofm.controllers.annotate.prompt_controller import PromptController
from napari_biofm.controllers.annotate.sizes import CellSizes
from napari_biofm.controllers.annotate.tools import PROMPTING, Tool
from napari_biofm.controllers.common.layers import check_writable, layer_id, plane_map, view_of
from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.images.edit import LabelsEditor, View
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.edit.plane_map import PlaneMap
from napari_biofm.session import CellKey, Session
from napari_biofm.types import SessionError


class Annotator:
    """Gestures in, edits out.

    Parameters
    ----------
    viewer, session : whose layers are edited.
    run : carries jobs.
    preview : shows what is about to be done.
    """

    changed = Signal()

    def __init__(self, viewer: Any, session: Session, run: RunJob, preview: EditPreview) -> None:
        self.viewer = viewer
        self.session = session
        self.predictor = MaskPredictor(viewer, session, run)
        self.preview = preview
        self.tool = Tool.OFF
        self.overwrite = False
        self.labels: Any = None
        self.image: Any = None
        self.status = ""
        self.prompt = PromptController(self)
        self.gestures = Gestures(self, self.prompt)
        self.sizes = CellSizes(self, self.prompt)
        self.session.labels_edited.connect(self._labels_edited)
        self.session.history.recorded.connect(self._recorded)
        self.session.history.skipped.connect(self.say)

    # ------------------------------------------------------------------ layers

    def use(self, image: Any, labels: Any) -> None:
        """Work on these layers; either may be None."""
        self.clear()
        self.image, self.labels = image, None
        self.predictor.image_changed()
        if labels is not None and not self.session.has_labels(layer_id(labels)):
            check_writable(labels)
        self.labels = labels
        self.say("")

    def _labels_edited(self, uid: str, ids: tuple[int, ...] | None) -> None:
        """Drop the prompt where other masks are in the layer now."""
        if self.labels is None or layer_id(self.labels) != uid:
            return
        if ids is None or self.prompt.pending.label in ids:
            self.clear()

    def _recorded(self, record: Mapping[str, Any]) -> None:
        """Say what was done to the labels in play, whoever did it."""
        if self.labels is not None and "patches" in record and record["layer"] == layer_id(self.labels):
            self.say(f"{record['action']} {record.get('cell', '')}".strip())

    @property
    def editor(self) -> LabelsEditor:
        """The editor of the labels in play."""
        if self.labels is None:
            raise SessionError("Choose a labels layer, or press New to make one.")
        uid = layer_id(self.labels)
        target = self.session.labels_target(uid)
        if target is None:
            raise SessionError(
                f"The labels '{self.labels.name}' were removed from the viewer; choose others."
            )
        return LabelsEditor(target, self.session.label_index(uid))

    @property
    def view(self) -> View:
        """The plane shown."""
        if self.labels is None:
            raise SessionError("Choose a labels layer, or press New to make one.")
        return view_of(self.viewer, self.labels)

    def plane_map(self, view: View) -> tuple[PlaneMap, View]:
        """Return the way from the labels plane to the image plane, and the image's view."""
        if self.image is None:
            raise SessionError("Choose an image layer to click on.")
        image_view = view_of(self.viewer, self.image)
        return plane_map(self.labels, view, self.image, image_view), image_view

    # ------------------------------------------------------------------ edits

    def do(self, edit: LabelsEdit) -> bool:
        """Carry an edit out through the history; False where it changes nothing."""
        if not edit:
            self.say(f"{edit.name}: nothing changes.")
            return False
        self.session.do(EditLabels(edit))
        return True

    def undo(self) -> None:
        """Take back the last click of the prompt, else the last edit."""
        if self.prompt.take_back():
            return
        was_there = self.session.history.can_undo
        name = self.session.undo()
        if name or not was_there:  # else it no longer fitted, which is said
            self.say(f"undone: {name}" if name else "Nothing to undo.")

    def redo(self) -> None:
        """Do again what was undone last."""
        was_there = self.session.history.can_redo
        name = self.session.redo()
        if name or not was_there:
            self.say(f"again: {name}" if name else "Nothing to redo.")

    def select(self, label: int) -> None:
        """Make a cell the selected one, in napari and in the session."""
        self.labels.selected_label = label
        self.session.select([CellKey(layer_id(self.labels), label)])

    # ------------------------------------------------------------------ tool

    def set_tool(self, tool: Tool) -> None:
        """Choose what clicks and drags mean; the prompt stays, so that tools can be mixed."""
        if tool is Tool.BRUSH and self.labels is not None and self.labels.multiscale:
            raise SessionError(
                f"napari cannot paint on the pyramid '{self.labels.name}'; use Lasso, Refine or points instead."
            )
        self.tool = tool
        self.gestures.forget()
        if tool in PROMPTING:
            self.predictor.get_ready()
            if self.image is not None:
                self.predictor.prepare_ahead(self.image, view_of(self.viewer, self.image))
        if self.labels is not None:
            self.viewer.layers.selection.active = self.labels
            self.labels.mode = "paint" if tool is Tool.BRUSH else "pan_zoom"
            is_new = self.prompt.pending.label is None and self.labels.selected_label == 0
            if tool is Tool.BRUSH and is_new:
                self.labels.selected_label = self.editor.next_id()
        self.say("")

    def clear(self) -> None:
        """Drop the prompt and its preview."""
        self.gestures.forget()
        self.prompt.clear()

    def say(self, message: str) -> None:
        """Set the status line."""
        self.status = message
        self.changed.emit()

    def close(self) -> None:
        """Let go of the session and the helper layers."""
        for signal, callback in (
            (self.session.labels_edited, self._labels_edited),
            (self.session.history.recorded, self._recorded),
            (self.session.history.skipped, self.say),
        ):
            signal.disconnect(callback, missing_ok=True)
        self.preview.remove()
