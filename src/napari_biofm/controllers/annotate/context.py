"""What the parts of the annotator ask of each other, so that each can be made and tested by itself."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalInstance

from napari_biofm.controllers.annotate.mask_predictor import MaskPredictor
from napari_biofm.controllers.annotate.tools import Tool
from napari_biofm.images.edit import LabelsEditor, Piece, View
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.edit.plane_map import PlaneMap


class EditPreview(Protocol):
    """Shows over the labels what is about to be done. `widgets.annotate.preview.Preview` is one."""

    def show(self, labels: Any, view: View, piece: Piece | None) -> None:
        """Show a mask (2D) in the view of the labels layer, or none."""
        ...

    def show_line(self, labels: Any, view: View, piece: Piece | None) -> None:
        """Show a drawn line, given as its pixels."""
        ...

    def show_clicks(
        self, labels: Any, view: View, points: NDArray[np.float64], positive: NDArray[np.bool_]
    ) -> None:
        """Show positive and negative clicks (n, 2)."""
        ...

    def clear(self) -> None:
        """Show nothing."""
        ...

    def remove(self) -> None:
        """Take what shows it out of the viewer."""
        ...


class AnnotationContext(Protocol):
    """The layers in play, and what can be done to them. `Annotator` is one."""

    image: Any
    labels: Any
    tool: Tool
    overwrite: bool
    predictor: MaskPredictor
    preview: EditPreview

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
