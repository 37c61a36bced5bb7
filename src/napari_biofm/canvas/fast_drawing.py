"""A picture that changes many times a second is drawn without asking napari to look at its layer again."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.canvas.napari_compat import drawn_shape


def redraw(layer: Any) -> None:
    """Draw what was written into the data of a plain two-dimensional Image layer.

    `layer.refresh` slices the layer and computes where it lies, too, which takes longer than drawing and gives
    what it gave before. Where what draws the layer is not as it is known (several canvases, three dimensions,
    an image larger than a texture), napari is asked to refresh it.

    Parameters
    ----------
    layer : Image layer with (Y, X) data that were changed in place.
    """
    drawers = [
        callback[0]()
        for callback in layer.events.set_data.callbacks
        if isinstance(callback, tuple) and hasattr(callback[0](), "node")
    ]
    if not drawers or not all(_shows(drawer.node, layer.data) for drawer in drawers):
        layer.refresh(extent=False, thumbnail=False, highlight=False)
        return
    for drawer in drawers:
        drawer.node.set_data(layer.data)


def _shows(node: Any, data: Any) -> bool:
    """Tell whether a node draws exactly these pixels."""
    return isinstance(data, np.ndarray) and drawn_shape(node) == data.shape == data.shape[:2]
