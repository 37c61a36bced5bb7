"""What docks ask of a movie layer: its frames, channel by channel, its rate and its dark level. One place for all docks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layers import full_data, is_helper
from napari_biofm.images.io.movie_facts import MovieFacts, movie_facts, seconds_in
from napari_biofm.images.io.movies import FramesOf

_MOST_PARTS = 32  # channels or planes of one layer that are offered one by one


def is_movie(layer: Any) -> bool:
    """Return whether a layer is an image with an axis in front of its plane."""
    return type(layer).__name__ == "Image" and int(layer.ndim) >= 3 and not is_helper(layer)


def movie_parts(layer: Any) -> list[str]:
    """Return the channels or planes that a movie layer holds beside its frames, as text; [""] for (T, Y, X)."""
    shape = full_data(layer).shape
    if layer.ndim == 4 and not layer.rgb and 1 < shape[1] <= _MOST_PARTS:
        return [str(i) for i in range(shape[1])]
    return [""]


def movie_frames(layer: Any, part: str = "") -> Any:
    """Return the frames (T, Y, X) of a part of a movie layer, lazily where the layer is lazy.

    Parameters
    ----------
    layer : image layer.
    part : of `movie_parts`.
    """
    data = full_data(layer)
    if data.ndim == 3:
        return data
    fixed = dict.fromkeys(range(1, data.ndim - 2), 0)
    if part:
        fixed[1] = int(part)
    if isinstance(data, np.ndarray):
        place: Any = (slice(None), *fixed.values())
        return data[place]
    return FramesOf(data, 0, fixed, (0, 1, int(data.shape[0])), (data.ndim - 2, data.ndim - 1))


def stated_rate(layer: Any) -> float | None:
    """Return the frame rate in Hz that a layer or its file states, None where neither does."""
    stated = layer.metadata.get("frame_rate_hz")
    if stated:
        return float(stated)
    unit = str(layer.units[0])
    seconds = None if unit in ("", "pixel") else seconds_in(unit)
    if seconds is not None and layer.scale[0] > 0:
        return float(1 / (layer.scale[0] * seconds))
    return _facts_of(layer).frame_rate


def stated_dark(layer: Any, part: str = "") -> float | None:
    """Return the dark level that a layer or its file states, None where neither does."""
    stated = layer.metadata.get("dark_level")
    if stated is not None:
        return float(stated)
    return _facts_of(layer).dark_level(int(part) if part else 0)


def _facts_of(layer: Any) -> MovieFacts:
    path = layer.metadata.get("path") or layer.source.path
    if not path:
        return MovieFacts()
    path = Path(path)
    return _facts_at((path, path.stat().st_mtime_ns if path.exists() else 0))


@lru_cache(maxsize=64)
def _facts_at(file: tuple[Path, int]) -> MovieFacts:
    """Return the facts of a file, read once for each time it was changed."""
    return movie_facts(file[0])
