"""Layers of the viewer that traces of cells can be measured from."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

from napari_biofm.controllers.common.layer_pixels import shown_step
from napari_biofm.controllers.common.layers import full_data, is_helper, layer_by_id, layer_id, placing_of
from napari_biofm.controllers.common.movie_layers import (
    is_movie,
    movie_frames,
    movie_parts,
    stated_dark,
    stated_rate,
)
from napari_biofm.controllers.common.volume_layers import VOLUMES, atlas_of, is_series, volumes_of

_PART = "#"  # between the id of a layer and the channel or plane of it


class ViewerMovies:
    """The movies and masks of a viewer that traces of cells can be made from.

    A layer of several channels or planes is offered as one movie each; their ids are "layer#channel".

    Parameters
    ----------
    viewer : napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer

    def movies(self) -> list[tuple[str, str]]:
        """Return names and ids of movies (T, Y, X)."""
        return [
            (layer.name if part == VOLUMES else f"{layer.name} [{part}]", f"{layer_id(layer)}{_PART}{part}") if part else (layer.name, layer_id(layer))
            for layer in self._viewer.layers
            if is_movie(layer) and not layer.rgb and layer.ndim <= 4
            for part in ([VOLUMES] if is_series(layer) else movie_parts(layer))
        ]  # fmt: skip

    def masks(self) -> list[tuple[str, str]]:
        """Return names and ids of labels, (Y, X) or with leading axes of which the shown plane is meant."""
        labels = (one for one in self._viewer.layers if isinstance(one, Labels) and not is_helper(one))
        return [(layer.name, layer_id(layer)) for layer in labels]

    def frames(self, uid: str) -> Any:
        """Return the frames (T, Y, X) of a movie, None where it is gone."""
        layer, part = self._found(uid)
        return None if layer is None or part == VOLUMES else movie_frames(layer, part)

    def volumes(self, uid: str) -> Any:
        """Return the series of volumes that a movie is, None where it is a plane over time."""
        layer, part = self._found(uid)
        return None if layer is None or part != VOLUMES else volumes_of(layer)

    def atlas(self, uid: str) -> Any:
        """Return labels (x, y, z) and the names of their regions, None where they have no such axes."""
        layer, _ = self._found(uid)
        return None if layer is None else atlas_of(layer, self._viewer)

    def plane(self, uid: str) -> Any:
        """Return the plane (Y, X) of masks that is shown, None where it is gone."""
        layer, _ = self._found(uid)
        if layer is None:
            return None
        data = full_data(layer)
        return np.asarray(data if data.ndim == 2 else data[shown_step(self._viewer, layer)])

    def rate(self, uid: str) -> float | None:
        """Return the frame rate (Hz) that a movie or its file states, None where neither does."""
        layer, _ = self._found(uid)
        return None if layer is None else stated_rate(layer)

    def dark(self, uid: str) -> float | None:
        """Return the dark level that a movie or its file states, None where neither does."""
        layer, part = self._found(uid)
        return None if layer is None or part == VOLUMES else stated_dark(layer, part)

    def add_movie(self, frames: Any, name: str, like: str) -> None:
        """Add frames (T, Y, X) as a layer that lies where the movie `like` does, in its own contrast and rate."""
        layer, _ = self._found(like)
        if layer is None:
            return
        placed = placing_of(layer) if layer.ndim == 3 else {}
        about = {"frame_rate_hz": rate} if (rate := stated_rate(layer)) else {}
        dark = self.dark(like)
        if dark is not None:
            about["dark_level"] = dark
        self._viewer.add_image(
            frames,
            name=name,
            contrast_limits=layer.contrast_limits,
            metadata=about,
            multiscale=False,
            **placed,
        )

    def layer_and_part(self, uid: str) -> tuple[str, str]:
        """Return the id of the layer of a movie, and which channel or plane of it is meant."""
        layer, _, part = uid.partition(_PART)
        return layer, part

    def _found(self, uid: str) -> tuple[Any | None, str]:
        layer, part = self.layer_and_part(uid)
        return layer_by_id(self._viewer, layer), part
