"""A session as one NWB file: cells as regions, dF/F as their responses, sweeps, events."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm import __version__
from napari_biofm.events.reviewed import reviewed, verdicts_of
from napari_biofm.files import atomic_write
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.signals import Recording
from napari_biofm.types import MEASURED_DTYPE, SessionError

# unit -> (factor to the unit NWB wants, class of the series, that unit)
CURRENT = {"pA": 1e-12, "nA": 1e-9, "uA": 1e-6, "µA": 1e-6, "A": 1.0}
VOLTAGE = {"uV": 1e-6, "µV": 1e-6, "mV": 1e-3, "V": 1.0}


def write_nwb(
    path: Path,
    saved: Saved,
    *,
    subject_id: str = "unknown",
    species: str = "Mus musculus",
    age: str = "P0D/",
    description: str = "Cells and signals, annotated with napari-biofm.",
) -> Path:
    """Export a session as NWB 2.

    Masks become a `PlaneSegmentation`, traces of cells `RoiResponseSeries` (dF/F or fluorescence), patch
    sweeps `CurrentClampSeries` or `VoltageClampSeries` with their electrode, other channels `TimeSeries`,
    events a table with the cell each belongs to. Frame times are those of the movie's clock.

    Parameters
    ----------
    path : file to write, ending in .nwb; replaced atomically.
    saved : of `snapshot`.
    subject_id, species, age : of the animal; NWB asks for them. `age` in ISO 8601, e.g. "P60D".
    description : of the session.

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
    starts = [r.t0 for r in saved.recordings.values() if r.t0 is not None]
    start = min(starts) if starts else datetime(1970, 1, 1, tzinfo=UTC)
    nwb = pynwb.NWBFile(
        session_description=description,
        identifier=str(uuid.uuid4()),
        session_start_time=start.replace(tzinfo=start.tzinfo or UTC),
        experiment_description=description,
        experimenter=["unknown, unknown"],
        institution="unknown",
        keywords=["calcium imaging", "patch clamp"],
        subject=pynwb.file.Subject(
            subject_id=subject_id, species=species, age=age, sex="U", description="as stated by the user"
        ),
    )
    regions = _add_regions(nwb, saved)
    for uid, recording in saved.recordings.items():
        if recording.is_cells:
            _add_traces(nwb, saved, uid, recording, regions)
        else:
            _add_sweeps(nwb, saved, uid, recording)
    _add_events(nwb, saved)
    try:
        with atomic_write(path) as partial, pynwb.NWBHDF5IO(str(partial), "w") as io:
            io.write(nwb)
    except OSError as error:
        raise SessionError(f"{path} cannot be written ({error.strerror or error}).") from error
    return path


def _add_regions(nwb: Any, saved: Saved) -> dict[str, Any]:
    """Write each labels layer as a PlaneSegmentation; return them by layer id."""
    import pynwb

    layers = [layer for layer in saved.layers if layer.data is not None and layer.data.ndim == 2]
    if not layers:
        return {}
    device = nwb.create_device(name="Microscope", description="as recorded")
    channel = pynwb.ophys.OpticalChannel(name="OpticalChannel", description="emission", emission_lambda=520.0)
    plane = nwb.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=channel,
        description="field of the movie",
        device=device,
        excitation_lambda=488.0,
        indicator="unknown",
        location="unknown",
    )
    segmentation = pynwb.ophys.ImageSegmentation(name="ImageSegmentation")
    _module(nwb, "ophys", "cells and their fluorescence").add(segmentation)
    made = {}
    for i, layer in enumerate(layers):
        table = segmentation.create_plane_segmentation(
            name="PlaneSegmentation" if i == 0 else f"PlaneSegmentation{i + 1}",
            description=f"labels layer '{layer.name}'",
            imaging_plane=plane,
        )
        table.add_column(name="label", description="label value in the mask image; the id of the cell")
        for label, y, x in _pixels(np.asarray(layer.data)):
            table.add_roi(pixel_mask=[(int(a), int(b), 1.0) for a, b in zip(x, y, strict=True)], label=label)
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


def _add_traces(nwb: Any, saved: Saved, uid: str, recording: Recording, regions: dict[str, Any]) -> None:
    """Write traces of cells as RoiResponseSeries beside their regions."""
    import pynwb

    labels, table, layer = recording.labels, None, _layer_of(saved, recording)
    if layer is not None and layer.uid in regions:
        known = np.asarray(regions[layer.uid]["label"].data)
        rows = [int(np.flatnonzero(known == n)[0]) for n in labels if n in known]
        table = regions[layer.uid] if len(rows) == len(labels) else None
    values = np.stack([recording.values(0, c) for c in range(recording.n_channels)], axis=1)
    unit = recording.channels[0].unit
    timing = _timing(saved, recording)
    if table is None:
        series = pynwb.TimeSeries(
            name=_safe(uid),
            data=values,
            unit=unit,
            description="traces of cells; one column per cell",
            **timing,
        )
        nwb.add_acquisition(series)
        return
    region = table.create_roi_table_region(region=rows, description="cells of the columns")
    response = pynwb.ophys.RoiResponseSeries(
        name=_safe(uid), data=values, rois=region, unit="n.a." if "/" in unit else unit, **timing
    )
    kind = pynwb.ophys.DfOverF if "F" in unit and "/" in unit else pynwb.ophys.Fluorescence
    module = _module(nwb, "ophys", "cells and their fluorescence")
    name = kind.__name__
    if name not in module.data_interfaces:
        module.add(kind(name=name))
    module[name].add_roi_response_series(response)


def _add_sweeps(nwb: Any, saved: Saved, uid: str, recording: Recording) -> None:
    """Write each channel of each sweep; current and voltage as intracellular series of one electrode each.

    The icephys tables say which channels were recorded together (one row per sweep) and which sweeps
    followed each other (one row per recording); an electrode carries the label of its cell.
    """
    electrodes = _electrodes(nwb, saved, uid, recording)
    sweeps = []
    for sweep in range(recording.n_sweeps):
        made = {
            c: _series(recording, uid, sweep, c, electrodes.get(c))
            for c in range(recording.n_channels)
            if recording.n_samples(sweep, c)
        }
        rows = []
        for c, series in made.items():
            nwb.add_acquisition(series)
            if c in electrodes:
                rows.append(nwb.add_intracellular_recording(electrode=electrodes[c], response=series))
        if rows:
            sweeps.append(nwb.add_icephys_simultaneous_recording(recordings=[int(r) for r in rows]))
    if sweeps:
        nwb.add_icephys_sequential_recording(
            simultaneous_recordings=[int(s) for s in sweeps], stimulus_type="as recorded"
        )


def _electrodes(nwb: Any, saved: Saved, uid: str, recording: Recording) -> dict[int, Any]:
    """Return the electrode of each channel that is a clamped cell's current or voltage."""
    cell_of = {(a.recording, a.channel): a.cell.label for a in saved.links}
    clamped = [
        c
        for c, channel in enumerate(recording.channels)
        if channel.unit in {**CURRENT, **VOLTAGE} and not _is_helper(recording, c)
    ]
    if clamped and "Amplifier" not in nwb.devices:
        nwb.create_device(name="Amplifier", description="patch-clamp amplifier")
    made = {}
    for c in clamped:
        cell = cell_of.get((uid, c))
        made[c] = nwb.create_icephys_electrode(
            name=f"{_safe(uid)}_electrode{c:02d}",
            description=f"channel {recording.channels[c].name} of {uid}",
            device=nwb.devices["Amplifier"],
            **({} if cell is None else {"cell_id": str(cell)}),
        )
    return made


def _series(recording: Recording, uid: str, sweep: int, c: int, electrode: Any) -> Any:
    """Return one channel of one sweep: of a clamped cell, the command of one, or anything else."""
    import pynwb

    channel = recording.channels[c]
    common = {
        "name": f"{_safe(uid)}_sweep{sweep:04d}_{c:02d}_{_safe(channel.name)}",
        "starting_time": float(recording.sweep_starts[sweep]),
        "rate": float(channel.sampling_rate),
        "description": f"{uid}, channel {channel.name}, sweep {sweep}",
    }
    values = recording.values(sweep, c)
    scale = {**CURRENT, **VOLTAGE}.get(channel.unit)
    if scale is None or electrode is None:
        return pynwb.TimeSeries(data=values, unit=channel.unit, **common)
    clamp = pynwb.icephys.VoltageClampSeries if channel.unit in CURRENT else pynwb.icephys.CurrentClampSeries
    return clamp(
        data=np.asarray(values, np.float64) * scale,
        electrode=electrode,
        gain=1.0,
        sweep_number=np.uint32(sweep),
        **common,
    )


def _add_events(nwb: Any, saved: Saved) -> None:
    """Write all events as one table, each with its recording, channel and cell."""
    from hdmf.common import DynamicTable, VectorData

    columns: dict[str, list[Any]] = {}
    cell_of = {(a.recording, a.channel): a.cell.label for a in saved.links}
    for uid, table in saved.events.items():
        events, recording = reviewed(table), saved.recordings[uid]
        for name in (*(MEASURED_DTYPE.names or ()), "verdict"):
            column = verdicts_of(events) if name == "verdict" else events[name]
            values = column.astype(str).tolist() if column.dtype.kind == "U" else column.tolist()
            columns.setdefault(name, []).extend(values)
        columns.setdefault("recording", []).extend([uid] * len(events))
        cells = [cell_of.get((uid, c), recording.channels[c].label) for c in events["channel"].tolist()]
        columns.setdefault("cell", []).extend(-1 if n is None else int(n) for n in cells)
    if not columns or not columns["time_s"]:
        return
    about = {
        "time_s": "seconds from the start of the sweep",
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


def _layer_of(saved: Saved, recording: Recording) -> SavedLayer | None:
    """Return the labels layer that holds all cells of a recording, the one in play before others."""
    wanted = set(recording.labels.tolist())
    layers = [layer for layer in saved.layers if layer.data is not None and layer.data.ndim == 2]
    layers.sort(key=lambda layer: layer.uid != saved.labels)
    return next((y for y in layers if wanted <= set(np.unique(np.asarray(y.data)).tolist())), None)


def _timing(saved: Saved, recording: Recording) -> dict[str, Any]:
    """Return frame times where a clock fits the traces, else rate and start."""
    n = recording.n_samples(0, 0)
    for clock in saved.clocks.values():
        if clock.n_frames == n:
            times: NDArray[np.float64] = np.array(clock.times)
            rate = clock.imaging_rate
            if np.allclose(times, times[0] + np.arange(n) / rate, atol=1e-5 / rate):
                return {"rate": float(rate), "starting_time": float(times[0])}
            return {"timestamps": times}
    return {
        "rate": float(recording.channels[0].sampling_rate),
        "starting_time": float(recording.sweep_starts[0]),
    }


def _is_helper(recording: Recording, channel: int) -> bool:
    """Return whether a channel is a command or a trigger: recorded as the command of another, or in volts."""
    commands = {recording.command_channel(c) for c in range(recording.n_channels)}
    return channel in commands or recording.channels[channel].unit == "V"


def _module(nwb: Any, name: str, description: str) -> Any:
    if name in nwb.processing:
        return nwb.processing[name]
    return nwb.create_processing_module(name=name, description=description)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).strip("_") or "recording"
