"""Between the canvas and planes of layers: which plane is shown, and where a point or a mask of it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit import Piece, View


def matrix_of(layer: Any) -> NDArray[np.float64]:
    """Return the (n + 1, n + 1) matrix from data to world coordinates of a layer."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)), float)[-n:]
    matrix = np.eye(n + 1)
    matrix[:n, n] = origin
    for axis in range(n):
        unit = np.zeros(n)
        unit[axis] = 1
        matrix[:n, axis] = np.asarray(layer.data_to_world(unit), float)[-n:] - origin
    return matrix


def view_of(viewer: Any, layer: Any) -> View:
    """Return the plane (or volume) of a layer that the viewer shows."""
    ahead = viewer.dims.ndim - layer.ndim
    axes = tuple(a - ahead for a in viewer.dims.displayed if a >= ahead)
    at = layer.world_to_data(viewer.dims.point)
    shape = layer_shape(layer)
    position = tuple(
        0 if a in axes else int(np.clip(round(float(at[a])), 0, shape[a] - 1)) for a in range(layer.ndim)
    )
    return View(position, axes)


def layer_shape(layer: Any) -> tuple[int, ...]:
    """Return the shape of a layer's data at full resolution, colours left out."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(n) for n in data.shape[: layer.ndim])


def point_in(layer: Any, view: View, world: Any) -> NDArray[np.float64]:
    """Return where a world position lies in the view of a layer."""
    return np.array(view.point(tuple(float(c) for c in layer.world_to_data(world))), np.float64)


@dataclass(frozen=True)
class PlaneMap:
    """The way from the shown plane of the labels to that of the image, which may lie and be scaled
    differently.

    Attributes
    ----------
    linear, offset : image point = linear @ labels point + offset.
    image_shape, labels_shape : (Y, X) of both planes.
    """

    linear: NDArray[np.float64]
    offset: NDArray[np.float64]
    image_shape: tuple[int, int]
    labels_shape: tuple[int, int]

    @classmethod
    def between(cls, labels: Any, labels_view: View, image: Any, image_view: View) -> PlaneMap:
        """Compare two layers in their views."""

        def there(point: tuple[float, float]) -> NDArray[np.float64]:
            at = [float(p) for p in labels_view.position]
            for axis, c in zip(labels_view.axes, point, strict=True):
                at[axis] = c
            world = np.asarray(labels.data_to_world(at), float)
            missing = image.ndim - len(world)
            if missing > 0:
                world = np.concatenate([np.zeros(missing), world])
            return point_in(image, image_view, world)

        offset = there((0.0, 0.0))
        linear = np.stack([there((1.0, 0.0)) - offset, there((0.0, 1.0)) - offset], axis=1)
        shapes = (image_view.shape(layer_shape(image)), labels_view.shape(layer_shape(labels)))
        return cls(linear, offset, (shapes[0][0], shapes[0][1]), (shapes[1][0], shapes[1][1]))

    @property
    def is_same(self) -> bool:
        """Whether both planes have the same pixels."""
        return (
            self.image_shape == self.labels_shape
            and np.allclose(self.linear, np.eye(2), atol=1e-6)
            and np.allclose(self.offset, 0, atol=1e-3)
        )

    def to_image(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points (n, 2) from labels to image pixels."""
        return np.asarray(points, np.float64).reshape(-1, 2) @ self.linear.T + self.offset

    def to_labels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points (n, 2) from image to labels pixels."""
        return (np.asarray(points, np.float64).reshape(-1, 2) - self.offset) @ np.linalg.inv(self.linear).T

    def piece_to_labels(self, piece: Piece) -> Piece:
        """Bring a mask of image pixels to the labels' pixels, by the nearest pixel."""
        return (
            piece if self.is_same else self._resample(piece, self.to_labels, self.to_image, self.labels_shape)
        )

    def piece_to_image(self, piece: Piece) -> Piece:
        """Bring a mask of labels pixels to the image's pixels, by the nearest pixel."""
        return (
            piece if self.is_same else self._resample(piece, self.to_image, self.to_labels, self.image_shape)
        )

    @staticmethod
    def _resample(piece: Piece, forth: Any, back: Any, shape: tuple[int, int]) -> Piece:
        if not piece:
            return piece
        (y0, x0), (y1, x1) = piece.origin, piece.stop
        corners = forth(np.array([[y0, x0], [y0, x1], [y1, x0], [y1, x1]], float))
        low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, shape)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, shape)
        size = tuple(int(n) for n in np.maximum(high - low, 1))
        grid = np.indices(size).reshape(2, -1).T + low
        source = np.rint(back(grid)).astype(int) - np.array(piece.origin)
        inside = ((source >= 0) & (source < np.array(piece.mask.shape))).all(axis=1)
        out = np.zeros(len(grid), bool)
        out[inside] = piece.mask[tuple(source[inside].T)]
        return Piece.of(out.reshape(size), (int(low[0]), int(low[1])))
