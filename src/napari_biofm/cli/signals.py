"""Verbs on recordings: info, events, traces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import drain, inputs_exist, note, print_json
from napari_biofm.cli.events import add_verb as add_events
from napari_biofm.cli.reading import add_reading, open_recording
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
    from napari_biofm.images.io.stacks import open_movie
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
