"""Verbs of physio-FM and of what follows from events: idealize, rate, classify, forecast, features, adapt."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cli.common import drain, inputs_exist, note, write_npz
from napari_biofm.cli.reading import add_reading, channels_of, open_recording
from napari_biofm.events import DEFAULT_DETECTOR, DETECTORS
from napari_biofm.files import write_json, write_text
from napari_biofm.signals import Recording
from napari_biofm.types import DetectionSettings, RecordingError

CLIP_RATE = 300.0  # Hz, of electrocardiogram clips that do not say
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
        verb.add_argument("file", type=Path, metavar="FILE")
        verb.add_argument("--out", type=Path, required=True)
        verb.add_argument("--channel", type=int, default=None, metavar="N")
        add_reading(verb)
        verb.set_defaults(run=run)
        if name == "forecast":
            verb.add_argument("--at", type=float, required=True, metavar="SECONDS")
            verb.add_argument("--horizon", type=int, required=True, metavar="N", help="samples")
            verb.add_argument("--sweep", type=int, default=0)
        elif name == "features":
            verb.add_argument("--detector", default=DEFAULT_DETECTOR, choices=list(DETECTORS))
            verb.add_argument("--events", type=Path, default=None, metavar="CSV", help="instead of detecting")
        elif name == "adapt":
            verb.add_argument("--marks", type=Path, required=True, metavar="CSV", help="sweep,time_s[,class]")
            verb.add_argument("--kind", default="auto")
    classify = verbs.add_parser("classify", help="class of each clip")
    classify.add_argument("file", type=Path, metavar="NPZ")
    classify.add_argument("--task", required=True, choices=["af"])
    classify.add_argument("--out", type=Path, required=True, metavar="CSV")
    classify.add_argument("--sampling-rate", type=float, default=None, metavar="HZ")
    classify.set_defaults(run=run_classify)


def _physio_fm() -> Any:
    from napari_biofm.events.physio_fm import PhysioFM

    return PhysioFM()


def _one_channel(recording: Recording, args: argparse.Namespace) -> int:
    return channels_of(recording, args)[0]


def run_idealize(args: argparse.Namespace) -> None:
    """Write the number of open channels at every sample of every sweep."""
    from napari_biofm.events.channels.idealization import idealize

    recording = open_recording(args)
    channel = _one_channel(recording, args)
    found = [idealize(recording.sweep(sweep, channel)) for sweep in range(recording.n_sweeps)]
    length = max((len(one.n_open) for one in found), default=0)
    n_levels = max((len(one.levels) for one in found), default=1)
    n_open = np.zeros((len(found), length), np.int8)
    baseline = np.full((len(found), length), np.nan, np.float32)
    levels = np.full((len(found), n_levels), np.nan)
    for i, one in enumerate(found):
        n_open[i, : len(one.n_open)] = one.n_open
        baseline[i, : len(one.baseline)] = one.baseline
        levels[i, : len(one.levels)] = one.levels
    write_npz(args.out, n_open=n_open, levels=levels[0] if len(found) == 1 else levels, baseline=baseline)


def run_rate(args: argparse.Namespace) -> None:
    """Write spikes/s of every trace: cells, or the sweeps of a channel."""
    from napari_biofm.events.physio_fm.input_encoding import network_unit

    recording = open_recording(args)
    signals = [
        recording.sweep(sweep, channel)
        for sweep in range(recording.n_sweeps)
        for channel in channels_of(recording, args)
    ]
    rows = [np.asarray(one.values[:], np.float32) * network_unit(one, "calcium")[1] for one in signals]
    rates = {recording.channels[c].sampling_rate for c in channels_of(recording, args)}
    if len(rates) != 1 or len({len(row) for row in rows}) != 1:
        raise RecordingError(f"{recording.name}: traces of different lengths or rates; choose one --channel")
    rate, low, high = _physio_fm().rate(np.stack(rows), rates.pop())
    write_npz(args.out, rate=rate, low=low, high=high)


def run_classify(args: argparse.Namespace) -> None:
    """Write the class of each clip of an .npz, keyed by record."""
    clips, rate = _read_clips(args)
    rows = _physio_fm().classify(clips, rate, args.task)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["record", "label", "probability"])
    writer.writerows([record, label, f"{probability:.4f}"] for record, label, probability in rows)
    write_text(args.out, out.getvalue())
    note(f"{len(rows)} clips")


def _read_clips(args: argparse.Namespace) -> tuple[dict[str, NDArray[Any]], float]:
    inputs_exist([args.file])
    try:
        with np.load(args.file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (ValueError, OSError, EOFError) as error:
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
    recording = open_recording(args)
    signal = recording.sweep(args.sweep, _one_channel(recording, args))
    quantiles, q, time_s = _physio_fm().forecast(signal, args.at, args.horizon)
    write_npz(args.out, quantiles=quantiles, q=q, time_s=time_s)


def run_features(args: argparse.Namespace) -> None:
    """Write one row per sweep and event."""
    from napari_biofm.events.detect import detect_events
    from napari_biofm.events.features.table import definitions, features, to_csv
    from napari_biofm.events.table import from_csv

    recording = open_recording(args)
    channels = channels_of(recording, args)
    if args.events is not None:
        inputs_exist([args.events])
        table = from_csv(args.events)
    else:
        table = drain(detect_events(recording, args.detector, DetectionSettings(), channels), "events")
    numbers = drain(features(recording, table, channels), "features")
    write_text(args.out, to_csv(numbers))
    write_json(args.out.with_suffix(".definitions.json"), definitions(numbers))


def run_adapt(args: argparse.Namespace) -> None:
    """Teach a head from marked events and write it as safetensors and JSON."""
    from napari_biofm.events.physio_fm.adapt import Marks, adapt

    recording = open_recording(args)
    channel = _one_channel(recording, args)
    marks = [
        Marks(recording.sweep(sweep, channel), np.array([t for t, _ in rows]), [n for _, n in rows if n])
        for sweep, rows in sorted(_read_marks(args.marks, recording.n_sweeps).items())
    ]
    head = drain(adapt(_physio_fm(), marks, args.kind), "adapt")
    head.save(args.out.with_suffix(".safetensors"))
    for key, value in head.report.items():
        note(f"{key}: {value}")


def _read_marks(path: Path, n_sweeps: int) -> dict[int, list[tuple[float, str]]]:
    inputs_exist([path])
    found: dict[int, list[tuple[float, str]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                sweep, time_s = int(row.get("sweep") or 0), float(row["time_s"])
            except (KeyError, TypeError, ValueError) as error:
                raise RecordingError(f"{path.name}, line {number}: needs sweep,time_s[,class].") from error
            if not 0 <= sweep < n_sweeps:
                raise RecordingError(f"{path.name}, line {number}: no sweep {sweep}; there are {n_sweeps}.")
            found.setdefault(sweep, []).append((time_s, row.get("class") or ""))
    return found
