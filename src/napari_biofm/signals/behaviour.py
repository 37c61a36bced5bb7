"""A behaviour signal, such as running speed: one channel of a recording on the session's clock, and its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers import read_recording
from napari_biofm.signals.readers.text import name_and_unit
from napari_biofm.signals.readers.text_table import read_table, time_factor
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

BEHAVIOUR = (
    "behaviour"  # in the metadata of a recording: which channel of it is the behaviour signal, JSON-able
)
LONGEST_GAP = 3.0  # usual steps of an uneven table: over longer ones no line is drawn
TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Behaviour:
    """Which channel of a recording is the behaviour signal, where it lies in time, and what its events are.

    Attributes
    ----------
    channel : of the recording, counted from 0.
    offset_s : second of the session at which the recording's second 0 is.
    threshold : in the unit of the channel; an event begins where the signal crosses it. None: no events.
    falling : whether an event begins where the signal falls below the threshold.
    least_s : seconds that the signal stays beyond the threshold, and was not beyond it before.
    """

    channel: int = 0
    offset_s: float = 0.0
    threshold: float | None = None
    falling: bool = False
    least_s: float = 0.5


def behaviour_of(recording: Recording) -> Behaviour | None:
    """Return what was said of the behaviour signal in a recording, None where it holds none."""
    return behaviour_from(recording.metadata.get(BEHAVIOUR))


def behaviour_from(record: Mapping[str, Any] | None) -> Behaviour | None:
    """Return what `dataclasses.asdict` made of a behaviour signal; None stays None."""
    if record is None:
        return None
    threshold = record["threshold"]
    return Behaviour(
        int(record["channel"]),
        float(record["offset_s"]),
        None if threshold is None else float(threshold),
        bool(record["falling"]),
        float(record["least_s"]),
    )


def with_behaviour(recording: Recording, behaviour: Behaviour | None) -> Recording:
    """Return the recording with another behaviour signal, or with none.

    Raises
    ------
    RecordingError
        If there is no such channel, or a number is not finite.
    """
    metadata = {key: value for key, value in recording.metadata.items() if key != BEHAVIOUR}
    if behaviour is not None:
        if not 0 <= behaviour.channel < recording.n_channels:
            raise RecordingError(
                f"channel {behaviour.channel} of {recording.name} is asked for; it has 0 to {recording.n_channels - 1}"
            )
        numbers = (behaviour.offset_s, behaviour.least_s, behaviour.threshold or 0.0)
        if not np.isfinite(numbers).all() or behaviour.least_s < 0:
            raise RecordingError(f"offset, threshold and least time must be finite numbers, not {numbers}")
        metadata[BEHAVIOUR] = dataclasses.asdict(behaviour)
    return dataclasses.replace(recording, metadata=metadata)


def behaviour_samples(
    recording: Recording, behaviour: Behaviour
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return seconds of the session and values (n,) of a behaviour signal; a NaN stands between sweeps.

    Parameters
    ----------
    recording, behaviour : where it lies.
    """
    rate = recording.channels[behaviour.channel].sampling_rate
    seconds, values = [], []
    for sweep, start in enumerate(recording.sweep_starts.tolist()):
        part = recording.values(sweep, behaviour.channel)
        seconds += [start + np.arange(len(part)) / rate, np.array([start + len(part) / rate])]
        values += [part, np.array([np.nan], np.float32)]
    if not seconds:
        return np.zeros(0), np.zeros(0, np.float32)
    return np.concatenate(seconds[:-1] or seconds) + behaviour.offset_s, np.concatenate(values[:-1] or values)


def behaviour_events(recording: Recording, behaviour: Behaviour) -> NDArray[np.float64]:
    """Return the seconds of the session (n,) at which events of a behaviour signal begin; none without a threshold.

    Parameters
    ----------
    recording, behaviour : where it lies.
    """
    if behaviour.threshold is None:
        return np.zeros(0)
    rate = recording.channels[behaviour.channel].sampling_rate
    found = [
        start
        + behaviour.offset_s
        + threshold_crossings(
            recording.values(sweep, behaviour.channel),
            rate,
            behaviour.threshold,
            falling=behaviour.falling,
            least_s=behaviour.least_s,
        )
        for sweep, start in enumerate(recording.sweep_starts.tolist())
    ]
    return np.concatenate(found) if found else np.zeros(0)


def threshold_crossings(
    values: NDArray[np.floating],
    rate: float,
    threshold: float,
    *,
    falling: bool = False,
    least_s: float = 0.0,
) -> NDArray[np.float64]:
    """Return when a signal crosses a threshold and stays beyond it, (n,) seconds from its first sample.

    Parameters
    ----------
    values : (T,) samples; NaN is not beyond the threshold, and a crossing out of a gap does not count.
    rate : Hz.
    threshold : in the unit of the values.
    falling : whether below is beyond.
    least_s : shorter times beyond the threshold, and shorter returns, do not count.

    Returns
    -------
    Times lie between samples, where the line between them crosses. A signal that begins beyond the threshold has no crossing there.
    """
    signal = np.asarray(values, np.float64)
    way = -1.0 if falling else 1.0
    beyond = way * signal > way * threshold
    least = round(least_s * rate)
    beyond = _without_short(beyond, least, False)
    beyond = _without_short(beyond, least, True)
    at = np.flatnonzero(beyond[1:] & ~beyond[:-1]) + 1
    at = at[np.isfinite(signal[at - 1]) & (way * signal[at - 1] <= way * threshold)]
    step = signal[at] - signal[at - 1]
    part = np.divide(threshold - signal[at - 1], step, out=np.ones(len(at)), where=step != 0)
    return np.asarray((at - 1 + np.clip(part, 0, 1)) / rate, np.float64)


def _without_short(state: NDArray[np.bool_], least: int, which: bool) -> NDArray[np.bool_]:
    """Return the state with stretches of `which` shorter than `least` samples turned, except at both ends."""
    if least <= 1 or len(state) < 3:
        return state
    edges = np.concatenate([[0], np.flatnonzero(state[1:] != state[:-1]) + 1, [len(state)]])
    made = state.copy()
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = first > 0 and last < len(state)
        if inside and state[first] == which and last - first < least:
            made[first:last] = not which
    return made


def read_behaviour(path: str | Path) -> Recording:
    """Open a behaviour signal: any recording, or a table with a column of time whose steps may be uneven.

    Parameters
    ----------
    path : CSV with a column of time (`time_s`, `time (ms)` ...) and columns of values, or any recording. Columns without a unit
        are in "a.u.". Uneven times are brought to their usual rate by lines, none over a gap of more than three steps.

    Raises
    ------
    RecordingError
        If the file is missing, or no table with a column of time.
    """
    file = Path(path)
    if file.suffix.lower() not in TABLES:
        return read_recording(file)
    if not file.is_file():
        raise RecordingError(f"{file} does not exist")
    for unit in (None, "a.u."):
        try:
            return read_recording(file, unit=unit)
        except RecordingError as error:
            if "not even" in str(error):
                return _resampled(file)
            if unit is not None or "state the unit" not in str(error):
                raise
    raise RecordingError(f"{file.name} cannot be read")


def _resampled(path: Path) -> Recording:
    table = read_table(path)
    titles = [
        name_and_unit(name, unit, i)
        for i, (name, unit) in enumerate(zip(table.names, table.units, strict=True))
    ]
    factors = [time_factor(name, unit) for name, unit in titles]
    column = next((i for i, one in enumerate(factors) if one), None)
    if column is None:
        raise RecordingError(f"{path.name} has no column of time that names its unit, such as time_s")
    seconds = table.columns[:, column] * float(factors[column] or 1.0)
    order = np.argsort(seconds, kind="stable")
    seconds = seconds[order]
    usual = float(np.median(np.diff(np.unique(seconds))))
    grid = np.arange(seconds[0], seconds[-1] + usual / 2, usual)
    after = np.clip(np.searchsorted(seconds, grid, side="left"), 1, len(seconds) - 1)
    gap = seconds[after] - seconds[after - 1] > LONGEST_GAP * usual
    keep = [i for i in range(table.columns.shape[1]) if i != column]
    rows = []
    for i in keep:
        values = np.interp(grid, seconds, table.columns[order, i])
        values[gap] = np.nan
        rows.append(values.astype(np.float32))
    made = Recording.from_arrays(
        [rows],
        1 / usual,
        [titles[i][1] or "a.u." for i in keep],
        names=[titles[i][0] for i in keep],
        sweep_starts=[float(seconds[0])],
        format="text",
        metadata={"resampled": f"{path.name} has uneven times; they were brought to {1 / usual:.6g} Hz"},
    )
    return made
