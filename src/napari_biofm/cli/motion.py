"""The verb `motion`: a movie with its motion taken back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from napari_biofm.api.motion import correct_motion
from napari_biofm.cli.common import inputs_exist, note, print_json, shown
from napari_biofm.cli.signals import add_movie_reading
from napari_biofm.images.motion.settings import Mode
from napari_biofm.types import ImageError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser("motion", help="correct the motion of a movie, rigid or in blocks")
    verb.add_argument("movie", type=Path, metavar="MOVIE", help="the movie, frames first")
    verb.add_argument(
        "--out", type=Path, required=True, metavar="TIFF", help="float32, NaN where nothing was seen"
    )
    verb.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="rigid",
        help="one shift for the whole frame, or one for each block",
    )
    verb.add_argument("--most", type=float, default=30.0, metavar="PX", help="largest shift along an axis")
    verb.add_argument("--block", type=int, default=96, metavar="PX", help="side of a block, for piecewise")
    verb.add_argument(
        "--register-on", type=int, default=None, metavar="N", help="channel in which the motion is measured"
    )
    verb.add_argument(
        "--lines",
        action="store_true",
        help="move back odd lines that lie beside even ones (scanning to and fro)",
    )
    verb.add_argument(
        "--resume",
        action="store_true",
        help="go on where a run that was cut off stood; its shifts lie beside --out",
    )
    verb.add_argument("--json", action="store_true", help="the numbers as JSON on stdout")
    add_movie_reading(verb)
    verb.set_defaults(run=run_motion)


def run_motion(args: argparse.Namespace) -> None:
    """Write the corrected movie, and shifts and template beside it."""
    inputs_exist([args.movie])
    if args.out.suffix.lower() not in (".tif", ".tiff"):
        raise ImageError(f"{args.out.name}: a corrected movie is written as .tif")
    found = correct_motion(
        args.movie, args.out, mode=args.mode, most=args.most, block=args.block, frame_rate=args.frame_rate,
        channel=args.channel, plane=args.plane, register_on=args.register_on, lines=args.lines,
        resume=args.resume, progress=shown(args.movie.name),
    )  # fmt: skip
    for warning in found.warnings:
        note(warning)
    motion = found.motion
    note(motion.in_words())
    if args.json:
        print_json(
            {
                "frames": len(motion.shifts), "largest_shift_px": float(abs(motion.shifts).max()),
                "border_px": list(motion.border), "correlation_before": motion.correlation[0],
                "correlation_after": motion.correlation[1], "crispness_before": motion.crispness[0],
                "crispness_after": motion.crispness[1], "line_phase_px": found.line_phase,
            }
        )  # fmt: skip
