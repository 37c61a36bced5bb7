"""What the parts of the annotator ask of each other, so that each can be made and tested by itself."""

from __future__ import annotations

from typing import Any, Protocol

from psygnal import SignalInstance

from napari_biofm.images.edit import LabelsEditor, View
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.edit.plane_map import PlaneMap
from napari_biofm.widgets.annotate.mask_predictor import MaskPredictor
from napari_biofm.widgets.annotate.preview import Preview
from napari_biofm.widgets.annotate.tools import Tool


class AnnotationContext(Protocol):
    """The layers in play, and what can be done to them. `Annotator` is one."""

    image: Any
    labels: Any
    tool: Tool
    overwrite: bool
    predictor: MaskPredictor
    preview: Preview

    @property
    def changed(self) -> SignalInstance:
        """Emitted when the status or the prompt is another one."""
        ...

    @property
    def editor(self) -> LabelsEditor:
        """The editor of the labels in play; SessionError where there are none."""
        ...

    @property
    def view(self) -> View:
        """The plane of the labels that is shown."""
        ...

    def plane_map(self, view: View) -> tuple[PlaneMap, View]:
        """Return the way from the labels plane to the image plane, and the image's view."""
        ...

    def do(self, edit: LabelsEdit) -> bool:
        """Carry an edit out through the history; False where it changes nothing."""
        ...

    def select(self, label: int) -> None:
        """Make a cell the selected one."""
        ...

    def set_tool(self, tool: Tool) -> None:
        """Choose what clicks and drags mean."""
        ...

    def clear(self) -> None:
        """Drop the prompt and its preview."""
        ...

    def say(self, message: str) -> None:
        """Set the status line."""
        ...
