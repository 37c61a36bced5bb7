"""What verbs on recordings share: options of reading, the recording, its channels."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_biofm.cli.common import inputs_exist
from napari_biofm.events.detect import signal_channels
from napari_biofm.signals import Recording, read_part, read_recording
from napari_biofm.types import RecordingError


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
    recording = read_recording(path, sampling_rate=args.sampling_rate, unit=args.unit)
    return recording if args.part is None else read_part(recording, args.part)


def channels_of(recording: Recording, args: argparse.Namespace) -> list[int]:
    """Return the channel asked for, or all that are no commands or triggers.

    Raises
    ------
    RecordingError
        If the recording has no such channel.
    """
    if args.channel is None:
        return signal_channels(recording)
    if not 0 <= args.channel < recording.n_channels:
        raise RecordingError(
            f"channel {args.channel} asked for in {recording.name}; it has 0 to {recording.n_channels - 1}"
        )
    return [args.channel]
