"""What is shown before a commit: the mask of the prompt, the clicks, and the line being drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.canvas.pixels import set_pixels
from napari_biofm.controllers.common.layers import HELPER, layer_shape, matrix_of
from napari_biofm.images.edit import Piece, View

LARGEST = 4096  # pixels; of larger planes a window is covered
WINDOW = 2048
MASK, LINE = 1, 2
_COLOURS = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), MASK: (0.1, 0.9, 1.0, 0.55), LINE: (1.0, 0.85, 0.1, 0.95)}


class Preview:
    """Two helper layers that lie exactly on the plane being edited; changes redraw their region only."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._mask: Any = None
        self._clicks: Any = None
        self._placed: Any = None
        self._origin: tuple[int, ...] = (0, 0)
        self._shown: dict[int, tuple[NDArray[Any], ...]] = {}

    @property
    def layers(self) -> list[Any]:
        """The helper layers that are in the viewer."""
        return [
            layer
            for layer in (self._mask, self._clicks)
            if layer is not None and layer in self._viewer.layers
        ]

    def show(self, labels: Any, view: View, piece: Piece | None) -> None:
        """Show a mask (2D) in the view of the labels layer, or none."""
        self._draw(labels, view, MASK, None if piece is None or not piece else piece)

    def show_line(self, labels: Any, view: View, piece: Piece | None) -> None:
        """Show a drawn line, given as its pixels."""
        self._draw(labels, view, LINE, None if piece is None or not piece else piece)

    def show_clicks(
        self, labels: Any, view: View, points: NDArray[np.float64], positive: NDArray[np.bool_]
    ) -> None:
        """Show positive and negative clicks (n, 2)."""
        if self._clicks is None and not len(points):
            return
        if self._clicks is None or self._clicks not in self._viewer.layers:
            self._clicks = self._add("clicks", "points", np.zeros((0, labels.ndim)))
        full = np.tile(np.array(view.position, float), (len(points), 1))
        full[:, list(view.axes)] = points
        layer = self._clicks
        with layer.events.blocker_all():
            layer.selected_data = set()
        layer.data = _to_world(labels, full)
        if len(points):
            layer.face_color = [(0.1, 0.9, 0.2, 1) if p else (1.0, 0.15, 0.1, 1) for p in positive]
            layer.size = self._point_size(labels, view)

    def clear(self) -> None:
        """Show nothing."""
        if self._mask is not None and self._mask in self._viewer.layers:
            for value in list(self._shown):
                self._erase(value)
        if self._clicks is not None and self._clicks in self._viewer.layers and len(self._clicks.data):
            self._clicks.data = np.zeros((0, self._clicks.ndim))
        self._shown.clear()

    def remove(self) -> None:
        """Take the helper layers out of the viewer."""
        for layer in self.layers:
            self._viewer.layers.remove(layer)
        self._mask = self._clicks = self._placed = None
        self._shown.clear()

    @property
    def shown_area(self) -> int:
        """Number of pixels of the mask shown."""
        return len(self._shown[MASK][0]) if MASK in self._shown else 0

    # ------------------------------------------------------------------ drawing

    def _draw(self, labels: Any, view: View, value: int, piece: Piece | None) -> None:
        if piece is None:
            if value in self._shown and self._mask in self._viewer.layers:
                self._erase(value)
            return
        self._place(labels, view, piece)
        where = np.nonzero(piece.mask)
        at = [w + o - s for w, o, s in zip(where, piece.origin, self._origin, strict=True)]
        shape = view.shape(self._mask.data.shape)
        inside = np.all([(a >= 0) & (a < n) for a, n in zip(at, shape, strict=True)], axis=0)
        if value in self._shown:
            self._erase(value)
        if not inside.any():
            return
        full: list[NDArray[Any]] = [np.zeros(int(inside.sum()), np.intp) for _ in range(labels.ndim)]
        for axis, a in zip(view.axes, at, strict=True):
            full[axis] = a[inside]
        self._shown[value] = tuple(full)
        set_pixels(self._mask, tuple(full), np.full(len(full[0]), value, np.uint8))

    def _erase(self, value: int) -> None:
        at = self._shown.pop(value)
        set_pixels(self._mask, at, np.zeros(len(at[0]), np.uint8))

    def _place(self, labels: Any, view: View, piece: Piece) -> None:
        """Make the mask layer lie on the view (a window of it around `piece` where the plane is large)."""
        plane = view.shape(layer_shape(labels))
        if max(plane) <= LARGEST:
            origin: tuple[int, ...] = (0, 0)
            size: tuple[int, ...] = plane
        else:
            size = tuple(min(n, WINDOW) for n in plane)
            fits = self._placed is not None and all(
                o <= p and e <= o + n
                for o, n, p, e in zip(self._origin, size, piece.origin, piece.stop, strict=True)
            )
            middle = [(p + e) // 2 for p, e in zip(piece.origin, piece.stop, strict=True)]
            origin = (
                self._origin
                if fits
                else tuple(
                    int(np.clip(m - s // 2, 0, n - s)) for m, s, n in zip(middle, size, plane, strict=True)
                )
            )
        matrix = matrix_of(labels)
        wanted = (view, origin, size, matrix.tobytes())
        present = self._mask is not None and self._mask in self._viewer.layers
        if present and self._placed == wanted:
            return
        shape = [1] * labels.ndim
        at = [float(p) for p in view.position]
        for axis, o, n in zip(view.axes, origin, size, strict=True):
            shape[axis], at[axis] = n, o
        matrix[:-1, -1] = (matrix @ np.array([*at, 1.0]))[:-1]
        if present and self._mask.ndim == labels.ndim:
            for value in list(self._shown):
                self._shown.pop(value)
            self._mask.data = np.zeros(shape, np.uint8)
            self._mask.affine = matrix
        else:
            self._shown.clear()
            self._mask = self._add("preview", "labels", np.zeros(shape, np.uint8), affine=matrix)
        self._origin, self._placed = origin, wanted

    def _add(self, name: str, kind: str, data: Any, **more: Any) -> Any:
        """Add a helper layer on top and give the selection back to the layer that had it."""
        selected = self._viewer.layers.selection.active
        if kind == "labels":
            from napari.utils.colormaps import DirectLabelColormap

            layer = self._viewer.add_labels(
                data,
                name=name,
                colormap=DirectLabelColormap(color_dict=_COLOURS),
                opacity=1.0,
                metadata={HELPER: True},
                **more,
            )
        else:
            layer = self._viewer.add_points(
                data,
                name=name,
                ndim=data.shape[1],
                border_color="white",
                border_width=0.15,
                metadata={HELPER: True},
                **more,
            )
        layer.editable = False if kind == "points" else layer.editable
        if selected is not None:
            self._viewer.layers.selection.active = selected
        return layer

    def _point_size(self, labels: Any, view: View) -> float:
        """Return the size in world units of about ten pixels of the screen."""
        return float(10 / max(self._viewer.scene.camera.zoom, 1e-6))


def _to_world(labels: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = matrix_of(labels)
    return points @ matrix[:-1, :-1].T + matrix[:-1, -1]
