"""Verbs of what the command tells: epochs (its parts), membrane (pipette and cell over the sweeps)."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.api.protocols import epochs, membrane
from napari_biofm.cli.common import note
from napari_biofm.cli.reading import add_channel, add_reading, open_recording
from napari_biofm.files import CsvWriter, write_text


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    for name, text, run in (
        ("epochs", "the parts of the command of every sweep, and which of them is used", run_epochs),
        ("membrane", "access and membrane resistance, capacitance, holding of every sweep", run_membrane),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("file", type=Path, metavar="FILE", help="a recording; .npz and .npy too")
        verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
        add_channel(verb)
        add_reading(verb)
        verb.set_defaults(run=run)
        if name == "membrane":
            _add_rule(verb)


def _add_rule(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--epoch", default=None, metavar="LETTER", help="step instead of the test pulse")
    verb.add_argument("--most-access", type=float, default=None, metavar="MOHM", help="else excluded")
    verb.add_argument(
        "--most-change", type=float, default=None, metavar="PERCENT", help="of access since the start"
    )
    verb.add_argument(
        "--least-holding",
        type=float,
        default=None,
        metavar="PA",
        help="smallest holding current of a sweep that counts, in pA",
    )
    verb.add_argument(
        "--most-holding",
        type=float,
        default=None,
        metavar="PA",
        help="largest holding current of a sweep that counts, in pA",
    )


def run_epochs(args: argparse.Namespace) -> None:
    """Write one row per epoch."""
    rows = epochs(open_recording(args), channel=args.channel)
    header = (
        "sweep", "channel", "epoch", "kind", "start_s", "stop_s", "start", "stop", "before", "level", "unit", "used",
        "test_pulse", "source",
    )  # fmt: skip
    write_rows(args.out, header, rows)


def run_membrane(args: argparse.Namespace) -> None:
    """Write one row per sweep."""
    from napari_biofm.signals.stability import COLUMNS, Rule

    rule = Rule(args.most_access, args.most_change, args.least_holding, args.most_holding)
    rows = membrane(open_recording(args), channel=args.channel, epoch=args.epoch, rule=rule)
    write_rows(args.out, COLUMNS, rows)
    excluded = sum(int(row["excluded"]) for row in rows)
    note(f"{len(rows)} sweeps measured, {excluded} excluded")


def write_rows(path: Path, header: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as CSV; empty cells where there is no value.

    Parameters
    ----------
    path : of the file.
    header : names of the columns, in order.
    rows : column -> value.
    """
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow(header)
    writer.writerows([_cell(row[name]) for name in header] for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        return f"{value:.9g}" if np.isfinite(value) else ""
    return value
