"""Where a point or a mask of one plane lies in another that is placed and scaled differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Piece


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
    def sampled(
        cls,
        to_image: Callable[[tuple[float, float]], NDArray[np.float64]],
        image_shape: tuple[int, int],
        labels_shape: tuple[int, int],
    ) -> PlaneMap:
        """Make the map from where three points of the labels plane lie in the image plane."""
        offset = to_image((0.0, 0.0))
        linear = np.stack([to_image((1.0, 0.0)) - offset, to_image((0.0, 1.0)) - offset], axis=1)
        return cls(linear, offset, image_shape, labels_shape)

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
