"""Verbs on recordings: info, events, traces."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from napari_biofm.api.images import read_masks
from napari_biofm.api.signals import traces
from napari_biofm.cli.common import inputs_exist, note, print_json, shown
from napari_biofm.cli.events import add_verb as add_events
from napari_biofm.cli.nwb_about import about_given, add_about
from napari_biofm.cli.reading import add_reading, open_recording
from napari_biofm.images.io.description import describe_image, is_image
from napari_biofm.signals.calcium.settings import BadFrames, MovieValues, Neuropil
from napari_biofm.signals.calcium.tables import ENDINGS, write_traces
from napari_biofm.signals.nwb_about import nwb_about
from napari_biofm.signals.recorded import COMMAND_UNKNOWN, NOTES
from napari_biofm.types import RecordingError

FILES = (*ENDINGS, ".nwb")


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    info = verbs.add_parser("info", help="what is inside a recording, or a picture, stack or movie")
    info.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a recording (.npz and .npy too), an image file or zarr folder",
    )
    info.add_argument("--json", action="store_true", help="JSON instead of words")
    add_reading(info)
    info.set_defaults(run=run_info)

    add_events(verbs)

    verb = verbs.add_parser("traces", help="dF/F of every cell of a movie")
    verb.add_argument("movie", type=Path, metavar="MOVIE", help="the movie, frames first")
    verb.add_argument(
        "--masks", type=Path, required=True, metavar="MASK", help="label image as high and wide as the movie"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help=", ".join(FILES))
    add_movie_reading(verb)
    verb.add_argument(
        "--neuropil-factor",
        type=float,
        default=None,
        metavar="SHARE",
        help="share of the surround that is subtracted, from all cells if given (default 0.7)",
    )
    verb.add_argument(
        "--neuropil",
        choices=get_args(Neuropil),
        default=None,
        help="factor: that share for every cell; regression: read from each cell; auto: the factor unless cells clearly "
        "hold another share (default auto)",
    )
    verb.add_argument(
        "--correct-bleaching",
        action="store_true",
        help="take the decay of the light out of the z-scores, too",
    )
    verb.add_argument(
        "--bad-frames",
        choices=get_args(BadFrames),
        default="exclude",
        help="black, saturated, torn frames and those without numbers: gaps, lines over short gaps, or as they are",
    )
    verb.add_argument(
        "--dark-level",
        type=float,
        default=None,
        metavar="VALUE",
        help="what a pixel without light reads; else from the file's header, else estimated",
    )
    verb.add_argument(
        "--movie-values",
        choices=get_args(MovieValues),
        default="auto",
        help="what the pixels are",
    )
    add_about(verb)
    verb.set_defaults(run=run_traces)


def add_movie_reading(verb: argparse.ArgumentParser) -> None:
    """Add what a movie's file may leave to the user: its frame rate, and which of several channels and planes."""
    verb.add_argument(
        "--frame-rate", type=float, default=None, metavar="HZ", help="goes before what the file says"
    )
    for name in ("channel", "plane"):
        verb.add_argument(
            f"--{name}", type=int, default=None, metavar="N", help="of several in the file, from 0"
        )


def run_info(args: argparse.Namespace) -> None:
    """Print what is inside a recording, or an image."""
    if is_image(args.file):
        _image_info(describe_image(args.file), as_json=args.json)
        return
    recording = open_recording(args)
    summary = recording.summary()
    for about, role in zip(summary["channels"], recording.roles, strict=True):
        about["role"] = role.name
    if args.json:
        print_json(summary)
        return
    print(
        f"{summary['name']}: {summary['format']}, {summary['n_sweeps']} sweeps, {summary['duration_s']:.3f} s"
    )
    for i, channel in enumerate(summary["channels"]):
        print(
            f"  channel {i}: {channel['name']} [{channel['unit']}] at {channel['sampling_rate']:g} Hz, {channel['role']}"
        )
    parts = summary["metadata"].get("parts", [])
    for i, part in enumerate(parts if len(parts) > 1 else []):
        print(f"  part {i}: {part}{' (shown here)' if i == summary['metadata']['part'] else ''}")
    for key in ("t0", "protocol", "comment"):
        if summary[key]:
            print(f"  {key}: {summary[key]}")
    if COMMAND_UNKNOWN in summary["metadata"]:
        print(f"  command: unknown ({summary['metadata'][COMMAND_UNKNOWN]})")
    for said in summary["metadata"].get(NOTES, []):
        print(f"  note: {said}")
    for tag in summary["tags"]:
        print(f"  tag at {tag['time_s']:.3f} s: {tag['comment']}")


def _image_info(told: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what is inside an image."""
    if as_json:
        print_json(dict(told))
        return
    shape = " x ".join(map(str, told["shape"]))
    print(f"{told['name']}: image, {shape} ({told['axes'] or 'axes not named'}), {told['dtype']}")
    for i, name in enumerate(told["channels"]):
        print(f"  channel {i}: {name}")
    size, rate = told["pixel_size_um"], told["frame_rate_hz"]
    print("  pixel size: " + ("unknown" if size is None else " x ".join(f"{one:g}" for one in size) + " um"))
    if rate is not None:
        print(f"  frame rate: {rate:g} Hz ({told['frame_rate_source']})")
    for said in told["notes"]:
        print(f"  note: {said}")


def run_traces(args: argparse.Namespace) -> None:
    """Write the traces of every cell of a movie."""
    inputs_exist([args.movie, args.masks])
    if args.out.suffix.lower() not in FILES:
        raise RecordingError(f"{args.out.name}: traces are written as {', '.join(FILES)}; choose one of them")
    said = about_given(args, args.out.suffix.lower() == ".nwb")
    about = None if said is None else nwb_about(said)
    measured = traces(
        args.movie,
        args.masks,
        frame_rate=args.frame_rate,
        neuropil_factor=args.neuropil_factor,
        neuropil=args.neuropil,
        correct_bleaching=args.correct_bleaching,
        bad_frames=args.bad_frames,
        dark_level=args.dark_level,
        values=args.movie_values,
        channel=args.channel,
        plane=args.plane,
        progress=shown(args.movie.name),
    )
    for warning in measured.warnings:
        note(warning)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.out.suffix.lower() == ".nwb":
        from napari_biofm.session.traces_nwb import write_traces_nwb

        write_traces_nwb(measured, read_masks(args.masks), args.out, about)
    else:
        write_traces(measured, args.out)
