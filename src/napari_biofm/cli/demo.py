"""The verb `demo`: the whole path on a simulated co-recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import note
from napari_biofm.types import BiofmError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    demo = verbs.add_parser("demo", help="a worked example in napari")
    demo.add_argument("--headless", action="store_true", help="without a person: needs --out")
    demo.add_argument("--out", type=Path, default=None, metavar="DIR")
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Open napari and walk the path."""
    if args.headless and args.out is None:
        raise BiofmError("demo --headless leaves its results in a folder: give --out DIR.")
    try:
        from napari_biofm.widgets.demo import run_demo
    except ImportError as error:
        raise BiofmError(f"The demo needs Qt ({error}): pip install 'napari-biofm[all]'.") from error
    run_demo(args.out, args.headless)
    if args.out is not None:
        note(f"screenshot.png, cells.csv, events.csv and report.json are in {args.out}")
