"""Verbs on recordings: info, events, traces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from napari_biofm.cli.common import drain, inputs_exist, note, print_json, write_text
from napari_biofm.events import DEFAULT_DETECTOR, DETECTORS
from napari_biofm.signals import Recording, read_recording
from napari_biofm.types import DetectionSettings, Kind, Preset, RecordingError


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    info = verbs.add_parser("info", help="what is inside a recording")
    info.add_argument("file", type=Path, metavar="FILE")
    info.add_argument("--json", action="store_true", help="JSON instead of words")
    add_reading(info)
    info.set_defaults(run=run_info)

    events = verbs.add_parser("events", help="find events in a recording")
    events.add_argument("file", type=Path, metavar="FILE")
    events.add_argument("--out", type=Path, required=True, metavar="CSV")
    events.add_argument("--detector", default=DEFAULT_DETECTOR, choices=list(DETECTORS))
    events.add_argument("--kind", default="auto", choices=get_args(Kind))
    events.add_argument("--preset", default="balanced", choices=get_args(Preset))
    events.add_argument("--channel", type=int, default=None, metavar="N")
    events.add_argument("--all-scores", action="store_true", help="every candidate, whatever its score")
    add_reading(events)
    events.set_defaults(run=run_events)

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


def open_recording(args: argparse.Namespace) -> Recording:
    """Read the recording named by the arguments."""
    inputs_exist([args.file])
    return read_recording(args.file, sampling_rate=args.sampling_rate, unit=args.unit)


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
    for key in ("t0", "protocol", "comment"):
        if summary[key]:
            print(f"  {key}: {summary[key]}")
    for tag in summary["tags"]:
        print(f"  tag at {tag['time_s']:.3f} s: {tag['comment']}")


def run_events(args: argparse.Namespace) -> None:
    """Write the events of a recording as CSV."""
    from napari_biofm.events.detect import detect_events
    from napari_biofm.events.table import to_csv

    recording = open_recording(args)
    channels = channels_of(recording, args)
    settings = DetectionSettings(args.kind, args.preset, args.all_scores)
    table = drain(detect_events(recording, args.detector, settings, channels), args.file.name)
    write_text(args.out, to_csv(table))


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
