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

from napari_biofm.canvas.napari_compat import displayed_axes, texture_of

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
    """Draws the changed part of one labels layer where its plane is larger than a texture.

    Takes the place of napari's own listener to the layer's `labels_update` and hands on to it what is not
    about a thinned plane. Where that listener is not as it is known, nothing is done and napari draws the
    plane whole.

    Parameters
    ----------
    layer : Labels layer that is in a viewer.
    """

    def __init__(self, layer: Any) -> None:
        self._drawers: list[tuple[Any, str]] = []  # weak reference to what draws, name of its method
        emitter = layer.events.labels_update
        for callback in tuple(emitter.callbacks):
            if isinstance(callback, tuple) and texture_of(callback[0]()) is not None:
                emitter.disconnect(callback)
                self._drawers.append(callback)
        if self._drawers:
            emitter.connect(self._update)

    def stop(self, layer: Any, *, removed: bool = False) -> None:
        """Leave drawing to napari; where the layer was removed there is nothing left to draw."""
        emitter = layer.events.labels_update
        emitter.disconnect(self._update)
        for reference, name in () if removed else self._drawers:
            owner = reference()
            if owner is not None:
                emitter.connect(getattr(owner, name))
        self._drawers.clear()

    def _update(self, event: Any) -> None:
        for reference, name in self._drawers:
            owner = reference()
            if owner is not None and not self._drawn(owner, event):
                getattr(owner, name)(event)

    def _drawn(self, owner: Any, event: Any) -> bool:
        texture = texture_of(owner)
        plane = _plane_shape(event.source)
        if texture is None or len(plane) != 2 or len(event.offset) != 2:
            return False
        steps = steps_of(plane, tuple(texture.shape[:2]))
        if steps is None:
            return False
        data, offset = thinned(np.asarray(event.data), tuple(int(o) for o in event.offset), steps)
        if data.size:
            texture.scale_and_set_data(np.ascontiguousarray(data), copy=False, offset=offset)
            owner.node.update()
        return True


def _plane_shape(layer: Any) -> tuple[int, ...]:
    return tuple(int(layer.data.shape[axis]) for axis in displayed_axes(layer))
