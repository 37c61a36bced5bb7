"""The verb what-if: the sweep for a command that was not given."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.analyses.ephys.what_if import columns_of
from napari_biofm.analyses.tables import csv_of
from napari_biofm.api.what_if import what_if
from napari_biofm.cli.common import inputs_exist, note, write_npz, written_as
from napari_biofm.cli.reading import add_channel, add_reading, open_recording
from napari_biofm.files import load_numpy, write_text
from napari_biofm.types import RecordingError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser("what-if", help="predict the sweep for a command that was not given")
    verb.add_argument("file", type=Path, metavar="FILE", help="sweeps of a step protocol with their command")
    verb.add_argument(
        "--out", type=Path, required=True, metavar="NPZ|CSV", help="the sweep; CSV has a row per sample"
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--step", type=float, metavar="LEVEL", help="level, in the command's unit")
    what.add_argument(
        "--ramp",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="levels at both ends, in the command's unit",
    )
    what.add_argument("--waveform", type=Path, metavar="NPY", help="one row, at the recording's rate")
    verb.add_argument("--ramp-to", type=float, metavar="LEVEL", help="makes the step a ramp that ends here")
    verb.add_argument(
        "--start", type=float, default=None, metavar="S", help="s; default: where sweeps differ"
    )
    verb.add_argument("--stop", type=float, default=None, metavar="S", help="s; default: where sweeps differ")
    add_channel(verb)
    add_reading(verb)
    verb.set_defaults(run=run_what_if)


def run_what_if(args: argparse.Namespace) -> None:
    """Write command, response with its band, spike times and counts."""
    ramp = None if args.ramp is None else tuple(args.ramp)
    if args.ramp_to is not None:
        if args.step is None:
            raise RecordingError("--ramp-to goes with --step, the level at the start of the ramp")
        ramp = (args.step, args.ramp_to)
    as_csv = written_as(args.out, ".npz", ".csv") == ".csv"
    said = what_if(
        open_recording(args),
        None if args.waveform is None else _waveform(args.waveform),
        step=None if ramp else args.step,
        ramp=ramp,
        start_s=args.start,
        stop_s=args.stop,
        channel=args.channel,
    )
    if as_csv:
        write_text(args.out, csv_of(columns_of(said)))
        return note(said.text)
    write_npz(
        args.out, time_s=said.time_s, command=said.command, mean=said.mean, low=said.low, high=said.high,
        spikes_s=said.spikes_s, counts=said.counts, nearest_sweep=np.array(said.nearest_sweep),
        beyond=np.array(said.beyond), unit=np.array(said.unit), command_unit=np.array(said.command_unit),
    )  # fmt: skip
    note(said.text)


def _waveform(path: Path) -> Any:
    inputs_exist([path])
    try:
        return load_numpy(path)
    except ValueError as error:
        raise RecordingError(f"{path.name} is no .npy of one row ({error})") from error
