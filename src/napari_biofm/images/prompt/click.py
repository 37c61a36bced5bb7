"""Prompts of several objects -> one label image: point and click without a window."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.images.prompt import backends
from napari_biofm.types import Image, ImageError, Labels, Progress, Prompt, Promptable, Task


@dataclass(frozen=True)
class ClickObject:
    """One object and what was said about it.

    Attributes
    ----------
    label : its id in the label image, 1 or more.
    prompt : points and box in pixels of the image.
    """

    label: int
    prompt: Prompt


@dataclass(frozen=True)
class Clicked:
    """What came of it.

    Attributes
    ----------
    labels : (Y, X) int32; an object keeps the pixels that an earlier one has.
    masks : full boolean mask (Y, X) per id, overlaps included.
    scores : expected IoU per id.
    model : name of the backend.
    """

    labels: Labels
    masks: dict[int, NDArray[np.bool_]]
    scores: dict[int, float]
    model: str


def read_prompts(path: str | Path) -> list[ClickObject]:
    """Read objects from a JSON file: a list of `{"id": 1, "points": [[y, x, 1|0], ...], "box": [y0, x0, y1,
    x1]}`.

    Raises
    ------
    ImageError : if the file cannot be read or an entry is not of this form; names the entry.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ImageError(f"{path}: prompts cannot be read ({error}).") from error
    return click_objects(entries, str(path))


def click_objects(entries: object, source: str) -> list[ClickObject]:
    """Read objects from a list such as a JSON file of prompts holds.

    Parameters
    ----------
    entries : the list.
    source : where it comes from, for messages.

    Raises
    ------
    ImageError : if an entry is not of this form, or two have the same id.
    """
    if not isinstance(entries, list):
        raise ImageError(f"{source}: prompts must be a list of objects, not {type(entries).__name__}.")
    objects = [_object(entry, f"{source}, object {number}") for number, entry in enumerate(entries)]
    ids = [o.label for o in objects]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ImageError(f"{source}: id {twice[0]} is given to more than one object; ids must differ.")
    return objects


def _object(entry: Any, where: str) -> ClickObject:
    if (
        not isinstance(entry, Mapping)
        or not isinstance(entry.get("id"), int)
        or isinstance(entry["id"], bool)
    ):
        raise ImageError(
            f"{where}: wanted {{'id': integer, 'points': [...], 'box': ...}}, got {entry!r:.80}."
        )
    if not 1 <= entry["id"] < 2**31:
        raise ImageError(f"{where}: id {entry['id']} is not between 1 and 2147483647.")
    points = _numbers(entry.get("points") or [], 3, f"{where}: points are [[y, x, 1 or 0], ...]")
    if not np.isin(points[:, 2], (0, 1)).all():
        raise ImageError(f"{where}: the third number of a point is 1 (inside) or 0 (outside).")
    box = entry.get("box")
    corners = None
    if box is not None:
        y0, x0, y1, x1 = _numbers([box], 4, f"{where}: a box is [y0, x0, y1, x1]")[0].tolist()
        corners = (min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1))
    if corners is None and not (points[:, 2] == 1).any():
        raise ImageError(f"{where}: has neither a positive point nor a box; say where the object is.")
    return ClickObject(entry["id"], Prompt(points[:, :2], points[:, 2] == 1, corners))


def _numbers(values: Any, width: int, wanted: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, np.float64).reshape(-1, width)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{wanted}, got {values!r:.80}.") from error
    if len(array) != len(values) or not np.isfinite(array).all():
        raise ImageError(f"{wanted} of finite numbers, got {values!r:.80}.")
    return array


def click(
    image: Image,
    objects: Iterable[ClickObject],
    model: str = "auto",
    device: str = "auto",
    promptable: Promptable[Any] | None = None,
) -> Task[Clicked]:
    """Answer the prompts of all objects of one image, in their order.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C).
    model : a click model of the catalogue, "level-sets", or "auto" for the best that is here.
    promptable : used instead of a model by name.

    Raises
    ------
    ImageError : if a prompt lies outside of the image or the image is no plane.
    """
    wanted = list(objects)
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ImageError(
            f"Clicks need an image (Y, X) or (Y, X, C) with pixels, not one of shape {pixels.shape}."
        )
    shape = (int(pixels.shape[0]), int(pixels.shape[1]))
    for o in wanted:
        _check_inside(o, shape)
    tool = promptable or backends.promptable(model, device)
    prepared = yield from tool.prepare(pixels)
    labels = np.zeros(shape, np.int32)
    masks: dict[int, NDArray[np.bool_]] = {}
    scores: dict[int, float] = {}
    for number, o in enumerate(wanted):
        yield Progress(number, len(wanted), f"object {o.label}")
        found, expected = tool.predict(prepared, o.prompt)
        masks[o.label], scores[o.label] = np.asarray(found[0], bool), float(expected[0])
        labels[masks[o.label] & (labels == 0)] = o.label
    return Clicked(labels, masks, scores, tool.name)


def _check_inside(o: ClickObject, shape: tuple[int, int]) -> None:
    points = o.prompt.points
    outside = ((points < -0.5) | (points > np.array(shape) - 0.5)).any(axis=1)
    if outside.any():
        y, x = points[outside][0]
        raise ImageError(f"Object {o.label}: point ({y:g}, {x:g}) lies outside of the image {shape}.")
    box = o.prompt.box
    if box is not None and (box[0] >= shape[0] or box[1] >= shape[1] or box[2] <= 0 or box[3] <= 0):
        raise ImageError(f"Object {o.label}: box {box} lies outside of the image {shape}.")


def save_clicks(
    clicked: Clicked, folder: str | Path, stem: str, archive: str = "clicks.npz"
) -> tuple[Path, Path]:
    """Write `<stem>_clicks.tif` (labels) and an archive with one mask per id, each whole or not at all."""
    import tifffile

    target = Path(folder)
    image, packed = target / f"{stem}_clicks.tif", target / archive
    with atomic_write(image) as part:
        tifffile.imwrite(part, clicked.labels, compression="zlib")
    masks: dict[str, Any] = {str(label): mask for label, mask in clicked.masks.items()}
    with atomic_write(packed) as part:
        np.savez_compressed(part, **masks)
    return image, packed
