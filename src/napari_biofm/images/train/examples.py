"""What a network is taught with: images with corrected masks, some of them kept back for the score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.lazy import read_stack
from napari_biofm.images.io.masks import as_labels, numbered, read_labels
from napari_biofm.images.io.names import MaskNames, is_mask_name, stem_of
from napari_biofm.images.io.normalization import as_channels
from napari_biofm.images.io.series import ENDINGS
from napari_biofm.types import Image, ImageError, Labels

_FEW, _PIECES = 16, 4  # a label image of so many values has at most so many pieces of each
_LEAST_SIDE = 32  # pixels; smaller pictures hold no cell with its surroundings


@dataclass(frozen=True)
class Example:
    """One image and the masks a person stands for.

    Attributes
    ----------
    image : (Y, X) or (Y, X, C), any real dtype.
    masks : (Y, X) integer labels; every cell of the image has to be there, or its absence is learnt.
    name : shown to the user and kept in the report.
    held_back : never learnt from; the score before and after is taken on these.
    origin : of which image or stack it is a part; parts of one are no fair score for each other.
    """

    image: Image
    masks: Labels
    name: str
    held_back: bool = False
    origin: str = ""


def share_origin(examples: Sequence[Example]) -> bool:
    """Say whether parts of one image are learnt from and held back."""
    taught = {e.origin or e.name for e in examples if not e.held_back}
    return any((e.origin or e.name) in taught for e in examples if e.held_back)


def check_examples(examples: Sequence[Example]) -> list[Example]:
    """Return the examples as (Y, X, C) float32 with int32 labels.

    Raises
    ------
    ImageError
        When there is none, or one has no cells, another shape than its masks, or hardly any pixels.
    """
    if not examples:
        raise ImageError("no example was given; add an image with corrected masks first")
    checked = []
    for example in examples:
        pixels, masks = as_channels(example.image), as_labels(example.masks, example.name)
        if masks.shape != pixels.shape[:2]:
            raise ImageError(
                f"{example.name}: the image is {pixels.shape[:2]}, its masks {masks.shape}; they must be equal"
            )
        if min(masks.shape) < _LEAST_SIDE:
            raise ImageError(f"{example.name} is {masks.shape}; at least {_LEAST_SIDE} pixels are needed")
        if not masks.any():
            raise ImageError(f"{example.name} has no cell in its masks; correct it or leave it out")
        _check_cells(masks, example.name)
        checked.append(replace(example, image=pixels, masks=numbered(masks)))
    return checked


def hold_back(examples: Sequence[Example], fraction: float = 0.25) -> list[Example]:
    """Keep every n-th example back where none is kept back yet; the first is always learnt from.

    Copies and parts of one image stay on one side.

    Parameters
    ----------
    examples : two or more; a single one is returned as it is, see `cut_single`.
    fraction : of the examples to keep back, between 0 and 1; at least one is.
    """
    if any(example.held_back for example in examples) or len(examples) < 2:
        return list(examples)
    units = [example.origin or f"example {number}" for number, example in enumerate(examples)]
    if len(set(units)) < 2:  # parts of one image: a weak check, and `share_origin` says so
        units = [f"example {number}" for number in range(len(examples))]
    order = list(dict.fromkeys(units))
    wanted = min(len(order) - 1, max(1, round(fraction * len(order))))
    chosen = {order[len(order) - 1 - round(k * (len(order) - 1) / wanted)] for k in range(wanted)}
    return [replace(example, held_back=unit in chosen) for unit, example in zip(units, examples, strict=True)]


def verdict_of(
    is_better: bool,
    same_image: bool = False,
    word: str = "better",
    advice: str = "keep the old model, or add examples",
) -> str:
    """Return what scores before and after a training say, in words.

    Parameters
    ----------
    is_better : whether the score after it is higher.
    same_image : whether what was scored on are parts of images that were learnt from.
    word, advice : what it is now, and what to do where it is not.
    """
    same = " (they are parts of images it learnt from: hold back another image for a fair score)"
    return (word if is_better else f"no {word}: {advice}") + (same if same_image else "")


def cut_single(examples: Sequence[Example]) -> list[Example]:
    """Cut the end of a single example off, to keep it back: a weak check, but an honest one.

    Raises
    ------
    ImageError
        When one of the parts would have no cell.
    """
    if len(examples) != 1:
        return list(examples)
    example = examples[0]
    along = int(np.argmax(example.masks.shape))
    border = 3 * example.masks.shape[along] // 4
    head, tail = (
        (slice(None, border), slice(border, None))
        if along == 0
        else (
            (slice(None), slice(None, border)),
            (slice(None), slice(border, None)),
        )
    )
    if not example.masks[head].any() or not example.masks[tail].any():
        raise ImageError(
            f"{example.name} is the only example and cannot be divided into cells to learn from and cells "
            "to score on; add a second image with corrected masks"
        )
    name, origin = example.name, example.origin or example.name
    return [
        Example(example.image[head], example.masks[head], f"{name}, first three quarters", False, origin),
        Example(example.image[tail], example.masks[tail], f"{name}, last quarter", True, origin),
    ]


def read_examples(images: Path, masks: Path | None = None) -> list[Example]:
    """Read the images of a folder that have masks.

    Parameters
    ----------
    images : folder of images.
    masks : folder of label images called `<stem>_labels`, `_mask`, `_masks`, `_cp_masks`, or like the
        image; `images/labels` where it is there (the annotation dock writes to it), else `images` itself.

    Raises
    ------
    ImageError
        When no image has masks.
    """
    own = masks is None
    names = [p for p in sorted(images.glob("*")) if p.suffix.lower() in ENDINGS and not is_mask_name(p)]
    if masks is None:
        masks = images / "labels" if (images / "labels").is_dir() else images
    found = []
    labelled = MaskNames(masks, names)
    for path in names:
        label_file = labelled.of(path)
        if label_file is not None:
            pixels = _plane(path)
            found.append(Example(pixels, read_labels(label_file), path.name))
    if not found:
        where = f"{masks}" + (" (give another folder with --masks)" if own else "")
        raise ImageError(f"no image of {images} has masks in {where}; they are called <image>_labels.tif")
    return _with_origins(found)


def read_images(images: Path) -> list[Example]:
    """Read all images of a folder, without masks.

    Raises
    ------
    ImageError
        When there is none.
    """
    found = []
    for path in sorted(images.glob("*")):
        if path.suffix.lower() in ENDINGS and not is_mask_name(path):
            pixels = _plane(path)
            found.append(Example(pixels, np.zeros(pixels.shape[:2], np.int32), path.name))
    if not found:
        raise ImageError(f"{images} holds no images ({', '.join(ENDINGS)}); choose another folder")
    return _with_origins(found)


def _plane(path: Path) -> NDArray[Any]:
    """Read an image to learn from, channels last.

    Raises
    ------
    ImageError
        If it is a stack: nobody says which plane its masks belong to.
    """
    image, is_stack = read_stack(path)
    if is_stack:
        raise ImageError(
            f"{path.name} is a stack of shape {image.shape}; save the planes to learn from one by one."
        )
    return image


def _with_origins(examples: list[Example]) -> list[Example]:
    """Say which examples show one picture: those called alike but for the ending, and those of equal pixels."""
    first: dict[str, int] = {}
    unit = list(range(len(examples)))
    for number, example in enumerate(examples):
        digest = hashlib.sha256(str(example.image.shape).encode())
        digest.update(np.ascontiguousarray(example.image, np.float64).tobytes())
        for key in (stem_of(Path(example.name)).casefold(), digest.hexdigest()):
            former = unit[first.setdefault(key, number)]
            unit = [former if u == unit[number] else u for u in unit]
    return [replace(e, origin=examples[u].name) for e, u in zip(examples, unit, strict=True)]


def _check_cells(masks: Labels, name: str) -> None:
    """Raise ImageError for a picture that was given in place of masks: its values lie scattered."""
    from skimage.measure import label

    n_ids = len(np.unique(masks[masks > 0]))
    n_pieces = int(label(masks, connectivity=2, background=0).max())
    if n_ids >= _FEW and n_pieces > _PIECES * n_ids:
        raise ImageError(
            f"{name}: the masks have {n_ids} values in {n_pieces} separate pieces, as a picture has; give the label "
            "image, with one value per cell."
        )
