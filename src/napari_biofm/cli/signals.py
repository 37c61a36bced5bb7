"""Verbs on recordings: info, events, traces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import drain, inputs_exist, note, print_json
from napari_biofm.cli.events import add_verb as add_events
from napari_biofm.signals import Recording, read_part, read_recording
from napari_biofm.signals.recording import COMMAND_UNKNOWN
from napari_biofm.types import RecordingError


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    info = verbs.add_parser("info", help="what is inside a recording")
    info.add_argument("file", type=Path, metavar="FILE")
    info.add_argument("--json", action="store_true", help="JSON instead of words")
    add_reading(info)
    info.set_defaults(run=run_info)

    add_events(verbs)

    traces = verbs.add_parser("traces", help="dF/F of every cell of a movie")
    traces.add_argument("movie", type=Path, metavar="MOVIE")
    traces.add_argument("--masks", type=Path, required=True, metavar="MASK")
    traces.add_argument("--out", type=Path, required=True, metavar="NPZ")
    traces.add_argument(
        "--frame-rate", type=float, default=None, metavar="HZ", help="where the file does not say"
    )
    traces.add_argument("--neuropil-factor", type=float, default=0.7)
    traces.add_argument("--correct-bleaching", action="store_true")
    traces.set_defaults(run=run_traces)


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
    from napari_biofm.events.detect import signal_channels

    if args.channel is None:
        return signal_channels(recording)
    if not 0 <= args.channel < recording.n_channels:
        raise RecordingError(
            f"channel {args.channel} asked for in {recording.name}; it has 0 to {recording.n_channels - 1}"
        )
    return [args.channel]


def run_info(args: argparse.Namespace) -> None:
    """Print what is inside a recording."""
    summary = open_recording(args).summary()
    if args.json:
        print_json(summary)
        return
    print(
        f"{summary['name']}: {summary['format']}, {summary['n_sweeps']} sweeps, {summary['duration_s']:.3f} s"
    )
    for i, channel in enumerate(summary["channels"]):
        print(f"  channel {i}: {channel['name']} [{channel['unit']}] at {channel['sampling_rate']:g} Hz")
    parts = summary["metadata"].get("parts", [])
    for i, part in enumerate(parts if len(parts) > 1 else []):
        print(f"  part {i}: {part}{' (shown here)' if i == summary['metadata']['part'] else ''}")
    for key in ("t0", "protocol", "comment"):
        if summary[key]:
            print(f"  {key}: {summary[key]}")
    if COMMAND_UNKNOWN in summary["metadata"]:
        print(f"  command: unknown ({summary['metadata'][COMMAND_UNKNOWN]})")
    for tag in summary["tags"]:
        print(f"  tag at {tag['time_s']:.3f} s: {tag['comment']}")


def run_traces(args: argparse.Namespace) -> None:
    """Write the traces of every cell of a movie."""
    from napari_biofm.cli.images import read_masks
    from napari_biofm.images.stacks import open_movie
    from napari_biofm.signals.calcium import TraceSettings, extract_traces

    inputs_exist([args.movie, args.masks])
    movie, frame_rate = open_movie(args.movie)
    frame_rate = args.frame_rate or frame_rate
    if frame_rate is None:
        raise RecordingError(f"{args.movie.name} does not say its frame rate; give --frame-rate HZ")
    masks = read_masks(args.masks, tuple(movie.shape[1:]))
    settings = TraceSettings(neuropil_factor=args.neuropil_factor, correct_bleaching=args.correct_bleaching)
    found = drain(extract_traces(movie, masks, frame_rate, settings), args.movie.name)
    for warning in found.warnings:
        note(warning)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found.save(args.out)
