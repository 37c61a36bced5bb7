"""A verb for every analysis that has none of its own: `napari-biofm NAME FILE --option ... --out table.csv`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.analyses.description import Analysis, Option, Result, Source
from napari_biofm.analyses.registry import analyses, analysis
from napari_biofm.cli.common import drain, inputs_exist, note, print_json
from napari_biofm.cli.reading import add_reading, open_recording
from napari_biofm.files import write_text

VALUES = {int: "N", float: "X"}  # what is shown for a value without a unit


def add_verbs(verbs: Any) -> None:
    """Add a verb per analysis to the parser."""
    for one in analyses().values():
        if not one.own_verb:
            _add(verbs, one)


def _add(verbs: Any, one: Analysis) -> None:
    text = one.help[0].lower() + one.help[1:].rstrip(".")
    verb = verbs.add_parser(one.name, help=text.replace("%", "%%"))
    table, several = {"table", "cells"} & set(one.takes), "recordings" in one.takes
    if several:
        verb.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recordings; .npz and .npy too")
    else:
        verb.add_argument(
            "file",
            type=Path,
            metavar="CSV" if table else "FILE",
            help="a table" if table else "a recording; .npz and .npy too",
        )
    for parameter in one.options:
        _argument(verb, parameter)
    if "events" in (*one.takes, *one.optional) and not table:
        verb.add_argument(
            "--events", type=Path, metavar="CSV", help="as `events` writes it; else they are detected"
        )
    verb.add_argument(
        "--out", type=Path, metavar="CSV", help="the table; without it the table goes to stdout"
    )
    verb.add_argument("--figure", type=Path, metavar="SVG|PDF|PNG", help="the plots")
    verb.add_argument(
        "--json", action="store_true", help="summary, notes, methods and table as JSON on stdout"
    )
    if not table and not several:
        add_reading(verb)
    verb.set_defaults(run=run, analysis=one.name)


def _argument(verb: argparse.ArgumentParser, one: Option) -> None:
    text = one.hint.replace("%", "%%")
    if one.kind is bool:
        verb.add_argument(
            one.flag,
            dest=one.name,
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=text,
        )
    else:
        verb.add_argument(
            one.flag, dest=one.name, default=argparse.SUPPRESS, choices=one.choices or None, help=text,
            metavar=None if one.choices else (one.unit.upper().replace("%", "PERCENT") or VALUES.get(one.kind, "TEXT")),
        )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Run an analysis and write what was asked for."""
    from napari_biofm.analyses.figure import save_figure
    from napari_biofm.analyses.running import run_analysis
    from napari_biofm.analyses.tables import csv_of, json_of

    chosen = analysis(args.analysis)
    given = {one.name: getattr(args, one.name) for one in chosen.options if hasattr(args, one.name)}
    chosen.made(given)  # a wrong value is told before a file is read
    result: Result = drain(run_analysis(chosen.name, _source(args, chosen), given), chosen.name)
    if args.out is not None:
        write_text(args.out, csv_of(result.columns))
    if args.figure is not None:
        save_figure(args.figure, result.plots)
    if args.json:
        print_json(json_of(result))
    elif args.out is None:
        print(csv_of(result.columns), end="")
    for text in (result.summary, *result.notes):
        if text:
            note(text)


def _source(args: argparse.Namespace, chosen: Analysis) -> Source:
    from napari_biofm.analyses.tables import read_table
    from napari_biofm.events.table import from_csv

    if "recordings" in chosen.takes:
        inputs_exist(args.files)
        return Source(f"{len(args.files)} recordings", recordings=tuple(args.files))
    if {"table", "cells"} & set(chosen.takes):
        return Source(args.file.name, table=read_table(args.file))
    if getattr(args, "channel", None) is not None:
        args.channel = int(args.channel)
    recording = open_recording(args)
    events = None
    if getattr(args, "events", None) is not None:
        inputs_exist([args.events])
        events = from_csv(args.events)
    return Source(recording.name, recording, events)
