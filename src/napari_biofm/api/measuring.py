"""What cells are measured on, from files or arrays: channels by name, pixel size, and which part of a stack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.images import describe_image
from napari_biofm.cells.table.quantities import REACH, MeasuredOn, distinct, quantities
from napari_biofm.images.io.lazy import OpenedImage
from napari_biofm.images.io.names import stem_of
from napari_biofm.images.io.pixel_size import pixel_size_um
from napari_biofm.types import CellsError, Labels, ProgressListener, run_task

if TYPE_CHECKING:
    from pandas import DataFrame

Images = NDArray[Any] | OpenedImage | str | Path | Sequence[NDArray[Any] | str | Path] | None
_NO_NAME = re.compile(r"(channel )?\d*")  # what stands where a file gives no name
ONE = "intensity"  # the name of a channel that has none


def channels_of_images(
    images: Images,
    shape: tuple[int, ...],
    names: Sequence[str] | None = None,
    axes: str | None = None,
    channels: Sequence[int | str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the channels of one image or several as arrays of the labels' shape, by name.

    Parameters
    ----------
    images : array, path or what was opened, or several of them.
    shape : of the labels.
    names : of all channels together; those of the files, or ch0, ch1 ..., when not given.
    axes : of the files, where they do not name theirs.
    channels : which of a file's channels; all of them by default.

    Raises
    ------
    CellsError
        If an image has another shape than the labels, or there are more or fewer names than channels.
    """
    several = [] if images is None else list(images) if isinstance(images, list | tuple) else [images]
    found: list[tuple[str, NDArray[Any]]] = []
    for image in several:
        prefix = f"{stem_of(Path(image))}_" if len(several) > 1 and isinstance(image, str | Path) else ""
        found += [(f"{prefix}{name}", part) for name, part in _one(image, shape, axes, channels)]
    if names is not None and len(names) != len(found):
        raise CellsError(f"{len(names)} names were given for {len(found)} channels; give one per channel.")
    told = list(names) if names is not None else [name for name, _ in found]
    return dict(zip(distinct(told), (part for _, part in found), strict=True))


def _one(
    image: Any, shape: tuple[int, ...], axes: str | None, channels: Sequence[int | str] | None
) -> list[tuple[str, NDArray[Any]]]:
    names: tuple[str, ...] = ()
    title = "the image"
    if isinstance(image, str | Path | OpenedImage):
        opened = image if isinstance(image, OpenedImage) else describe_image(image, axes, channels)
        title = "the image" if isinstance(image, OpenedImage) else Path(image).name
        pixels, names = np.asarray(opened.pixels[...]), opened.channels
    else:
        pixels = np.asarray(image)
    if pixels.shape == tuple(shape):
        return [(names[0] if len(names) == 1 and not _NO_NAME.fullmatch(names[0]) else ONE, pixels)]
    if pixels.shape[:-1] != tuple(shape):
        raise CellsError(
            f"{title} has shape {pixels.shape} and the labels {tuple(shape)}; they must agree (channels, if any, "
            "last). Choose the image the labels were made from."
        )
    told = [f"ch{i}" if _NO_NAME.fullmatch(name) else name for i, name in enumerate(names)]
    told = told if len(told) == pixels.shape[-1] else [f"ch{i}" for i in range(pixels.shape[-1])]
    return [(name, pixels[..., i]) for i, name in enumerate(told)]


def pixel_size_of(
    images: Images, n_axes: int, told: Sequence[float] | float | None
) -> tuple[float, ...] | None:
    """Return micrometres along the labels' axes: as told, else as the first image file says, else None.

    Parameters
    ----------
    images : as for `channels_of_images`.
    n_axes : number of axes of the labels.
    told : one number for all axes, or one per axis.
    """
    if told is not None:
        sizes = (float(told),) * n_axes if isinstance(told, int | float) else tuple(float(t) for t in told)
        sizes = sizes * n_axes if len(sizes) == 1 else sizes
        if len(sizes) != n_axes or not all(np.isfinite(s) and s > 0 for s in sizes):
            raise CellsError(
                f"The pixel size {told} is no positive number per axis; give micrometres for {n_axes} axes."
            )
        return sizes
    first = images[0] if isinstance(images, list | tuple) and len(images) else images
    return pixel_size_um(Path(first), n_axes) if isinstance(first, str | Path) else None


def measure_cells(
    labels: Labels,
    on: MeasuredOn,
    frames: bool = False,
    reach: float = REACH,
    progress: ProgressListener | None = None,
) -> DataFrame:
    """Measure every cell of a plane, a volume, or of each frame of a movie.

    Parameters
    ----------
    labels : (Y, X), (Z, Y, X), or (T, Y, X) with `frames`.
    on : see `MeasuredOn`.
    frames : whether the first axis is time: one row per cell and frame, with the column `frame`.
    reach : pixels between two borders up to which cells are neighbours.
    progress : called with each step.
    """
    import pandas as pd

    if not frames:
        return run_task(quantities(labels, on, reach), progress)
    parts = []
    for i in range(len(labels)):
        within = None if on.within is None else on.within[i]
        size = None if on.pixel_size is None else on.pixel_size[-(labels.ndim - 1) :]
        one = MeasuredOn({k: v[i] for k, v in on.channels.items()}, on.image, size, "", within)
        part = run_task(quantities(labels[i], one, reach), progress)
        part.insert(1, "frame", i)
        part["object_id"] = [f"{name}@{i}" for name in part["object_id"]]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
