"""`convert`: masks of cells from and to the files of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import inputs_exist, note
from napari_biofm.cli.results import add_replacing, kept
from napari_biofm.images.io.exchange.formats import FORMATS


def add_verbs(verbs: Any) -> None:
    """Add the verb of this room to the parser."""
    convert = verbs.add_parser(
        "convert", help=f"masks of cells from and to other programs: {', '.join(FORMATS.values())}"
    )
    convert.add_argument(
        "file", type=Path, metavar="IN", help="masks, outlines or regions of another program"
    )
    convert.add_argument("--out", type=Path, required=True, metavar="OUT", help="its ending says the format")
    convert.add_argument(
        "--image", type=Path, metavar="IMG", help="the image, where IN does not say its shape"
    )
    convert.add_argument(
        "--classes",
        type=Path,
        metavar="CSV",
        help="object_id,label: classes written where the format has room",
    )
    convert.add_argument("--classes-out", type=Path, metavar="CSV", help="write the classes that IN has")
    add_replacing(convert)
    convert.set_defaults(run=run_convert)


def run_convert(args: argparse.Namespace) -> None:
    """Read one file, write the other."""
    from napari_biofm.api.images import open_image
    from napari_biofm.cells.table.files import read_classes_by_label, write_predictions
    from napari_biofm.images.io.exchange.formats import read_cells, write_cells
    from napari_biofm.images.io.names import stem_of

    inputs_exist([p for p in (args.file, args.image, args.classes) if p is not None])
    if kept(args.out, force=args.force, resume=args.resume):
        return
    shape = None
    if args.image is not None:
        pixels, is_stack = open_image(args.image)
        shape = pixels.shape[:3] if is_stack else pixels.shape[:2]
    found = read_cells(args.file, shape)
    classes = dict(found.classes)
    if args.classes is not None:
        classes |= read_classes_by_label(args.classes)
    name = args.image.name if args.image is not None else ""
    notes = (*found.notes, *write_cells(args.out, found.labels, classes, name))
    for words in notes:
        note(words)
    if args.classes_out is not None:
        stem = stem_of(args.image if args.image is not None else args.file)
        ids = [f"{stem}:{label}" for label in found.classes]
        write_predictions(args.classes_out, ids, found.classes.values(), [1.0] * len(ids))
    import numpy as np

    note(f"{len(np.unique(found.labels[found.labels > 0]))} cells in {args.out.name}")
