"""Clicks: objects outlined from points and boxes, and carried through stacks and movies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.checks import check_image
from napari_biofm.images.io.lazy import read_stack
from napari_biofm.images.io.masks import as_labels, read_labels
from napari_biofm.types import ImageError, ProgressListener, run_task

if TYPE_CHECKING:
    from napari_biofm.images.prompt.click import Clicked, ClickObject
    from napari_biofm.images.prompt.propagate_labels import PropagatedLabels


def click(
    image: NDArray[Any] | str | Path,
    objects: Sequence[ClickObject | Mapping[str, Any]] | str | Path,
    *,
    model: str = "auto",
    device: str = "auto",
    progress: ProgressListener | None = None,
) -> Clicked:
    """Outline objects from points and boxes.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), or the path of one.
    objects : one entry per object, `{"id": 1, "points": [[y, x, 1 or 0], ...], "box": [y0, x0, y1, x1] or None}` in
        pixels; 1 is inside, 0 outside. Or the path of a JSON file with such a list.
    model : a click model of the catalogue, "level-sets", or "auto" for the best that is here.
    device : "auto", "cpu", "cuda" or "mps".
    progress : called with each step.

    Returns
    -------
    Clicked
        One label image, one boolean mask per id, and the expected overlap of each.

    Raises
    ------
    ImageError
        If a prompt lies outside of the image, or an entry is not of this form.
    """
    from napari_biofm.images.prompt.click import ClickObject, click_objects, read_prompts
    from napari_biofm.images.prompt.click import click as click_task

    if isinstance(image, str | Path):
        pixels, is_stack = read_stack(Path(image))
        if is_stack:
            raise ImageError(f"{Path(image).name} is a stack; give one plane at a time.")
        array = check_image(pixels, Path(image).name)
    else:
        array = check_image(image)
    if isinstance(objects, str | Path):
        wanted = read_prompts(objects)
    else:
        ready = [o for o in objects if isinstance(o, ClickObject)]
        wanted = ready if len(ready) == len(objects) else click_objects(list(objects), "objects")
    return run_task(click_task(array, wanted, model, device), progress)


def propagate(
    stack: NDArray[Any] | str | Path,
    masks: NDArray[Any] | str | Path,
    *,
    plane: int = 0,
    axes: str | None = None,
    model: str = "auto",
    device: str = "auto",
    progress: ProgressListener | None = None,
) -> PropagatedLabels:
    """Carry the cells of one plane or frame through a stack or movie, forwards and backwards.

    Parameters
    ----------
    stack : (n, Y, X) or (n, Y, X, C), over z or time, or the path of one.
    masks : (Y, X) labels of one plane, or (n, Y, X) of which that plane is taken; or the path of a label image.
    plane : the plane the cells are carried from, counted from 0.
    axes : of a file: letters of TZCYXS, one an axis, where it does not name them or names them wrongly.
    model : what answers in the next plane: a click model of the catalogue, "level-sets", a model with a memory (SAM 2, where
        the package sam2 is installed), or "auto" for the best click model that is here.
    device : "auto", "cpu", "cuda" or "mps".
    progress : called with each step.

    Returns
    -------
    PropagatedLabels
        Labels (n, Y, X), and for each cell the planes it reaches and why it ended. A cell ends before the first plane
        where its area jumps, it overlaps its neighbour little, the score falls, or it fades.

    Raises
    ------
    ImageError
        If the image is no stack, the masks do not fit, or there is no such plane or no cell.
    ModelError
        If there is no such model, or its weights or package are missing.
    """
    from napari_biofm.images.prompt.propagate_labels import propagate_labels

    if isinstance(stack, str | Path):
        pixels, is_stack = read_stack(Path(stack), axes)
        if not is_stack:
            raise ImageError(f"{Path(stack).name} is no stack or movie; name its axes where it is one.")
    else:
        pixels = np.asarray(stack)
    if pixels.ndim not in (3, 4):
        raise ImageError(f"a stack (n, Y, X) or (n, Y, X, C) is needed, not one of shape {pixels.shape}.")
    labels = read_labels(Path(masks)) if isinstance(masks, str | Path) else as_labels(masks)
    if labels.ndim == 3 and 0 <= plane < len(labels):
        labels = labels[plane]
    return run_task(propagate_labels(pixels, labels, plane, model, device), progress)
