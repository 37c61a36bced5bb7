"""The verb `clock`: which frame of a movie is which second of a recording, from the camera's pulses."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

from napari_biofm.api.clocks import movie_clock
from napari_biofm.cli.common import inputs_exist, note, print_json
from napari_biofm.cli.reading import add_reading, open_recording
from napari_biofm.files import CsvWriter, write_text
from napari_biofm.timeline.explanations import ClockUnclearError
from napari_biofm.timeline.frame_numbers import parse_numbers
from napari_biofm.timeline.metadata import frame_rate_of_file
from napari_biofm.types import TimelineError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "clock",
        help="the second of every frame of a movie, from frame pulses in a recording",
        description="Where pulses and frames do not agree, nothing is written: what the pulses may mean is "
        "listed, the most likely first, and --explain takes one of them.",
    )
    verb.add_argument(
        "file", type=Path, metavar="RECORDING", help="the recording that holds the trigger of the camera"
    )
    movie = verb.add_mutually_exclusive_group(required=True)
    movie.add_argument("--movie", type=Path, metavar="FILE", help="its frames are counted, its rate is read")
    movie.add_argument("--frames", type=int, metavar="N", help="number of frames of the movie")
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="columns frame, time_s")
    verb.add_argument(
        "--channel", type=int, default=None, metavar="N", help="with the pulses, counted from 0"
    )
    verb.add_argument("--frame-rate", type=float, default=None, metavar="HZ", help="of the movie, if known")
    verb.add_argument("--explain", default="auto", metavar="NAME", help="what the pulses mean (default auto)")
    verb.add_argument("--edge", choices=("auto", "rising", "falling"), default="auto", help="begins a frame")
    verb.add_argument(
        "--skipped", default="", metavar="LIST", help="frames the file lacks, from 0, such as 12,40-44"
    )
    verb.add_argument("--json", action="store_true", help="what was found, or the explanations, on stdout")
    add_reading(verb)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the second of every frame."""
    n_frames, rate = args.frames, args.frame_rate
    if args.movie is not None:
        inputs_exist([args.movie])
        n_frames = _frames_of(args.movie)
        rate = frame_rate_of_file(args.movie) if rate is None else rate
    try:
        found = movie_clock(
            open_recording(args),
            n_frames,
            channel=args.channel,
            frame_rate=rate,
            choice=args.explain,
            skipped=parse_numbers(args.skipped),
            edge=args.edge,
        )
    except ClockUnclearError as unclear:
        if args.json:
            rows = [
                {"name": one.name, "text": one.text, "first_s": float(one.times[0]),
                 "last_s": float(one.times[-1])}
                for one in unclear.explanations
            ]  # fmt: skip
            print_json({"explanations": rows})
        raise TimelineError(f"{args.file}: {unclear} (--explain NAME)") from unclear
    text = io.StringIO()
    table = CsvWriter(text)
    table.writerow(["frame", "time_s"])
    table.writerows((i, f"{time:.9g}") for i, time in enumerate(found.clock.times.tolist()))
    write_text(args.out, text.getvalue())
    for sentence in found.notes:
        note(sentence)
    if args.json:
        print_json({**found.clock.describe(), "explanation": found.explanation, "notes": list(found.notes)})


def _frames_of(path: Path) -> int:
    from napari_biofm.api.images import open_image

    pixels, is_stack = open_image(path)
    if not is_stack:
        raise TimelineError(f"{path}: an image of shape {tuple(pixels.shape)} is no movie; give --frames N.")
    return int(pixels.shape[0])
