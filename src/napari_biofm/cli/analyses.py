"""Verbs of what is measured by hand: steps (IV, FI), read (between two times), average (of events)."""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_biofm.api.analyses import average_event, readings
from napari_biofm.api.signals import channels_of
from napari_biofm.cli.common import drain, inputs_exist, note
from napari_biofm.cli.reading import add_channel, add_reading, add_rejected, open_recording
from napari_biofm.files import CsvWriter, write_text
from napari_biofm.types import Events


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    steps = _verb(verbs, "steps", "a measure of every sweep against its command: IV and FI curves", run_steps)
    _span(steps, required=False)
    steps.add_argument(
        "--epoch", default="", metavar="LETTER", help="in place of two times; else the one that varies"
    )
    steps.add_argument("--sweeps", default="", metavar="LIST", help="such as 0-5,8; all by default")
    steps.add_argument(
        "--measure",
        choices=("mean", "largest", "smallest", "sd", "rate"),
        default="mean",
        help="what is measured of each sweep",
    )
    steps.add_argument(
        "--events", type=Path, metavar="CSV", help="counted for --measure rate; else they are detected"
    )
    read = _verb(verbs, "read", "every channel of a sweep between two times, in numbers", run_read)
    _span(read)
    read.add_argument("--sweep", type=int, default=0, metavar="N", help="counted from 0")
    average = _verb(verbs, "average", "the averaged event, with its standard deviation", run_average)
    average.add_argument("--events", type=Path, metavar="CSV", help="instead of detecting")
    average.add_argument(
        "--class", dest="name", default="", metavar="CLASS", help="such as EPSC; all when not given"
    )
    average.add_argument(
        "--before", type=float, default=0.005, metavar="S", help="seconds cut before each event"
    )
    average.add_argument(
        "--after", type=float, default=0.03, metavar="S", help="seconds cut after each event"
    )
    average.add_argument(
        "--align",
        choices=("peak", "rise"),
        default="peak",
        help="what of each event lies at time 0: its peak or its steepest rise",
    )
    add_rejected(average)


def _verb(verbs: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text)
    verb.add_argument("file", type=Path, metavar="FILE", help="a recording; .npz and .npy too")
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
    add_channel(verb)
    add_reading(verb)
    verb.set_defaults(run=run)
    return verb


def _span(verb: argparse.ArgumentParser, required: bool = True) -> None:
    verb.add_argument(
        "--from", dest="start", type=float, required=required, metavar="S", help="seconds in the sweep"
    )
    verb.add_argument(
        "--to", dest="stop", type=float, required=required, metavar="S", help="seconds in the sweep"
    )


def _events(path: Path | None) -> Events | None:
    from napari_biofm.events.table import from_csv

    if path is None:
        return None
    inputs_exist([path])
    return from_csv(path)


def run_steps(args: argparse.Namespace) -> None:
    """Write the command and the measure of every sweep."""
    from napari_biofm.analyses.description import Source
    from napari_biofm.analyses.running import run_analysis

    recording = open_recording(args)
    given = {
        "measure": args.measure, "start_s": args.start, "stop_s": args.stop, "epoch": args.epoch, "sweeps": args.sweeps,
        "channel": channels_of(recording, args.channel)[0],
    }  # fmt: skip
    found = drain(
        run_analysis("steps", Source(recording.name, recording, _events(args.events)), given), "steps"
    )
    table = found.table
    _write(args.out, list(table), zip(*(column.tolist() for column in table.values()), strict=True))
    note(found.summary)


def run_read(args: argparse.Namespace) -> None:
    """Write one row per channel."""
    rows = readings(open_recording(args), args.start, args.stop, sweep=args.sweep, channel=args.channel)
    names = ["channel", "unit", "t1_s", "t2_s", "v1", "v2", "mean", "rms", "slope_per_s", "min", "max"]
    _write(args.out, names, (dataclasses.astuple(row) for row in rows))


def run_average(args: argparse.Namespace) -> None:
    """Write the mean and the standard deviation at every sample of the window."""
    averaged = average_event(
        open_recording(args),
        _events(args.events),
        name=args.name,
        before_s=args.before,
        after_s=args.after,
        align=args.align,
        channel=args.channel,
        rejected=args.rejected,
    )
    columns = (averaged.time_s.tolist(), averaged.mean.tolist(), averaged.sd.tolist())
    _write(
        args.out, ["time_s", f"mean ({averaged.unit})", f"sd ({averaged.unit})"], zip(*columns, strict=True)
    )
    note(f"{averaged.n} events averaged")


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow(header)
    writer.writerows([f"{v:.9g}" if isinstance(v, float) else v for v in row] for row in rows)
    write_text(path, text.getvalue())
