"""Sweeps of a recording as NWB: clamped cells with electrode and clamp class, their stimuli, everything else beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import si_unit

CLAMPED = {"A": "amperes", "V": "volts"}  # quantity that is recorded of a clamped cell -> NWB's unit
PLACEHOLDER = datetime(1970, 1, 1)  # NWB asks for a start; a file that says none gets this one, and says so
NO_DATE = "No recording says when it began: the start of the session is a placeholder."
CHUNK = 1 << 16  # samples of a sweep that are written at once


def add_sweeps(
    nwb: Any,
    recording: Recording,
    *,
    prefix: str = "",
    cell_of: Mapping[int, int] | None = None,
    begin_s: float = 0.0,
) -> list[dict[str, Any]]:
    """Write each channel of each sweep, and the protocol's commands as stimuli.

    The current or voltage of a cell is a `VoltageClampSeries` or `CurrentClampSeries` of its electrode, its command a
    stimulus series of the same; the icephys tables say which belong together, which sweeps were recorded at once,
    and which followed each other. Volts and amperes are in SI, in double precision. Nothing is invented: series
    resistance, gain or capacitance that nobody said are left out.

    Parameters
    ----------
    nwb : file that is written.
    recording : whose sweeps they are.
    prefix : of the names, where a file holds several recordings.
    cell_of : label of the cell of a channel, where it is known.
    begin_s : second of the session at which the recording began.

    Returns
    -------
    One entry per series: its place in the file, sweep, channel, and whether it is a "command".
    """
    electrodes = _electrodes(nwb, recording, prefix, cell_of or {})
    written: list[dict[str, Any]] = []
    together: list[int] = []
    for sweep in range(recording.n_sweeps):
        rows = []
        for c in range(recording.n_channels):
            if not recording.n_samples(sweep, c):
                continue
            electrode = electrodes.get(c)
            series = _series(recording, prefix, sweep, c, electrode, begin_s)
            nwb.add_acquisition(series)
            written.append({"place": f"acquisition/{series.name}", "sweep": sweep, "channel": c})
            stimulus = _stimulus(recording, prefix, sweep, c, electrode, begin_s)
            if stimulus is not None:
                nwb.add_stimulus(stimulus)
                place = f"stimulus/presentation/{stimulus.name}"
                written.append({"place": place, "sweep": sweep, "channel": c, "command": True})
            if electrode is not None:
                clamp = stimulus if stimulus is not None and hasattr(stimulus, "electrode") else None
                rows.append(
                    nwb.add_intracellular_recording(
                        electrode=electrode,
                        response=series,
                        stimulus=clamp,
                        **_spans(recording, sweep, c, clamp),
                    )
                )
        if rows:
            together.append(int(nwb.add_icephys_simultaneous_recording(recordings=[int(r) for r in rows])))
    if together:
        nwb.add_icephys_sequential_recording(
            simultaneous_recordings=together, stimulus_type=recording.protocol or "not stated"
        )
    return written


def _spans(recording: Recording, sweep: int, c: int, stimulus: Any) -> dict[str, int]:
    """Return which samples of both series belong together: all; pynwb before 3.1 cannot count those that come piece by piece."""
    spans = {"response_start_index": 0, "response_index_count": recording.n_samples(sweep, c)}
    if stimulus is not None:
        command = recording.command(sweep, c)
        assert command is not None
        spans |= {"stimulus_start_index": 0, "stimulus_index_count": len(command.values)}
    return spans


def _electrodes(nwb: Any, recording: Recording, prefix: str, cell_of: Mapping[int, int]) -> dict[int, Any]:
    """Return the electrode of each channel that is a cell's current or voltage."""
    made: dict[int, Any] = {}
    for role in recording.roles:
        channel = recording.channels[role.channel]
        if role.name != "signal" or si_unit(channel.unit)[0] not in CLAMPED:
            continue
        if "Amplifier" not in nwb.devices:
            nwb.create_device(name="Amplifier", description="not stated")
        cell = cell_of.get(role.channel)
        made[role.channel] = nwb.create_icephys_electrode(
            name=f"{prefix}electrode{role.channel:02d}",
            description=f"channel {channel.name}",
            device=nwb.devices["Amplifier"],
            **({} if cell is None else {"cell_id": str(cell)}),
        )
    return made


def _common(recording: Recording, sweep: int, c: int, begin_s: float) -> dict[str, Any]:
    return {
        "starting_time": begin_s + float(recording.sweep_starts[sweep]),
        "rate": float(recording.channels[c].sampling_rate),
    }


def _series(recording: Recording, prefix: str, sweep: int, c: int, electrode: Any, begin_s: float) -> Any:
    """Return one channel of one sweep."""
    import pynwb

    channel = recording.channels[c]
    quantity = si_unit(channel.unit)[0]
    common = {
        **_common(recording, sweep, c, begin_s),
        "name": f"{prefix}sweep{sweep:04d}_{c:02d}_{safe_name(channel.name)}",
        "comments": channel.name or "?",
        "description": f"channel {channel.name}, sweep {sweep}",
        "data": _in_pieces(functools.partial(_si, recording, sweep, c), recording.n_samples(sweep, c)),
    }
    if electrode is None:
        return pynwb.TimeSeries(unit=quantity if quantity in CLAMPED else channel.unit, **common)
    clamp = pynwb.icephys.VoltageClampSeries if quantity == "A" else pynwb.icephys.CurrentClampSeries
    if recording.protocol:
        common["stimulus_description"] = recording.protocol
    return clamp(electrode=electrode, gain=float("nan"), sweep_number=np.uint32(sweep), **common)


def _stimulus(
    recording: Recording, prefix: str, sweep: int, c: int, electrode: Any, begin_s: float
) -> Any | None:
    """Return what the protocol commands of a channel in a sweep, None where it holds or nobody knows."""
    import pynwb

    command = recording.command(sweep, c)
    if command is None or command.values.strides == (0,) or not np.isfinite(command.values).all():
        return None
    quantity = si_unit(command.unit)[0]
    common = {
        **_common(recording, sweep, c, begin_s),
        "name": f"{prefix}command{sweep:04d}_{c:02d}",
        "description": f"command of channel {recording.channels[c].name}, sweep {sweep}",
        "data": _in_pieces(functools.partial(_command, recording, sweep, c), len(command.values)),
    }
    pairs = {
        ("A", "V"): pynwb.icephys.VoltageClampStimulusSeries,
        ("V", "A"): pynwb.icephys.CurrentClampStimulusSeries,
    }
    clamp = pairs.get((si_unit(recording.channels[c].unit)[0], quantity))
    if electrode is None or clamp is None:
        return pynwb.TimeSeries(unit=quantity if quantity in CLAMPED else command.unit, **common)
    if recording.protocol:
        common["stimulus_description"] = recording.protocol
    return clamp(electrode=electrode, gain=float("nan"), sweep_number=np.uint32(sweep), **common)


def _command(recording: Recording, sweep: int, channel: int, start: int, stop: int) -> Any:
    command = recording.command(sweep, channel)
    assert command is not None
    return _in_si(command.values[start:stop], command.unit)


def _si(recording: Recording, sweep: int, channel: int, start: int, stop: int) -> Any:
    return _in_si(recording.values(sweep, channel, start, stop), recording.channels[channel].unit)


def _in_si(values: Any, unit: str) -> Any:
    """Return volts and amperes in double precision, from which the same numbers come back; others as they are."""
    quantity, factor = si_unit(unit)
    return np.asarray(values, np.float64) * (factor if quantity in CLAMPED else 1.0)


def _in_pieces(read: Callable[[int, int], Any], n: int) -> Any:
    """Return `n` samples that `read(start, stop)` gives; of a long sweep piece by piece, as they are written.

    Parameters
    ----------
    read : (start, stop) -> (stop - start,) float64.
    n : number of samples.
    """
    if n <= CHUNK:
        return read(0, n)
    from hdmf.data_utils import GenericDataChunkIterator

    class Pieces(GenericDataChunkIterator):  # type: ignore[misc]
        """Reads a span when it is written."""

        def _get_data(self, selection: tuple[slice, ...]) -> Any:
            return read(selection[0].start, selection[0].stop)

        def _get_maxshape(self) -> tuple[int]:
            return (n,)

        def _get_dtype(self) -> Any:
            return np.dtype(np.float64)

    return Pieces(buffer_shape=(min(16 * CHUNK, n),), chunk_shape=(CHUNK,))


def safe_name(name: str) -> str:
    """Return a name that NWB takes, of letters and digits."""
    return "".join(c if c.isalnum() else "_" for c in name).strip("_") or "channel"
