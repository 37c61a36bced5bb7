"""Shows edits of very large labels at once.

napari draws a plane that is larger than the largest texture of the graphics driver (16,384 pixels on most)
thinned out: every second or third pixel. At each change it thins and uploads the whole plane again, which
takes more than a second for 20,000 x 20,000 pixels. Here the part that changed is thinned in the same way and
uploaded alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Span = tuple[NDArray[Any], tuple[int, ...]]


def thinned(data: NDArray[Any], offset: tuple[int, ...], steps: tuple[int, ...]) -> Span:
    """Return the pixels of a part that a thinned picture shows, and where they lie in that picture.

    Parameters
    ----------
    data : part of the plane. offset : where it begins. steps : of how many pixels one is shown, per axis.
    """
    first = tuple(-(-o // s) for o, s in zip(offset, steps, strict=True))
    start = tuple(f * s - o for f, o, s in zip(first, offset, steps, strict=True))
    return data[tuple(slice(a, None, s) for a, s in zip(start, steps, strict=True))], first


def steps_of(plane: tuple[int, ...], texture: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return by how much a plane was thinned to make its texture; None where it is no thinned picture of it."""
    steps = tuple(-(-p // max(t, 1)) for p, t in zip(plane, texture, strict=True))
    fits = all(-(-p // s) == t for p, s, t in zip(plane, steps, texture, strict=True))
    return steps if fits and max(steps) > 1 else None


class LargeLabels:
    """Draws the changed part of one labels layer whose plane is larger than a texture.

    napari's own drawing is found among the listeners of the layer's `labels_update`; where it is not what is
    known of it, the event goes its usual way and the whole plane is drawn.

    Parameters
    ----------
    layer : Labels layer.
    """

    def __init__(self, layer: Any) -> None:
        layer.events.labels_update.connect(self._update, position="first")

    def stop(self, layer: Any) -> None:
        """Leave drawing to napari."""
        layer.events.labels_update.disconnect(self._update)

    def _update(self, event: Any) -> None:
        texture = _texture_of(event.source)
        plane = _plane_shape(event.source)
        if texture is None or len(plane) != 2 or len(event.offset) != 2:
            return
        node, texture = texture
        steps = steps_of(plane, tuple(texture.shape[:2]))
        if steps is None:
            return
        data, offset = thinned(np.asarray(event.data), tuple(int(o) for o in event.offset), steps)
        if data.size:
            texture.scale_and_set_data(np.ascontiguousarray(data), copy=False, offset=offset)
            node.update()
        event.blocked = True


def _plane_shape(layer: Any) -> tuple[int, ...]:
    displayed = layer._slice_input.displayed
    return tuple(int(layer.data.shape[axis]) for axis in displayed)


def _texture_of(layer: Any) -> tuple[Any, Any] | None:
    """Return the visual that draws a layer and its texture, None where there is none."""
    for callback in layer.events.labels_update.callbacks:
        owner = callback[0]() if isinstance(callback, tuple) else getattr(callback, "__self__", None)
        node = getattr(owner, "node", None)
        texture = getattr(node, "_texture", None)
        if texture is not None and hasattr(texture, "scale_and_set_data"):
            return node, texture
    return None
