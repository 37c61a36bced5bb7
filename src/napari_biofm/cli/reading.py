"""What verbs on recordings share: options of reading, and the recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_biofm.api.signals import read_recording
from napari_biofm.cli.common import inputs_exist
from napari_biofm.signals import Recording


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what a file may leave to the user."""
    parser.add_argument("--sampling-rate", type=float, default=None, metavar="HZ")
    parser.add_argument("--unit", default=None, help="unit of the values, where the file does not say")
    parser.add_argument(
        "--part", type=int, default=None, metavar="N", help="of a file with several, as `info` lists them"
    )


def open_recording(args: argparse.Namespace) -> Recording:
    """Read the recording named by the arguments."""
    inputs_exist([args.file])
    return open_one(args.file, args)


def open_one(path: Path, args: argparse.Namespace) -> Recording:
    """Read one recording as the arguments say: its rate and unit, and which part of the file."""
    return read_recording(path, sampling_rate=args.sampling_rate, unit=args.unit, part=args.part)
