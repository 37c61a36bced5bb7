"""The verb `cells match`: which cells of two sessions are the same."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.api.matching import masks_of_cells, match_cells
from napari_biofm.cli.common import inputs_exist, note
from napari_biofm.cli.reading import add_rejected
from napari_biofm.files import write_text
from napari_biofm.types import CellsError


def add_match(what: Any) -> None:
    """Add the verb to the parser."""
    verb = what.add_parser("match", help="pair the cells of two sessions of one field")
    cells = "label image, or results of suite2p, CaImAn or NWB with masks, of the {} session"
    verb.add_argument("first", type=Path, metavar="MASK", help=cells.format("first"))
    verb.add_argument("second", type=Path, metavar="MASK", help=cells.format("second"))
    verb.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="a row per cell of either session"
    )
    verb.add_argument(
        "--masks-out", type=Path, metavar="TIFF", help="the second session with the ids of the first"
    )
    verb.add_argument(
        "--most-px",
        type=float,
        default=8.0,
        metavar="PX",
        help="largest distance of centres (pixels; default 8)",
    )
    verb.add_argument(
        "--least-score", type=float, default=0.3, metavar="0..1", help="pairs below it are none (default 0.3)"
    )
    verb.add_argument(
        "--with",
        dest="program",
        choices=["roicat"],
        default="",
        help="pair with ROICaT where it is installed (default: our own; --most-px and --least-score are its)",
    )
    verb.add_argument(
        "--um-per-pixel",
        type=float,
        default=1.0,
        metavar="UM",
        help="side of a pixel, for ROICaT (um; default 1)",
    )
    add_rejected(verb)
    verb.set_defaults(run=run_match)


def run_match(args: argparse.Namespace) -> None:
    """Write the pairs, and the cells that are alone."""
    inputs_exist([args.first, args.second])
    if args.masks_out is not None and args.masks_out.suffix.lower() not in (".tif", ".tiff"):
        raise CellsError(f"{args.masks_out.name}: masks are written as .tif")
    (a, of_a), (b, of_b) = (masks_of_cells(one, args.rejected) for one in (args.first, args.second))
    for path, said in ((args.first, of_a), (args.second, of_b)):
        if said:
            note(f"{path.name}: {said}" + ("" if args.rejected else " (--rejected includes them)"))
    found = match_cells(
        a,
        b,
        most_px=args.most_px,
        least_score=args.least_score,
        program=args.program,
        um_per_pixel=args.um_per_pixel,
    )
    lines = ["first,second,overlap,distance_px,score,margin"]
    pairs = zip(
        found.first, found.second, found.overlap, found.distance, found.score, found.margin, strict=True
    )
    lines += [f"{i},{j},{o:.4f},{d:.3f},{s:.4f},{m:.4f}" for i, j, o, d, s, m in pairs]
    lines += [f"{i},,,,," for i in found.only_first] + [f",{j},,,," for j in found.only_second]
    write_text(args.out, "\n".join(lines) + "\n")
    if args.masks_out is not None:
        from napari_biofm.images.io.masks import write_mask

        write_mask(args.masks_out, found.relabelled(b, a))
    shift = found.transform[:, 2]
    note(
        f"{len(found.first)} pairs, {len(found.only_first)} cells only in the first and {len(found.only_second)} only in the "
        f"second; shift {shift[0]:.1f}, {shift[1]:.1f} px, median overlap {np.median(found.overlap) if len(found.overlap) else 0:.2f}"
    )
