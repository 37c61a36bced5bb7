"""A session as one NWB file: cells as regions, dF/F as their responses, sweeps, events."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm import __version__
from napari_biofm.events.reviewed import REVIEWED_DTYPE, reviewed, verdicts_of
from napari_biofm.files import atomic_write, plain_json
from napari_biofm.session.nwb_sweeps import add_sweeps, safe_name, session_start, starts_at
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.signals import Recording
from napari_biofm.signals.behaviour import BEHAVIOUR
from napari_biofm.signals.curation import CURATION, accepted_cells, is_curated, rejected_labels
from napari_biofm.signals.nwb_about import NwbAbout, about_of, arguments_of_file
from napari_biofm.signals.nwb_icephys import NO_DATE
from napari_biofm.timeline import Clock, clock_of, event_seconds
from napari_biofm.types import SessionError

KEPT = (*CURATION, BEHAVIOUR)  # of the metadata of recordings, what a person said
DESCRIPTION = "Cells and signals, annotated with napari-biofm."
INDEX_NAME, INDEX_VERSION = "napari_biofm", 1  # in the scratch of a file: how to open it as a session


def write_nwb(
    path: Path,
    saved: Saved,
    *,
    about: NwbAbout | None = None,
) -> Path:
    """Export a session as NWB 2. What nobody said is left out, or "unknown" and NaN where NWB asks for it.

    Masks become a `PlaneSegmentation`, traces of cells `RoiResponseSeries` (dF/F or fluorescence), patch
    sweeps `CurrentClampSeries` or `VoltageClampSeries` with their electrode, other channels `TimeSeries`,
    events a table with the cell each belongs to. Rejected cells are included; where anything was said of cells, the column
    `accepted` of the regions tells them. All times are seconds of the session, which starts with the earliest
    recording; frame times are those of the movie's clock. `nwb_read.read_nwb_session` opens it as a session again.

    Parameters
    ----------
    path : file to write, ending in .nwb; replaced atomically.
    saved : of `snapshot`.
    about : the experiment and the animal; not given: what the recordings' own NWB files say, else nothing.

    Raises
    ------
    SessionError
        If pynwb is not installed, or there is nothing to export.
    """
    try:
        import pynwb
    except ImportError as error:
        raise SessionError("NWB export needs pynwb: pip install 'napari-biofm[formats]'.") from error
    if not saved.recordings and not any(layer.data is not None for layer in saved.layers):
        raise SessionError("There is nothing to export yet: neither cells nor recordings.")
    about = about_of(*saved.recordings.values()) if about is None else about
    description, start = about.session_description or DESCRIPTION, session_start(saved)
    if start is None:
        description += f" {NO_DATE}"
    begin = start or datetime(1970, 1, 1, tzinfo=UTC)
    nwb = pynwb.NWBFile(
        session_description=description,
        identifier=str(uuid.uuid4()),
        session_start_time=begin.replace(tzinfo=begin.tzinfo or UTC),
        **arguments_of_file(about),
    )
    regions = _add_regions(nwb, saved)
    index: dict[str, Any] = {
        "version": INDEX_VERSION,
        "layers": [
            {"table": regions[layer.uid].name, "uid": layer.uid, "name": layer.name, "shape": list(layer.data.shape)}
            for layer in saved.layers if layer.data is not None and layer.uid in regions
        ],
        "links": [[a.recording, a.channel, a.cell.layer, a.cell.label] for a in saved.links],
        "labels": saved.labels, "image": saved.image,
        "recordings": [],
    }  # fmt: skip
    for uid, recording in saved.recordings.items():
        add = _add_traces if recording.is_cells else add_sweeps
        index["recordings"].append(
            {
                "uid": uid,
                "kind": "cells" if recording.is_cells else "sweeps",
                "channels": [dataclasses.asdict(channel) for channel in recording.channels],
                "sweep_starts": recording.sweep_starts.tolist(),
                "protocol": recording.protocol,
                "t0": None if recording.t0 is None else recording.t0.isoformat(),
                "measured_on": None
                if recording.measured_on is None
                else dataclasses.asdict(recording.measured_on),
                "said": {key: recording.metadata[key] for key in KEPT if key in recording.metadata},
                "provenance": dict(saved.provenance.get(uid, {})),
                "clock": _clock_index(saved, recording),
                "series": add(nwb, saved, uid, recording, regions),
            }
        )
    _add_events(nwb, saved)
    text = json.dumps(index, default=plain_json)
    nwb.add_scratch(text, name=INDEX_NAME, description="how napari-biofm opens this file as a session again")
    try:
        with atomic_write(path) as partial, pynwb.NWBHDF5IO(str(partial), "w") as io:
            io.write(nwb)
    except OSError as error:
        raise SessionError(f"{path} cannot be written ({error.strerror or error}).") from error
    return path


def _clock_of(saved: Saved, recording: Recording) -> Clock | None:
    """Return the clock of the movie that traces were measured on."""
    clocks = (dataclasses.replace(clock, movie=uid) for uid, clock in saved.clocks.items())
    return clock_of(recording, clocks)


def _clock_index(saved: Saved, recording: Recording) -> dict[str, Any] | None:
    clock = _clock_of(saved, recording)
    if clock is None:
        return None
    return {"image": clock.movie, "source": clock.source, "recording": clock.recording}


def _add_regions(nwb: Any, saved: Saved) -> dict[str, Any]:
    """Write each labels layer that has cells as a PlaneSegmentation; return them by layer id."""
    import pynwb

    planes = [layer for layer in saved.layers if layer.data is not None and layer.data.ndim == 2]
    layers = [layer for layer in planes if np.any(layer.data)]  # NWB has no table of no regions
    if not layers:
        return {}
    device = nwb.create_device(name="Microscope")
    segmentation = pynwb.ophys.ImageSegmentation(name="ImageSegmentation")
    _module(nwb, "ophys", "cells and their fluorescence").add(segmentation)
    made = {}
    for i, layer in enumerate(layers):
        height, width = np.asarray(layer.data).shape
        channel = pynwb.ophys.OpticalChannel(
            name="OpticalChannel", description="unknown", emission_lambda=float("nan")
        )
        plane = nwb.create_imaging_plane(
            name="ImagingPlane" if i == 0 else f"ImagingPlane{i + 1}",
            optical_channel=channel,
            description=f"field of the labels layer '{layer.name}'",
            device=device,
            excitation_lambda=float("nan"),
            indicator="unknown",
            location="unknown",
        )
        table = segmentation.create_plane_segmentation(
            name="PlaneSegmentation" if i == 0 else f"PlaneSegmentation{i + 1}",
            description=f"labels layer '{layer.name}' of {height} x {width} pixels (y, x)",
            imaging_plane=plane,
        )
        table.add_column(name="label", description="label value in the mask image; the id of the cell")
        rejected = rejected_of_layer(saved, layer)
        if rejected is not None:
            table.add_column(
                name="accepted", description="whether the region counts as a cell: by hand, else by the file"
            )
        for label, y, x in _pixels(np.asarray(layer.data)):
            said = {} if rejected is None else {"accepted": label not in rejected}
            pixels = [(int(a), int(b), 1.0) for a, b in zip(x, y, strict=True)]
            table.add_roi(pixel_mask=pixels, label=label, **said)
        made[layer.uid] = table
    return made


def _pixels(data: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield label, y and x of the pixels of each label of (Y, X), ascending; one pass over the image."""
    flat = data.ravel()
    inside = np.flatnonzero(flat)
    order = inside[np.argsort(flat[inside], kind="stable")]
    ids, starts = np.unique(flat[order], return_index=True)
    for label, pixels in zip(ids, np.split(order, starts[1:]), strict=False):
        y, x = np.divmod(pixels, data.shape[1])
        yield int(label), y, x


def _add_traces(
    nwb: Any, saved: Saved, uid: str, recording: Recording, regions: dict[str, Any]
) -> list[dict[str, Any]]:
    """Write traces of cells as RoiResponseSeries beside their regions, one per unit; return what was written.

    Cells that were deleted since have no region; their traces go to a series of their own, the others stay named.
    """
    import pynwb

    layer = layer_of(saved, recording)
    known = (
        np.asarray(regions[layer.uid]["label"].data) if layer is not None and layer.uid in regions else None
    )
    rows = (
        {c: np.flatnonzero(known == n) for c, n in enumerate(recording.labels.tolist())}
        if known is not None
        else {}
    )
    groups: dict[tuple[str, bool], list[int]] = {}
    for c, channel in enumerate(recording.channels):
        groups.setdefault((channel.unit, len(rows.get(c, ())) > 0), []).append(c)
    timing, written = _timing(saved, uid, recording), []
    for (unit, has_region), columns in groups.items():
        values = np.stack([recording.values(0, c) for c in columns], axis=1)
        name = safe_name(uid) + ("" if unit in ("dF/F", "a.u.") else f"_{safe_name(unit)}")
        names = ", ".join(str(recording.channels[c].label) for c in columns)
        if not has_region or layer is None:
            name += "_without_mask"
            nwb.add_acquisition(
                pynwb.TimeSeries(
                    name=name, data=values, unit=unit, description=f"traces of the cells {names}; one column per cell",
                    **timing,
                )
            )  # fmt: skip
            written.append({"place": f"acquisition/{name}", "columns": columns})
            continue
        region = regions[layer.uid].create_roi_table_region(
            region=[int(rows[c][0]) for c in columns], description="cells of the columns"
        )
        response = pynwb.ophys.RoiResponseSeries(
            name=name, data=values, rois=region, unit="n.a." if "/" in unit else unit,
            description=f"traces of the cells {names}", **timing,
        )  # fmt: skip
        kind = pynwb.ophys.DfOverF if unit == "dF/F" else pynwb.ophys.Fluorescence
        module = _module(nwb, "ophys", "cells and their fluorescence")
        if kind.__name__ not in module.data_interfaces:
            module.add(kind(name=kind.__name__))
        module[kind.__name__].add_roi_response_series(response)
        written.append({"place": f"processing/ophys/{kind.__name__}/{name}", "columns": columns})
    return written


def _add_events(nwb: Any, saved: Saved) -> None:
    """Write all events as one table, each with its second of the session, its recording, channel and cell."""
    from hdmf.common import DynamicTable, VectorData

    columns: dict[str, list[Any]] = {}
    cell_of = {(a.recording, a.channel): a.cell.label for a in saved.links}
    for uid, found in saved.events.items():
        recording, events = saved.recordings[uid], reviewed(found)
        for name in REVIEWED_DTYPE.names or ():
            column = verdicts_of(events) if name == "verdict" else events[name]
            values = column.astype(str).tolist() if column.dtype.kind == "U" else column.tolist()
            columns.setdefault("sweep_time_s" if name == "time_s" else name, []).extend(values)
        clock = _clock_of(saved, recording)
        begin = starts_at(saved, uid if clock is None else clock.recording)
        seconds = begin + event_seconds(events, recording, clock)
        columns.setdefault("time_s", []).extend(seconds.tolist())
        columns.setdefault("recording", []).extend([uid] * len(events))
        cells = [cell_of.get((uid, c), recording.channels[c].label) for c in events["channel"].tolist()]
        columns.setdefault("cell", []).extend(-1 if n is None else int(n) for n in cells)
    if not columns or not columns["time_s"]:
        return
    about = {
        "time_s": "seconds from the start of the session",
        "sweep_time_s": "seconds from the start of the sweep, or of the movie's traces",
        "cell": "label of the cell, -1 where the channel is linked to none",
        "score": "confidence, 0 to 1",
    }
    table = DynamicTable(
        name="events",
        description="events found by napari-biofm, one row each",
        columns=[
            VectorData(
                name=name,
                description=about.get(name, name),
                data=data if isinstance(data[0], str) else np.asarray(data),
            )
            for name, data in columns.items()
        ],
    )
    _module(nwb, "events", f"events found by napari-biofm {__version__}").add(table)


def rejected_of_layer(saved: Saved, layer: SavedLayer) -> frozenset[int] | None:
    """Return the labels of a layer that are rejected in all traces of it that say so; None where none says anything."""
    said = [
        one
        for one in saved.recordings.values()
        if one.is_cells and is_curated(one) and layer_of(saved, one) is layer
    ]
    if not said:
        return None
    accepted = {label for one in said for label in one.labels[accepted_cells(one)].tolist()}
    return frozenset(
        label for one in said for label in rejected_labels(one).tolist() if label not in accepted
    )


def layer_of(saved: Saved, recording: Recording) -> SavedLayer | None:
    """Return the labels layer that traces are of: the one they know, else the one with the most of their cells."""
    layers = [layer for layer in saved.layers if layer.data is not None and layer.data.ndim == 2]
    on = recording.measured_on
    if on is not None:
        return next((layer for layer in layers if layer.uid == on.masks), None)
    layers.sort(key=lambda layer: layer.uid != saved.labels)
    wanted = set(recording.labels.tolist())
    found = [(len(wanted & set(np.unique(np.asarray(layer.data)).tolist())), layer) for layer in layers]
    most = max((n for n, _ in found), default=0)
    return next((layer for n, layer in found if n == most and n > 0), None)


def _timing(saved: Saved, uid: str, recording: Recording) -> dict[str, Any]:
    """Return frame times where the movie has a clock, else rate and start; seconds of the session."""
    clock, n = _clock_of(saved, recording), recording.n_samples(0, 0)
    if clock is not None:
        times: NDArray[np.float64] = np.array(clock.times) + starts_at(saved, clock.recording)
        rate = clock.imaging_rate
        if np.allclose(times, times[0] + np.arange(n) / rate, atol=1e-5 / rate):
            return {"rate": float(rate), "starting_time": float(times[0])}
        return {"timestamps": times}
    return {
        "rate": float(recording.channels[0].sampling_rate),
        "starting_time": starts_at(saved, uid) + float(recording.sweep_starts[0]),
    }


def _module(nwb: Any, name: str, description: str) -> Any:
    if name in nwb.processing:
        return nwb.processing[name]
    return nwb.create_processing_module(name=name, description=description)
