"""The verb `active-cells`: cells of a movie found by their activity in another program, and their traces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.api.active_cells import NAMES, PROGRAMS, active_cells
from napari_biofm.cli.common import inputs_exist, note, shown
from napari_biofm.cli.signals import add_movie_reading
from napari_biofm.signals.curation import accepted_cells


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "active-cells", help="cells of a movie by their activity, in suite2p or CaImAn where it is installed"
    )
    verb.add_argument("movie", type=Path, metavar="MOVIE", help="the movie, frames first")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="the program's own results")
    verb.add_argument(
        "--program",
        "--with",
        choices=list(PROGRAMS),
        default="suite2p",
        help="the program that looks for them; it must be installed",
    )
    verb.add_argument(
        "--decay",
        type=float,
        default=1.0,
        metavar="S",
        help="of the indicator (suite2p's tau, CaImAn's decay_time; seconds; default 1)",
    )
    verb.add_argument(
        "--radius",
        type=float,
        default=5.0,
        metavar="PX",
        help="CaImAn: half the size of a cell (gSig; pixels; default 5)",
    )
    verb.add_argument(
        "--components",
        type=int,
        default=100,
        metavar="N",
        help="CaImAn: cells that are looked for (K; default 100)",
    )
    verb.add_argument("--no-motion", action="store_true", help="the movie is corrected already")
    add_movie_reading(verb)
    verb.set_defaults(run=run_active_cells)


def run_active_cells(args: argparse.Namespace) -> None:
    """Run the program and say what it found."""
    inputs_exist([args.movie])
    found = active_cells(
        args.movie, args.out, program=args.program, frame_rate=args.frame_rate, decay_s=args.decay,
        register=not args.no_motion, radius_px=args.radius, components=args.components, channel=args.channel, plane=args.plane,
        progress=shown(args.movie.name),
    )  # fmt: skip
    n = int(accepted_cells(found).sum())
    note(f"{found.n_channels} regions, {n} of them cells as {NAMES[args.program]} says; open {found.path}")
