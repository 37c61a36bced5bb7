"""The layers of the viewer as the Cells dock uses them: cells, tracks, movies, and layers made of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.track.tracks import LABELS_ARE_TRACKS
from napari_biofm.controllers.common.layers import full_data, is_helper, layer_by_id, layer_id, placing_of
from napari_biofm.types import CellsError

BY_OVERLAP, BY_LABEL = "link by overlap", "label values"  # ways to follow cells that need no Tracks layer


def cell_layers(viewer: Any) -> list[Any]:
    """Return the Labels layers that hold cells."""
    return [layer for layer in viewer.layers if type(layer).__name__ == "Labels" and not is_helper(layer)]


def shape_of_image(viewer: Any) -> tuple[int, ...] | None:
    """Return the shape of the plane of the topmost image, without colours; None where there is none."""
    for layer in reversed(list(viewer.layers)):
        if type(layer).__name__ == "Image" and not is_helper(layer):
            return tuple(int(n) for n in full_data(layer).shape[: layer.ndim])[-2:]
    return None


def tracks_layers(viewer: Any) -> list[tuple[str, str]]:
    """Return name and unique id of every Tracks layer."""
    return [(layer.name, layer_id(layer)) for layer in viewer.layers if type(layer).__name__ == "Tracks"]


def movie_for(viewer: Any, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return the topmost image movie of the shape of these labels, None where there is none."""
    for layer in reversed(list(viewer.layers)):
        if type(layer).__name__ == "Image" and not layer.multiscale and layer.data.shape[:3] == shape:
            return np.asarray(layer.data)
    return None


def tracks_for(viewer: Any, layer: Any, chosen: str) -> NDArray[np.float64] | str | None:
    """Return the points of a Tracks layer in pixels of the labels, or the way that needs none."""
    if chosen == BY_OVERLAP:
        return None
    if chosen == BY_LABEL:
        return LABELS_ARE_TRACKS
    tracks = layer_by_id(viewer, chosen)
    if tracks is None or tracks.data.shape[1] != layer.ndim + 1:
        raise CellsError(
            f"The tracks do not have the axes of '{layer.name}' (time, y, x); choose others, or "
            f"'{BY_OVERLAP}'."
        )
    points = np.asarray(tracks.data, float).copy()
    world = [tracks.data_to_world(row) for row in points[:, 1:]]
    points[:, 1:] = [layer.world_to_data(row) for row in world]
    return points


def add_tracks(viewer: Any, layer: Any, points: NDArray[np.float64], name: str) -> str:
    """Add tracks in pixels of the labels as a layer, and return its unique id."""
    if points.shape[1] != layer.ndim + 1:
        raise CellsError(
            f"{name}: tracks with {points.shape[1] - 1} axes do not fit '{layer.name}' with {layer.ndim}."
        )
    return layer_id(viewer.add_tracks(points, name=name, **placing_of(layer)))


def add_class_layer(viewer: Any, layer: Any, picture: NDArray[Any], legend: dict[str, str]) -> None:
    """Add a Labels layer whose values are classes, a copy that stays as it is."""
    viewer.add_labels(picture, name=f"{layer.name} states", metadata={"classes": legend}, **placing_of(layer))


def add_value_layer(
    viewer: Any, layer: Any, name: str, picture: NDArray[np.float32], contrast: tuple[float, float]
) -> None:
    """Add an image layer of predicted values; it stays as it is."""
    viewer.add_image(
        picture,
        name=f"{layer.name}: {name}",
        colormap="viridis",
        contrast_limits=contrast,
        metadata={"predicted": name},
        **placing_of(layer),
    )


def labels_of(layer: Any) -> NDArray[Any]:
    """Return all labels of a layer in full resolution."""
    return np.asarray(full_data(layer))
