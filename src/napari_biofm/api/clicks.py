"""Clicks: objects outlined from points and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_biofm.images.io.checks import check_image
from napari_biofm.images.io.lazy import read_stack
from napari_biofm.types import ImageError, ProgressListener, run_task

if TYPE_CHECKING:
    from napari_biofm.images.prompt.click import Clicked, ClickObject


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
