"""Files of masks as files for other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_biofm.api.export_files import OUTLINES, TABLES, Load, Output
from napari_biofm.api.export_formats import with_classes, write_masks_as_nwb, write_outlines, write_table
from napari_biofm.images.io.exchange.formats import read_cells
from napari_biofm.images.io.names import MASK_ENDINGS, stem_of
from napari_biofm.types import ImageError, Labels

if TYPE_CHECKING:
    from napari_biofm.signals.nwb_about import NwbAbout


def outputs_of_masks(
    masks: Sequence[Path],
    formats: Sequence[str],
    images: Sequence[Path] = (),
    classes: Mapping[int, str] | None = None,
    plane: int | None = None,
    about: NwbAbout | None = None,
) -> list[Output]:
    """Return the files that label images, or outlines of other programs, become.

    Parameters
    ----------
    masks : files, read by `read_cells`.
    formats : of `FORMATS`.
    images : one per file of masks, or none: for intensities, for names, and for the shape of outlines.
    classes : class by label, beside those a file has.
    plane : of a stack, counted from 0, for formats that hold one plane.
    about : the experiment and the animal, for NWB.

    Raises
    ------
    ImageError
        If there are images, and not one per file of masks, or two results would share a name.
    """
    if images and len(images) != len(masks):
        raise ImageError(
            f"{len(images)} images were given for {len(masks)} files of masks; give one for each."
        )
    beside: Sequence[Path | None] = images or [None] * len(masks)
    pairs = list(zip(masks, beside, strict=True))
    names = _names_of(pairs)
    found: list[Output] = []
    for (path, image), name in zip(pairs, names, strict=True):
        load = partial(_read, path, image, dict(classes or {}))
        found += [
            Output(name + OUTLINES[f], partial(_outlines, load, plane, _image_path(image)))
            for f in formats
            if f in OUTLINES
        ]
        found += [
            Output(f"{name}_cells{TABLES[f]}", partial(_measured, load, image, name))
            for f in formats
            if f in TABLES
        ]
        if "nwb" in formats:
            found.append(Output(f"{name}.nwb", partial(_masks_as_nwb, load, path, about)))
    return found


def _names_of(pairs: Sequence[tuple[Path, Path | None]]) -> list[str]:
    """Return what results of each file are called: like the image, else like the masks without their ending."""
    plain = [stem_of(image) if image is not None else _without_ending(path) for path, image in pairs]
    often = Counter(name.casefold() for name in plain)
    names = [
        path.name if often[name.casefold()] > 1 else name
        for name, (path, _) in zip(plain, pairs, strict=True)
    ]
    often = Counter(name.casefold() for name in names)
    for name, (path, _) in zip(names, pairs, strict=True):
        if often[name.casefold()] > 1:
            raise ImageError(f"more than one file is called like {path}; export them into different folders.")
    return names


def _without_ending(path: Path) -> str:
    stem = stem_of(path)
    ending = next((e for e in (*MASK_ENDINGS, "_seg", "_rois", "_coco") if stem.lower().endswith(e)), "")
    return stem[: len(stem) - len(ending)] or stem


def _image_path(image: Path | None) -> str:
    return "" if image is None else str(image.resolve())


def _read(path: Path, image: Path | None, classes: Mapping[int, str]) -> tuple[Labels, Mapping[int, str]]:
    from napari_biofm.session.parts import read_labels

    if path.is_dir():  # labels as OME-Zarr
        return read_labels(path), classes
    shape = None
    if image is not None:
        from napari_biofm.api.images import open_image

        pixels, is_stack = open_image(image)
        shape = tuple(pixels.shape[: 2 + is_stack])
    found = read_cells(path, shape)
    return found.labels, {**found.classes, **classes}


def _outlines(load: Load, plane: int | None, image: str, path: Path) -> Sequence[str]:
    labels, classes = load()
    return write_outlines(path, labels, classes, image or path.stem, plane)


def _measured(load: Load, image: Path | None, name: str, path: Path) -> Sequence[str]:
    from napari_biofm.api.cells import measure

    labels, classes = load()
    write_table(with_classes(measure(labels, image, layer=name, name=name), classes), path)
    return () if image is not None else ("shapes only; give --image for intensities",)


def _masks_as_nwb(load: Load, source: Path, about: NwbAbout | None, path: Path) -> Sequence[str]:
    labels, _ = load()
    write_masks_as_nwb(path, labels, stem_of(source), source.resolve(), about)
    return ()
