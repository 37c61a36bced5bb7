"""An NWB file of our own export as a session again: masks, traces, sweeps, events, links and clocks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.reviewed import REVIEWED_DTYPE
from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.session import CellKey, Link
from napari_biofm.session.nwb import DESCRIPTION, INDEX_NAME, INDEX_VERSION
from napari_biofm.session.nwb_sweeps import starts_at
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.signals import Channel, Recording
from napari_biofm.signals.nwb_about import METADATA, about_in_file
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.signals.units import si_unit
from napari_biofm.timeline import Clock
from napari_biofm.types import Events, SessionError, Trace


def read_nwb_session(path: Path) -> Saved:
    """Open a file that `write_nwb` wrote.

    Parameters
    ----------
    path : .nwb.

    Raises
    ------
    SessionError
        If it is missing, damaged, or was written by another program: then `read_recording` opens its traces.
    """
    try:
        import h5py
    except ImportError as error:
        raise SessionError("NWB needs h5py: pip install 'napari-biofm[formats]'.") from error
    if not path.is_file():
        raise SessionError(f"{path} does not exist.")
    try:
        check_hdf5(path)
        with h5py.File(path, "r") as file:
            index = _index(path, file)
            return _saved(file, index)
    except SessionError:
        raise
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise SessionError(f"{path.name} is damaged: {error!r}.") from error


def _index(path: Path, file: Any) -> dict[str, Any]:
    place = f"scratch/{INDEX_NAME}"
    if place not in file:
        raise SessionError(
            f"{path.name} is no session of napari-biofm; open it as a recording (napari-biofm info {path.name})."
        )
    index = json.loads(_text(file[place][()]))
    if not isinstance(index, dict) or int(index["version"]) > INDEX_VERSION:
        raise SessionError(f"{path.name} was written by a newer napari-biofm; update it.")
    return index


def _saved(file: Any, index: Mapping[str, Any]) -> Saved:
    layers = tuple(_layer(file, one) for one in index["layers"])
    said = about_in_file(Path(file.filename))
    if said.session_description == DESCRIPTION:  # that of nobody
        said = dataclasses.replace(said, session_description="")
    about = {METADATA: said.given} if said.given else {}
    made = {str(one["uid"]): _recording(file, one) for one in index["recordings"]}
    recordings = {
        uid: dataclasses.replace(one, metadata={**one.metadata, **about}) for uid, one in made.items()
    }
    saved = Saved(
        layers=layers,
        recordings=recordings,
        events=_events(file, list(recordings)),
        provenance={str(one["uid"]): dict(one["provenance"]) for one in index["recordings"]},
        links=tuple(Link(str(r), int(c), CellKey(str(y), int(n))) for r, c, y, n in index["links"]),
        labels=index["labels"],
        image=index["image"],
    )
    clocks = {}
    for one in index["recordings"]:
        about = one["clock"]
        if about:
            times = _frame_times(file, one) - starts_at(saved, str(about["recording"]))
            clocks[str(about["image"])] = Clock(times, str(about["source"]), str(about["recording"]))
    return dataclasses.replace(saved, clocks=clocks)


def _layer(file: Any, about: Mapping[str, Any]) -> SavedLayer:
    table = file[f"processing/ophys/ImageSegmentation/{about['table']}"]
    data = np.zeros(tuple(int(n) for n in about["shape"]), np.int32)
    labels = np.asarray(table["label"]) if "label" in table else np.zeros(0, int)
    if len(labels):
        pixels, ends = np.asarray(table["pixel_mask"]), np.asarray(table["pixel_mask_index"]).astype(np.int64)
        owner = np.repeat(labels, np.diff(np.concatenate([[0], ends])))
        data[pixels["y"], pixels["x"]] = owner
    return SavedLayer(str(about["uid"]), "labels", str(about["name"]), data=data, shape=data.shape)


def _recording(file: Any, about: Mapping[str, Any]) -> Recording:
    channels = tuple(Channel(**one) for one in about["channels"])
    starts = np.asarray(about["sweep_starts"], np.float64)
    sweeps: list[list[NDArray[Any]]] = [[np.zeros(0, np.float32) for _ in channels] for _ in starts]
    for one in about["series"]:
        data = file[one["place"]]["data"]
        if about["kind"] == "cells":
            values = np.asarray(data)
            for i, c in enumerate(one["columns"]):
                sweeps[0][c] = values[:, i]
        elif not one.get("command"):
            sweeps[one["sweep"]][one["channel"]] = _in_unit(data, channels[one["channel"]].unit)
    made = Recording.from_arrays(
        sweeps, channels[0].sampling_rate if channels else 1.0, [c.unit for c in channels], sweep_starts=starts,
        format="NWB", t0=datetime.fromisoformat(about["t0"]) if about["t0"] else None,
    )  # fmt: skip
    on = MeasuredOn(**about["measured_on"]) if about["measured_on"] else None
    source = _commands(file, about, lambda c: channels[c].sampling_rate)
    return dataclasses.replace(
        made,
        channels=channels,
        measured_on=on,
        command_source=source,
        protocol=str(about.get("protocol", "")),
        metadata={**made.metadata, **about.get("said", {})},
    )


def _in_unit(data: Any, unit: str) -> NDArray[np.float32]:
    """Return samples in the unit of their channel; those of cells and their commands say what takes them to SI."""
    stored = _text(data.attrs["unit"])
    factor = si_unit(unit)[1] if stored in ("amperes", "volts", "A", "V") else 1.0
    conversion = float(data.attrs.get("conversion", 1.0))
    values = np.asarray(data)
    if np.isclose(conversion, factor, rtol=1e-12):
        return values.astype(np.float32)
    return (values.astype(np.float64) * (conversion / factor)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Commands:
    """The commands that a file holds: (sweep, channel) -> command."""

    traces: Mapping[tuple[int, int], Trace]

    def __call__(self, sweep: int, channel: int) -> Trace | None:
        """Return a command, None where the file has none."""
        return self.traces.get((sweep, channel))


def _commands(file: Any, about: Mapping[str, Any], rate: Callable[[int], float]) -> Commands | None:
    traces = {}
    for one in about["series"]:
        if not one.get("command"):
            continue
        data = file[one["place"]]["data"]
        quantity = _text(data.attrs["unit"])
        unit = {"amperes": "pA", "volts": "mV", "A": "pA", "V": "mV"}.get(quantity, quantity)
        sweep, channel = int(one["sweep"]), int(one["channel"])
        traces[sweep, channel] = Trace(_in_unit(data, unit), rate(channel), unit, sweep, channel)
    return Commands(traces) if traces else None


def _frame_times(file: Any, about: Mapping[str, Any]) -> NDArray[np.float64]:
    series = file[about["series"][0]["place"]]
    if "timestamps" in series:
        return np.asarray(series["timestamps"], np.float64)
    start = series["starting_time"]
    n = int(series["data"].shape[0])
    return np.asarray(float(start[()]) + np.arange(n) / float(start.attrs["rate"]))


def _events(file: Any, uids: list[str]) -> dict[str, Events]:
    """Return the events of each recording, their times from the start of the sweep again."""
    table = file.get("processing/events/events")
    if table is None:
        return {uid: np.zeros(0, REVIEWED_DTYPE) for uid in uids}
    of = np.array([_text(one) for one in table["recording"][()]])
    rows = np.zeros(len(of), REVIEWED_DTYPE)
    for name in REVIEWED_DTYPE.names or ():
        values = table["sweep_time_s" if name == "time_s" else name][()]
        rows[name] = [_text(one) for one in values] if REVIEWED_DTYPE[name].kind == "U" else values
    return {uid: rows[of == uid] for uid in uids}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
