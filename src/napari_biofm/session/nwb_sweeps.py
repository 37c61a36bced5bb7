"""Sweeps of an NWB export: each channel of each sweep, clamped ones with their electrode; when each recording began."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from napari_biofm.session.snapshot import Saved
from napari_biofm.signals import Recording

# unit -> (factor to the unit NWB wants, class of the series, that unit)
CURRENT = {"pA": 1e-12, "nA": 1e-9, "uA": 1e-6, "µA": 1e-6, "A": 1.0}
VOLTAGE = {"uV": 1e-6, "µV": 1e-6, "mV": 1e-3, "V": 1.0}


def session_start(saved: Saved) -> datetime | None:
    """Return when the earliest recording began, None where none says it."""
    return min((r.t0 for r in saved.recordings.values() if r.t0 is not None), default=None)


def starts_at(saved: Saved, uid: str) -> float:
    """Return the second of the session at which a recording began; 0 where it does not say."""
    recording, start = saved.recordings.get(uid), session_start(saved)
    if recording is None or recording.t0 is None or start is None:
        return 0.0
    return (recording.t0 - start).total_seconds()


def add_sweeps(
    nwb: Any,
    saved: Saved,
    uid: str,
    recording: Recording,
    regions: dict[str, Any],  # noqa: ARG001 (as `_add_traces`)
) -> list[dict[str, Any]]:
    """Write each channel of each sweep; current and voltage as intracellular series of one electrode each.

    The icephys tables say which channels were recorded together (one row per sweep) and which sweeps
    followed each other (one row per recording); an electrode carries the label of its cell.
    """
    electrodes = _electrodes(nwb, saved, uid, recording)
    sweeps, written = [], []
    begin = starts_at(saved, uid)
    for sweep in range(recording.n_sweeps):
        made = {
            c: _series(recording, uid, sweep, c, electrodes.get(c), begin)
            for c in range(recording.n_channels)
            if recording.n_samples(sweep, c)
        }
        rows = []
        for c, series in made.items():
            nwb.add_acquisition(series)
            written.append({"place": f"acquisition/{series.name}", "sweep": sweep, "channel": c})
            if c in electrodes:
                rows.append(nwb.add_intracellular_recording(electrode=electrodes[c], response=series))
        if rows:
            sweeps.append(nwb.add_icephys_simultaneous_recording(recordings=[int(r) for r in rows]))
    if sweeps:
        nwb.add_icephys_sequential_recording(
            simultaneous_recordings=[int(s) for s in sweeps], stimulus_type="as recorded"
        )
    return written


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
            name=f"{safe_name(uid)}_electrode{c:02d}",
            description=f"channel {recording.channels[c].name} of {uid}",
            device=nwb.devices["Amplifier"],
            **({} if cell is None else {"cell_id": str(cell)}),
        )
    return made


def _series(recording: Recording, uid: str, sweep: int, c: int, electrode: Any, begin: float) -> Any:
    """Return one channel of one sweep: of a clamped cell, the command of one, or anything else."""
    import pynwb

    channel = recording.channels[c]
    common = {
        "name": f"{safe_name(uid)}_sweep{sweep:04d}_{c:02d}_{safe_name(channel.name)}",
        "starting_time": begin + float(recording.sweep_starts[sweep]),
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


def _is_helper(recording: Recording, channel: int) -> bool:
    """Return whether a channel is a command or a trigger: recorded as the command of another, or in volts."""
    commands = {recording.command_channel(c) for c in range(recording.n_channels)}
    return channel in commands or recording.channels[channel].unit == "V"


def safe_name(name: str) -> str:
    """Return a name that NWB takes, of letters and digits."""
    return "".join(c if c.isalnum() else "_" for c in name).strip("_") or "recording"
