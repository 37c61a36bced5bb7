"""Verbs of physio-FM and of what follows from events: idealize, rate, classify, forecast, features, adapt."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.channels import channel_summary, idealize
from napari_biofm.api.rates import spike_rate
from napari_biofm.api.signals import (
    channels_of,
    classify_rhythm,
    features,
    forecast,
    physio_fm,
)
from napari_biofm.cli.common import drain, inputs_exist, note, shown, write_npz, written_as
from napari_biofm.cli.detection import add_detection
from napari_biofm.cli.reading import add_channel, add_reading, add_rejected, open_recording
from napari_biofm.files import CsvWriter, numpy_archive, opened_csv, write_json, write_text
from napari_biofm.types import RecordingError

CLIP_RATE = 300.0  # Hz, of electrocardiogram clips that do not say
CSV = ".csv"
TABLES = (".npz", CSV)
RATE_KEYS = ("sampling_rate", "fs")


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    for name, text, run in (
        ("idealize", "open channels per sample, levels and baseline", run_idealize),
        ("rate", "spikes per second from calcium traces, with a 90 %% band", run_rate),
        ("forecast", "quantiles of the samples to come", run_forecast),
        ("features", "one row of numbers per sweep and per event", run_features),
        ("adapt", "teach physio-FM an event shape from marked events", run_adapt),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("file", type=Path, metavar="FILE", help="a recording; .npz and .npy too")
        verb.add_argument("--out", type=Path, required=True, help="the result")
        add_channel(verb)
        add_reading(verb)
        if name in ("rate", "features"):
            add_rejected(verb)
        verb.set_defaults(run=run)
        if name == "idealize":
            help_text = "also write summary, dwells and histograms with fits as CSV into this folder"
            verb.add_argument("--tables", type=Path, default=None, metavar="DIR", help=help_text)
        elif name == "forecast":
            verb.add_argument(
                "--at",
                type=float,
                required=True,
                metavar="SECONDS",
                help="where the forecast begins, in seconds from the start of the sweep",
            )
            verb.add_argument("--horizon", type=int, required=True, metavar="N", help="samples")
            verb.add_argument("--sweep", type=int, default=0, help="counted from 0")
        elif name == "features":
            add_detection(verb, kind="of the events detected", preset=False)
            verb.add_argument("--events", type=Path, default=None, metavar="CSV", help="instead of detecting")
            verb.add_argument(
                "--epoch",
                default=None,
                metavar="LETTER",
                help="of the command, that sweeps are measured in; without it the one that varies across sweeps",
            )
        elif name == "adapt":
            verb.add_argument("--marks", type=Path, required=True, metavar="CSV", help="sweep,time_s[,class]")
            verb.add_argument("--kind", default="auto", help="of signal; auto decides per channel")
    classify = verbs.add_parser("classify", help="class of each clip")
    classify.add_argument("file", type=Path, metavar="NPZ", help="clips, one array per record")
    classify.add_argument(
        "--task",
        required=True,
        choices=["af"],
        help="what is told: af, atrial fibrillation from one lead of an ECG",
    )
    classify.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="the table: record, label, probability"
    )
    classify.add_argument(
        "--sampling-rate", type=float, default=None, metavar="HZ", help="in Hz, where the file does not say"
    )
    classify.set_defaults(run=run_classify)


def _write_columns(out: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of one length as CSV."""
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow(columns)
    writer.writerows(zip(*(np.asarray(one).tolist() for one in columns.values()), strict=True))
    write_text(out, text.getvalue())


def run_idealize(args: argparse.Namespace) -> None:
    """Write the number of open channels at every sample of every sweep, and tables of what is published of it."""
    as_csv = written_as(args.out, *TABLES) == CSV
    recording = open_recording(args)
    result = idealize(recording, channel=args.channel)
    if as_csv:
        n_sweeps, n = result.n_open.shape
        sweeps, samples = np.repeat(np.arange(n_sweeps), n), np.tile(np.arange(n), n_sweeps)
        seconds = np.round(samples / result.sampling_rate, 9)
        _write_columns(args.out, {"sweep": sweeps, "time_s": seconds, "n_open": result.n_open.ravel()})
    else:
        write_npz(
            args.out,
            n_open=result.n_open,
            levels=result.levels[0] if len(result.levels) == 1 else result.levels,
            baseline=result.baseline,
            unit=np.array(result.unit),
            sampling_rate=np.array(result.sampling_rate),
            probability=result.probability,
            dead_time_s=result.dead_time_s,
            delay_s=result.delay_s,
            notes=np.array(["; ".join(these) for these in result.notes]),
        )
    for sweep, these in enumerate(result.notes):
        for text in these:
            note(f"sweep {sweep}: {text}")
    if args.tables is not None:
        from napari_biofm.events.features.single_channels import to_tables

        args.tables.mkdir(parents=True, exist_ok=True)
        for name, text in to_tables(channel_summary(recording, channel=args.channel)).items():
            write_text(args.tables / f"{args.file.stem}_{name}.csv", text)


def run_rate(args: argparse.Namespace) -> None:
    """Write spikes/s of every trace: cells, or the sweeps of a channel."""
    as_csv = written_as(args.out, *TABLES) == CSV
    recording = open_recording(args)
    chosen = channels_of(recording, args.channel, args.rejected)
    result = spike_rate(recording, channel=chosen)
    for warning in result.warnings:
        note(warning)
    if not as_csv:
        cells = {"labels": recording.labels[chosen]} if recording.is_cells else {}
        write_npz(args.out, rate=result.rate, low=result.low, high=result.high, **cells)
        return
    columns = {"time_s": np.round(np.arange(result.rate.shape[1]) / result.frame_rate, 9)}
    names = recording.labels[chosen] if recording.is_cells else np.arange(len(result.rate))
    for i, name in enumerate(names.tolist()):
        parts = {"rate": result.rate, "low": result.low, "high": result.high}
        columns |= {f"{part}_{name}": values[i] for part, values in parts.items()}
    _write_columns(args.out, columns)


def run_classify(args: argparse.Namespace) -> None:
    """Write the class of each clip of an .npz, keyed by record."""
    clips, rate = _read_clips(args)
    rows = classify_rhythm(clips, rate)
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(["record", "label", "probability"])
    writer.writerows([record, label, f"{probability:.4f}"] for record, label, probability in rows)
    write_text(args.out, out.getvalue())
    note(f"{len(rows)} clips")


def _read_clips(args: argparse.Namespace) -> tuple[dict[str, NDArray[Any]], float]:
    inputs_exist([args.file])
    try:
        with numpy_archive(args.file) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (ValueError, OSError) as error:
        raise RecordingError(
            f"{args.file.name} is no .npz of clips ({error}); one array per record."
        ) from error
    said = next((float(arrays.pop(key)) for key in RATE_KEYS if key in arrays), None)
    clips = {name: np.squeeze(a).astype(np.float32) for name, a in arrays.items() if a.dtype.kind in "iuf"}
    wrong = [name for name, clip in clips.items() if clip.ndim != 1]
    if wrong or not clips:
        raise RecordingError(
            f"{args.file.name}: clips are one-dimensional arrays, one per record; see {wrong[:1]}."
        )
    return clips, args.sampling_rate or said or CLIP_RATE


def run_forecast(args: argparse.Namespace) -> None:
    """Write quantiles of the samples that follow a moment."""
    as_csv = written_as(args.out, *TABLES) == CSV
    recording = open_recording(args)
    result = forecast(recording, args.at, args.horizon, sweep=args.sweep, channel=args.channel)
    if as_csv:
        quantiles = {f"q{q:g}": row for q, row in zip(result.q, result.quantiles, strict=True)}
        _write_columns(args.out, {"time_s": result.time_s, **quantiles})
    else:
        write_npz(args.out, quantiles=result.quantiles, q=result.q, time_s=result.time_s)


def run_features(args: argparse.Namespace) -> None:
    """Write one row per sweep and event."""
    from napari_biofm.events.features.table import definitions, to_csv
    from napari_biofm.events.table import from_csv

    recording = open_recording(args)
    if args.events is not None:
        inputs_exist([args.events])
    numbers = features(
        recording,
        None if args.events is None else from_csv(args.events),
        channel=args.channel,
        detector=args.detector,
        kind=args.kind,
        epoch=args.epoch,
        rejected=args.rejected,
        progress=shown(args.file.name),
    )
    write_text(args.out, to_csv(numbers))
    write_json(args.out.with_suffix(".definitions.json"), definitions(numbers))


def run_adapt(args: argparse.Namespace) -> None:
    """Teach a head from marked events and write it as safetensors and JSON."""
    from napari_biofm.events.physio_fm.adapt import Marks, adapt

    recording = open_recording(args)
    channel = channels_of(recording, args.channel)[0]
    marks = [
        Marks(recording.sweep(sweep, channel), np.array([t for t, _ in rows]), [n for _, n in rows if n])
        for sweep, rows in sorted(_read_marks(args.marks, recording.n_sweeps).items())
    ]
    head = drain(adapt(physio_fm(), marks, args.kind), "adapt")
    head.save(args.out.with_suffix(".safetensors"))
    for key, value in head.report.items():
        note(f"{key}: {value}")


def _read_marks(path: Path, n_sweeps: int) -> dict[int, list[tuple[float, str]]]:
    inputs_exist([path])
    found: dict[int, list[tuple[float, str]]] = {}
    with opened_csv(path, RecordingError) as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                sweep, time_s = int(row.get("sweep") or 0), float(row["time_s"])
            except (KeyError, TypeError, ValueError) as error:
                raise RecordingError(f"{path.name}, line {number}: needs sweep,time_s[,class].") from error
            if not 0 <= sweep < n_sweeps:
                raise RecordingError(f"{path.name}, line {number}: no sweep {sweep}; there are {n_sweeps}.")
            found.setdefault(sweep, []).append((time_s, row.get("class") or ""))
    return found
