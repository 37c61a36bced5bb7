"""The parts of a session folder: labels, events, recordings, clocks, each in an open format."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.events.reviewed import REVIEWED_DTYPE, reviewed
from napari_biofm.events.table import as_dtype
from napari_biofm.files import numpy_archive
from napari_biofm.images.io.masks import as_labels
from napari_biofm.packing import pack, unpack
from napari_biofm.places import below
from napari_biofm.signals import Channel, Recording, read_recording
from napari_biofm.signals.behaviour import BEHAVIOUR, behaviour_from, with_behaviour
from napari_biofm.signals.curation import JUDGED, with_verdicts
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.signals.recorded import CHANGED, OPENED_WITH, MeasuredOn
from napari_biofm.types import EVENT_DTYPE, BiofmError, Events, Labels, SessionError


def part_inside(folder: Path, name: object, named_by: Path, kind: str) -> Path:
    """Return the path of a part, links followed; SessionError where it lies outside the folder of the session.

    Parameters
    ----------
    folder : of the session or journal.
    name : of the part, as the index holds it.
    named_by : the index, for the message. kind : "session" or "journal".
    """
    path = below(folder, str(name), links=False)
    if path is None:
        raise SessionError(f"{named_by} names {name}, which lies outside the {kind}.")
    return path


# ------------------------------------------------------------------ labels: OME-Zarr 0.5


def write_labels(path: Path, data: NDArray[np.integer[Any]], placing: Mapping[str, Any]) -> None:
    """Write labels as an OME-Zarr image of one resolution, marked as a label image.

    OME-Zarr 0.5 knows scale and translation: those of the whole placing are written, sizes of steps where it turns or shears;
    the placing itself stands beside them, so that nothing of it is lost.

    Parameters
    ----------
    path : of the group. data : labels.
    placing : options that put a layer there: scale, translate, rotate, shear, affine, units.
    """
    import zarr

    matrix = world_matrix(placing, data.ndim)
    scale = np.linalg.norm(matrix[:-1, :-1], axis=0).tolist()
    moves = [{"type": "scale", "scale": scale}]
    if matrix[:-1, -1].any():
        moves.append({"type": "translation", "translation": matrix[:-1, -1].tolist()})
    axes = ["t", "z", "y", "x"][-data.ndim :] if data.ndim <= 4 else [f"d{i}" for i in range(data.ndim)]
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=np.ascontiguousarray(data), chunks=tuple(min(n, 512) for n in data.shape))
    kinds = {"t": "time"}
    group.attrs["ome"] = {
        "version": "0.5",
        "image-label": {"version": "0.5"},
        "multiscales": [
            {
                "name": path.name.split(".")[0],
                "axes": [{"name": a, "type": kinds.get(a, "space")} for a in axes],
                "datasets": [{"path": "0", "coordinateTransformations": moves}],
            }
        ],
    }
    if placing:
        group.attrs["placing"] = {name: np.asarray(value).tolist() for name, value in placing.items()}


def world_matrix(placing: Mapping[str, Any], ndim: int) -> NDArray[np.float64]:
    """Return (ndim + 1, ndim + 1) what takes a pixel of a layer to the world, as napari puts it together.

    Parameters
    ----------
    placing : scale, translate, rotate (a matrix), shear (its upper triangle, or a matrix) and affine; each may be missing.
    """
    linear = np.diag(np.asarray(placing.get("scale", np.ones(ndim)), float))
    shear = np.asarray(placing.get("shear", np.eye(ndim)), float)
    if shear.ndim == 1:
        upper = np.eye(ndim)
        upper[np.triu_indices(ndim, 1)] = shear
        shear = upper
    own = np.eye(ndim + 1)
    own[:-1, :-1] = np.asarray(placing.get("rotate", np.eye(ndim)), float) @ shear @ linear
    own[:-1, -1] = placing.get("translate", np.zeros(ndim))
    return np.asarray(np.asarray(placing.get("affine", np.eye(ndim + 1)), float) @ own)


def read_labels(path: Path) -> Labels:
    """Read labels written by `write_labels`.

    Raises
    ------
    SessionError
        If the array is missing, damaged or holds no integers.
    """
    import zarr

    try:
        array = np.asarray(zarr.open_group(str(path), mode="r")["0"])
    except Exception as error:  # zarr and its codecs raise what they like on damaged stores
        raise SessionError(f"The labels in {path} cannot be read ({error}).") from error
    if array.dtype.kind not in "iu":
        raise SessionError(f"The labels in {path} are {array.dtype}, not integers.")
    return as_labels(array, path.name)


# ------------------------------------------------------------------ classes of cells: JSON


def classes_to_json(classes: CellClasses) -> dict[str, Any]:
    """Return classes and labels given by hand, JSON-able."""
    return {
        "names": list(classes.names),
        "colours": list(classes.colours),
        "labels": pack(classes.labels),
        "codes": pack(classes.codes),
    }


def classes_from_json(values: Mapping[str, Any]) -> CellClasses:
    """Return the classes that `classes_to_json` described; KeyError, TypeError or ValueError where damaged."""
    names, colours = tuple(map(str, values["names"])), tuple(map(str, values["colours"]))
    labels = unpack(values["labels"], np.dtype(np.int64))
    codes = unpack(values["codes"], np.dtype(np.int16))
    if len(names) != len(colours) or len(labels) != len(codes):
        raise ValueError(
            f"{len(labels)} cells have {len(codes)} classes, {len(names)} classes {len(colours)} colours"
        )
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
        raise ValueError("a cell has a class that is not in the list")
    return CellClasses(names, colours, labels, codes)


# ------------------------------------------------------------------ events: Parquet


def write_events(path: Path, events: Events) -> None:
    """Write an event table as Parquet, one column per field."""
    import pyarrow
    import pyarrow.parquet

    table = reviewed(events)
    columns = {name: pyarrow.array(table[name].tolist()) for name in REVIEWED_DTYPE.names or ()}
    if len(table) == 0:
        columns = {
            name: pyarrow.array(
                [], pyarrow.string() if REVIEWED_DTYPE[name].kind == "U" else pyarrow.float64()
            )
            for name in REVIEWED_DTYPE.names or ()
        }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def read_events(path: Path) -> Events:
    """Read an event table.

    Raises
    ------
    SessionError
        If the file is damaged or lacks a column.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise SessionError(f"The events in {path} cannot be read ({error}).") from error
    missing = [name for name in EVENT_DTYPE.names or () if name not in table.column_names]
    if missing:
        raise SessionError(f"The events in {path} lack the columns {', '.join(missing)}.")
    events = as_dtype(np.zeros(table.num_rows, EVENT_DTYPE), REVIEWED_DTYPE)
    for name in REVIEWED_DTYPE.names or ():
        if name in table.column_names:  # version 0.1 kept verdicts elsewhere, and measured less
            events[name] = np.asarray(table.column(name).to_pylist(), REVIEWED_DTYPE[name])
    return events


# ------------------------------------------------------------------ recordings


def recording_record(recording: Recording, folder: Path) -> dict[str, Any]:
    """Return what is written about a recording: its file, or that its samples lie beside."""
    record: dict[str, Any] = {
        "channels": [dataclasses.asdict(channel) for channel in recording.channels],
        "sweep_starts_s": recording.sweep_starts.tolist(),
        "format": recording.format,
        "metadata": _json_able(dict(recording.metadata)),
        "path": "" if recording.path is None else str(Path(recording.path).resolve()),
    }
    if recording.measured_on is not None:
        record["measured_on"] = dataclasses.asdict(recording.measured_on)
    if recording.path is not None and Path(recording.path).is_file():
        record["size"] = Path(recording.path).stat().st_size
        record["relative"] = relative_path(recording.path, folder)
    return record


def relative_path(path: str | Path, folder: Path) -> str:
    """Return the path of a file from where the session folder lies, "" where the file is not below that."""
    try:
        return Path(path).resolve().relative_to(folder.resolve().parent).as_posix()
    except ValueError:
        return ""


def possible_paths(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return where a file may lie now: where it lay from the session, where it lay then, beside the session.

    Parameters
    ----------
    record : with the `path` it had, and `relative` where it lay below the folder of the session.
    folder : of the session.
    """
    relative, path = PureWindowsPath(str(record.get("relative") or "")), str(record["path"])
    if not path:
        return []
    candidates = [folder.parent / relative.as_posix()] if relative.name else []
    return [*candidates, Path(path), folder.parent / PureWindowsPath(path).name]


def write_samples(path: Path, recording: Recording) -> None:
    """Write the samples of a recording that came from no file."""
    arrays = {
        f"{sweep}_{channel}": recording.values(sweep, channel)
        for sweep in range(recording.n_sweeps)
        for channel in range(recording.n_channels)
    }
    lengths = {array.shape for array in arrays.values()}
    if recording.n_sweeps == 1 and len(lengths) == 1:
        arrays = {"values": np.stack(list(arrays.values()))}
    if recording.rois is not None:
        arrays["rois"] = recording.rois  # type: ignore[assignment]
    np.savez(path, **arrays)  # type: ignore[arg-type]


def read_back(record: Mapping[str, Any], folder: Path, samples: Path) -> tuple[Recording, str]:
    """Open a recording again; return it and a warning, "" where there is nothing to warn of.

    A file that is gone gives a recording without samples, so that its events and links stay.
    """
    recording, warning = _opened_again(record, folder, samples)
    on = record.get("measured_on")
    if on:
        of = MeasuredOn(str(on["movie"]), str(on["masks"]), str(on.get("part", "")))
        recording = dataclasses.replace(recording, measured_on=of)
    return recording, warning


def _opened_again(record: Mapping[str, Any], folder: Path, samples: Path) -> tuple[Recording, str]:
    channels = tuple(Channel(**channel) for channel in record["channels"])
    starts = np.asarray(record["sweep_starts_s"], np.float64)
    if samples.is_file():
        return _from_samples(record, channels, starts, samples), ""
    about = record["metadata"]
    for path in possible_paths(record, folder):
        if path.is_file():
            try:
                recording = _as_it_was(read_recording(path, **about.get(OPENED_WITH, {})), about)
            except BiofmError as error:
                return _without_samples(record, channels, starts), f"{error} Its events and links were kept."
            warning = ""
            if record.get("size") not in (None, path.stat().st_size):
                warning = (
                    f"{path.name} has another size than when the session was saved; its events may not fit."
                )
            return _with_names(recording, channels), warning
    warning = (
        f"{record['path'] or 'A recording'} is gone; its events and links were kept. Put the file back, or "
        "open it anew."
    )
    return _without_samples(record, channels, starts), warning


def _from_samples(
    record: Mapping[str, Any], channels: tuple[Channel, ...], starts: NDArray[np.float64], path: Path
) -> Recording:
    try:
        with numpy_archive(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise SessionError(f"The samples in {path} cannot be read ({error}).") from error
    rois = arrays.pop("rois", None)
    if "values" in arrays:
        sweeps = [list(arrays["values"])]
    else:
        sweeps = [[arrays[f"{s}_{c}"] for c in range(len(channels))] for s in range(len(starts))]
    return _recording(record, channels, starts, sweeps, rois)


def _without_samples(
    record: Mapping[str, Any], channels: tuple[Channel, ...], starts: NDArray[np.float64]
) -> Recording:
    sweeps = [[np.zeros(0, np.float32) for _ in channels] for _ in starts]
    return _recording(record, channels, starts, sweeps, None)


def _recording(
    record: Mapping[str, Any],
    channels: tuple[Channel, ...],
    starts: NDArray[np.float64],
    sweeps: list[list[NDArray[Any]]],
    rois: NDArray[np.int32] | None,
) -> Recording:
    made = Recording.from_arrays(
        sweeps,
        channels[0].sampling_rate if channels else 1.0,
        [channel.unit for channel in channels],
        sweep_starts=starts,
        metadata=dict(record["metadata"]),
        format=str(record["format"]),
        rois=rois,
    )
    return dataclasses.replace(made, channels=channels)


def _as_it_was(recording: Recording, about: Mapping[str, Any]) -> Recording:
    """Put right what the user had put right, and process again what was a processed copy."""
    for change in about.get(CHANGED, ()):
        recording = recording.with_channel(
            int(change["channel"]), unit=change["unit"], name=change["name"], factor=float(change["factor"])
        )
    judged = about.get(JUDGED)
    if judged:
        there = set(recording.labels.tolist())
        recording = with_verdicts(recording, {int(k): v for k, v in judged.items() if int(k) in there})
    recording = with_behaviour(recording, behaviour_from(about.get(BEHAVIOUR)))
    done = about.get("processing")
    return filtered(recording, FilterSettings(**done)) if done else recording


def _with_names(recording: Recording, channels: tuple[Channel, ...]) -> Recording:
    """Give the channels the units and names the user had given them."""
    for i, channel in enumerate(channels[: recording.n_channels]):
        old = recording.channels[i]
        if (old.unit, old.name) != (channel.unit, channel.name):
            recording = recording.with_channel(i, unit=channel.unit, name=channel.name)
    return recording


def _json_able(value: Any) -> Any:
    """Keep what JSON can hold; anything else as its text."""
    return json.loads(json.dumps(value, default=str))
