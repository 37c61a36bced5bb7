"""Verbs over many recordings and their tables: collect, compare, fit."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.collections import collect, compare_groups, fit_between, fit_curve, recordings_in
from napari_biofm.cli.common import inputs_exist, note, shown
from napari_biofm.cli.detection import add_detection
from napari_biofm.cli.reading import add_channel, add_reading, add_rejected, open_one
from napari_biofm.events.options import option_from_text
from napari_biofm.files import CsvWriter, opened_csv, plain_cell, read_cell, write_text
from napari_biofm.types import BiofmError, RecordingError

MODELS = ("exp1", "exp2", "exp3", "boltzmann", "boltzmann-iv", "hill", "gaussian", "line")


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    verb = verbs.add_parser("collect", help="events or features of many recordings in one table")
    verb.add_argument(
        "files", type=Path, nargs="+", metavar="FILE|DIR", help="recordings, or folders of them"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
    verb.add_argument(
        "--what",
        choices=("events", "features"),
        default="events",
        help="rows of detected events, or of features",
    )
    verb.add_argument(
        "--rows",
        choices=("event", "sweep", "file", "group"),
        default="event",
        help="file: the mean of its events; group: the mean of its files, each counted once",
    )
    verb.add_argument(
        "--names",
        default="",
        metavar="PATTERN",
        help="of the files' names, such as {genotype}_{cell}_*: columns",
    )
    add_detection(verb)
    verb.add_argument("--option", action="append", default=[], metavar="NAME=NUMBER", help="of the detector")
    add_channel(verb)
    add_rejected(verb)
    add_reading(verb)
    verb.set_defaults(run=run_collect)

    verb = verbs.add_parser(
        "compare", help="a column of a table of events between groups, with respect for cells"
    )
    verb.add_argument("table", type=Path, metavar="CSV", help="as `collect` writes it")
    verb.add_argument("--value", required=True, metavar="COLUMN", help="column of the numbers to compare")
    verb.add_argument("--group", required=True, metavar="COLUMN", help="column of the groups")
    verb.add_argument(
        "--cell",
        default="file",
        metavar="COLUMN",
        help="column that tells cells apart: each gives one number",
    )
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
    verb.set_defaults(run=run_compare)

    verb = verbs.add_parser(
        "fit", help="a curve between two times of a sweep, or through two columns of a table"
    )
    verb.add_argument(
        "file", type=Path, metavar="FILE|CSV", help="a recording, or a table with columns to fit"
    )
    verb.add_argument("--model", choices=MODELS, required=True, help="the curve")
    verb.add_argument("--from", dest="start", type=float, metavar="S", help="seconds in the sweep")
    verb.add_argument("--to", dest="stop", type=float, metavar="S", help="seconds in the sweep")
    verb.add_argument("--sweep", type=int, default=0, metavar="N", help="counted from 0")
    verb.add_argument("--x", metavar="COLUMN", help="of a table, in place of times")
    verb.add_argument("--y", metavar="COLUMN", help="of a table")
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
    verb.add_argument("--curve", type=Path, metavar="CSV", help="x, y, the curve and what it leaves over")
    add_channel(verb)
    add_reading(verb)
    verb.set_defaults(run=run_fit)


def run_collect(args: argparse.Namespace) -> None:
    """Write one table of all recordings.

    Raises
    ------
    RecordingError
        If files could not be read; the table holds the others.
    """
    sources, failed = [], {}
    for path in recordings_in(inputs_exist(args.files)):
        try:
            sources.append(open_one(path, args))
        except BiofmError as error:
            failed[path.name] = str(error)
    if sources:
        made = collect(
            sources, what=args.what, rows=args.rows, names=args.names, detector=args.detector, kind=args.kind,
            preset=args.preset, channel=args.channel, options=dict(map(option_from_text, args.option)),
            rejected=args.rejected, progress=shown("collect"),
        )  # fmt: skip
        failed |= made.failed
        _write_columns(args.out, made.table)
    for name, message in failed.items():
        note(f"{name}: {message}")
    if failed:
        raise RecordingError(f"{len(failed)} recordings failed ({', '.join(list(failed)[:5])})")


def run_compare(args: argparse.Namespace) -> None:
    """Write a row for each two groups."""
    inputs_exist([args.table])
    found = compare_groups(_columns(args.table), args.value, group=args.group, cell=args.cell)
    names = [field.name for field in dataclasses.fields(found[0])]
    _write(args.out, names, (dataclasses.astuple(one) for one in found))
    for one in found:
        note(one.text)


def run_fit(args: argparse.Namespace) -> None:
    """Write the parameters of a fit with their errors, and the curve where that is asked for.

    Raises
    ------
    RecordingError
        If neither two times nor two columns are given.
    """
    inputs_exist([args.file])
    if args.x is not None and args.y is not None:
        table = _columns(args.file)
        missing = [name for name in (args.x, args.y) if name not in table]
        if missing:
            raise RecordingError(
                f"no column {missing[0]!r} in {args.file.name}; there are: {', '.join(table)}"
            )
        found = fit_curve(
            np.asarray(table[args.x], np.float64), np.asarray(table[args.y], np.float64), args.model
        )
    elif args.start is not None and args.stop is not None:
        recording = open_one(args.file, args)
        found = fit_between(
            recording, args.start, args.stop, args.model, sweep=args.sweep, channel=args.channel
        )
    else:
        raise RecordingError(
            "a fit needs two times (--from and --to) or two columns of a table (--x and --y)"
        )
    rows = [(one.name, one.value, one.error) for one in found.parameters]
    _write(args.out, ["parameter", "value", "error"], [*rows, ("r2", found.r2, float("nan"))])
    if args.curve is not None:
        points = zip(
            found.x.tolist(), found.y.tolist(), found.best.tolist(), found.residual.tolist(), strict=True
        )
        _write(args.curve, ["x", "y", "curve", "residual"], points)
    note(found.text)


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    """Read a table; a column is numbers where all its cells are, empty ones are NaN."""
    with opened_csv(path, RecordingError) as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        raise RecordingError(f"{path.name}: no rows below a header")
    table: dict[str, NDArray[Any]] = {}
    for name, *cells in zip(*rows, strict=False):
        try:
            table[name] = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            table[name] = np.array([read_cell(cell) for cell in cells], str)
    return table


def _write_columns(path: Path, table: Mapping[str, NDArray[Any]]) -> None:
    _write(path, list(table), zip(*(column.tolist() for column in table.values()), strict=True))


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.9g}" if np.isfinite(value) else ""
    return plain_cell(value)
