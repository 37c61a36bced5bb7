"""*Which model for my image?*: outlines of all models that are here, side by side, on what is on the screen."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.common.layers import HELPER, layer_by_id, layer_id
from napari_biofm.controllers.segment.channels import Channels, channel_pixels
from napari_biofm.controllers.segment.controller import Request, SegmentController
from napari_biofm.controllers.segment.painter import visible_box
from napari_biofm.controllers.segment.pixels import STACKS, pixels_of
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.segment.agreement import ModelComparison, compare_models, panel_starts, panels
from napari_biofm.types import ImageError

PICTURE, NAMES = "Which model?", "Which model? names"
MOST = 1500  # pixels of a side; slow models would take minutes on more


class ModelComparer:
    """Runs the models that are here on the visible part of a layer, and shows their outlines beside it.

    Parameters
    ----------
    viewer : gets the picture.
    controller : of the dock, which says how it went.
    run : carries the job.
    """

    def __init__(self, viewer: Any, controller: SegmentController, run: Any) -> None:
        self._viewer, self._controller, self._run = viewer, controller, run

    def compare(self, request: Request) -> None:
        """Start the job.

        Parameters
        ----------
        request : what the form says; its model is not looked at.

        Raises
        ------
        ImageError
            If the image is not on the screen, or a whole stack was chosen.
        """
        layer = request.layer
        if request.pixels in STACKS:
            raise ImageError(f"'{request.pixels}' is a stack; choose the shown plane to compare models.")
        box = visible_box(self._viewer, layer)
        if box is None:
            raise ImageError(f"'{layer.name}' is not on the screen; press Home to see it.")
        y0, x0, y1, x1 = (int(c) for c in box)
        y1, x1 = min(y1, y0 + MOST), min(x1, x0 + MOST)
        chosen = request.channels != Channels()
        if chosen:
            whole = channel_pixels(self._viewer, layer, request.pixels, request.channels)
        else:
            whole = pixels_of(self._viewer, layer, request.pixels)[0]
            whole = whole[:] if isinstance(whole, LazyImage) else whole
        part = np.ascontiguousarray(whole[y0:y1, x0:x1])
        self._controller.running_changed.emit(True)
        self._controller.result_changed.emit(f"Comparing models on {y1 - y0} x {x1 - x0} pixels ...")
        self._run(
            compare_models,
            part,
            request.parameters,
            None,
            request.device,
            None if chosen else (),
            name="Which model?",
            bound_to=layer_id(layer),
            on_done=lambda found: self._show(layer_id(layer), part, (y0, x0), found),
            on_end=lambda: self._controller.running_changed.emit(False),
        )

    def _show(self, uid: str, part: Any, corner: tuple[int, int], found: ModelComparison) -> None:
        """Put the picture to the right of the image, and say in words what it shows."""
        layer = layer_by_id(self._viewer, uid)
        if layer is None:
            return
        for name in (PICTURE, NAMES):
            for old in [one for one in self._viewer.layers if one.name == name and one.metadata.get(HELPER)]:
                self._viewer.layers.remove(old)
        placing = spatial_placing(layer)
        width = part.shape[1]
        beside = np.eye(3)
        beside[:2, 2] = corner[0], corner[1] + width + 20
        placing["affine"] = placing["affine"] @ beside
        active = self._viewer.layers.selection.active
        self._viewer.add_image(
            panels(part, found), name=PICTURE, rgb=True, metadata={HELPER: True}, **placing
        )
        at = np.array([[-0.06 * part.shape[0], start + width / 2] for start in panel_starts(found, width)])
        lines = found.describe()
        self._viewer.add_points(
            at,
            size=0.01,
            text={
                "string": [f"{r['model']}\n{r['cells']} cells" for r in found.rows()],
                "color": "yellow",
                "size": 10,
            },
            name=NAMES,
            metadata={HELPER: True},
            **placing,
        )
        self._viewer.layers.selection.active = active if active in self._viewer.layers else layer
        self._viewer.reset_view()
        self._controller.result_changed.emit(
            "From left to right, the one that agrees most with the others first (agreement is no truth; look at the "
            "outlines):\n" + "\n".join(lines)
        )
