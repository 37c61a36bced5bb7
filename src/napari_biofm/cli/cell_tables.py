"""`cells measure`: a table of cells with units, as a paper needs it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.cells.table.quantities import REACH
from napari_biofm.cli.common import inputs_exist, note, shown
from napari_biofm.cli.results import add_replacing, kept
from napari_biofm.types import CellsError


def add_measure(what: Any) -> None:
    """Add the verb."""
    measure = what.add_parser(
        "measure", help="size, shape, intensity per channel and neighbours of every cell, in a CSV with units"
    )
    measure.add_argument(
        "--images", type=Path, nargs="+", default=[], metavar="IMG|DIR",
        help="an image, several of one field (their channels side by side), or a folder; shapes alone if not given",
    )  # fmt: skip
    measure.add_argument(
        "--masks",
        type=Path,
        required=True,
        metavar="MASK|DIR",
        help="label image, or a folder of them named like the images",
    )
    measure.add_argument(
        "--within", type=Path, metavar="MASK", help="masks of whole cells, where --masks are nuclei"
    )
    measure.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table, one row per cell")
    measure.add_argument(
        "--channel", action="append", metavar="NAME|N", help="a channel to measure; all if not given"
    )
    measure.add_argument("--axes", metavar="TZCYX", help="what the axes are, where the file does not say")
    measure.add_argument(
        "--pixel-size", type=float, nargs="+", metavar="UM", help="micrometres: one number, or one per axis"
    )
    measure.add_argument(
        "--frames",
        action="store_true",
        help="the first axis is time: a row per cell and frame; else a volume",
    )
    measure.add_argument(
        "--neighbour-distance", type=float, default=REACH, metavar="PX", help="between borders of neighbours"
    )
    add_replacing(measure)
    measure.set_defaults(run=run_measure)


def run_measure(args: argparse.Namespace) -> None:
    """Write the table."""
    import pandas as pd

    from napari_biofm.cells.table.export import write_rows

    inputs_exist([*args.images, args.masks, *([args.within] if args.within else [])])
    if args.out.suffix.lower() != ".csv":
        raise CellsError(f"{args.out} should end in .csv.")
    if kept(args.out, force=args.force, resume=args.resume):
        return
    if args.masks.is_dir():
        rows = pd.concat([_field(args, image, masks) for image, masks in _pairs(args)], ignore_index=True)
    else:
        rows = _field(args, args.images, args.masks)
    write_rows(rows, args.out)
    note(f"{len(rows)} rows, {len(rows.columns)} columns in {args.out.name}")


def _pairs(args: argparse.Namespace) -> list[tuple[list[Path], Path]]:
    from napari_biofm.cells.table.files import mask_pairs

    if len(args.images) != 1 or not args.images[0].is_dir() or args.within is not None:
        raise CellsError("A folder of --masks goes with one folder of --images, without --within.")
    return [([image], masks) for image, masks in mask_pairs(args.images[0], args.masks)]


def _field(args: argparse.Namespace, images: list[Path], masks: Path) -> Any:
    from napari_biofm.api.measuring import channels_of_images, measure_cells, pixel_size_of
    from napari_biofm.cells.table.quantities import MeasuredOn
    from napari_biofm.images.io.masks import read_labels
    from napari_biofm.images.io.names import stem_of

    labels = read_labels(masks)
    channels = [int(c) if c.isdigit() else c for c in args.channel] if args.channel else None
    by_name = channels_of_images(images, labels.shape, None, args.axes, channels)
    within = None if args.within is None else read_labels(args.within)
    size = pixel_size_of(images, labels.ndim, args.pixel_size)
    name = stem_of(images[0]) if images else stem_of(masks)
    on = MeasuredOn(by_name, name, size, "", within)
    kind = "frames" if args.frames else "a volume" if labels.ndim == 3 else "a plane"
    known = "pixel size unknown" if size is None else " x ".join(f"{s:g}" for s in size) + " um"
    note(
        f"{name}: {len(np.unique(labels)) - 1} labels in {kind}, channels: {', '.join(by_name) or 'none'}; {known}"
    )
    return measure_cells(labels, on, args.frames, args.neighbour_distance, shown(name))
