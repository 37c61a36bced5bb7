"""What verbs on recordings share: options of reading, the recording, and what is said of its channels and units."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_biofm.api.signals import read_recording
from napari_biofm.cli.common import inputs_exist, note
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import skipped_channels
from napari_biofm.signals.plausible import hints_in_words, unit_hints

if TYPE_CHECKING:
    from napari_biofm.events.recognising import KindChoice


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what a file may leave to the user."""
    parser.add_argument(
        "--sampling-rate",
        type=float,
        default=None,
        metavar="HZ",
        help="in Hz, where the file does not say, or says a wrong one",
    )
    parser.add_argument(
        "--unit",
        default=None,
        metavar="UNIT|N=UNIT,...",
        help="of the values, where the file does not say, or says a wrong one; by channel as 1=mV,2=pA",
    )
    parser.add_argument(
        "--part", type=int, default=None, metavar="N", help="of a file with several, as `info` lists them"
    )
    parser.add_argument("--dataset", default=None, metavar="NAME", help="of an HDF5 file with several")


def add_channel(parser: argparse.ArgumentParser) -> None:
    """Add the choice of channels."""
    parser.add_argument(
        "--channel",
        type=_channel,
        default=None,
        metavar="N|all",
        help="counted from 0, or all; without it those of cells (no commands, triggers, pressure ...)",
    )


def add_rejected(parser: argparse.ArgumentParser) -> None:
    """Add the choice of rejected cells."""
    parser.add_argument(
        "--rejected",
        action="store_true",
        help="rejected cells, too (suite2p's iscell, CaImAn's components, verdicts; default: they are left out)",
    )


def _channel(text: str) -> int | Literal["all"]:
    return "all" if text == "all" else int(text)


def open_recording(args: argparse.Namespace) -> Recording:
    """Read the recording named by the arguments."""
    inputs_exist([args.file])
    return open_one(args.file, args)


def open_one(path: Path, args: argparse.Namespace) -> Recording:
    """Read one recording as the arguments say, and tell on stderr what looks wrong and what is left out."""
    channel, unit = getattr(args, "channel", None), args.unit
    if unit is not None and "=" not in unit and isinstance(channel, int):
        unit = f"{channel}={unit}"
    recording = read_recording(
        path, sampling_rate=args.sampling_rate, unit=unit, part=args.part, dataset=args.dataset
    )
    which = [channel] if isinstance(channel, int) and 0 <= channel < recording.n_channels else None
    hints = unit_hints(recording, which)
    for text in hints_in_words(recording, hints):
        note(f"warning: {path.name}: {text}")
    if channel is None:
        other = (
            "--rejected includes them"
            if recording.is_cells
            else "--channel N or --channel all searches others"
        )
        rejected = bool(getattr(args, "rejected", False))
        for text in skipped_channels(recording, rejected):
            note(f"{path.name}: {text}" + ("" if rejected else f" ({other})"))
    return recording


def say_kinds(name: str, recording: Recording, kinds: Mapping[int, KindChoice]) -> None:
    """Tell on stderr what channels were taken for.

    Parameters
    ----------
    name : of the file.
    recording : with the channels.
    kinds : of `kinds_of`.
    """
    for channel in sorted(kinds)[:1] if recording.is_cells else sorted(kinds):
        about = recording.channels[channel]
        what = "traces" if recording.is_cells else f"channel {channel} ({about.name}, {about.unit})"
        note(f"{name}: {what} taken for {kinds[channel].text}; --kind says otherwise")
