"""When stimuli were given: times as typed, pulses of a channel or of the command, or artefacts in the trace."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.ephys.common import Floats, numbers_in, same_length
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.steps import least_change, test_pulses
from napari_biofm.types import RecordingError

Where = Literal["auto", "times", "channel", "command", "artefacts"]
_APART_S = 2e-3  # stimuli nearer than this are one
_SHARP = 15.0  # times the usual change between samples: an artefact
_CLEAR = 8.0  # times the noise: a pulse of a channel


def stimulus_times(
    recording: Recording,
    channel: int,
    sweeps: list[int],
    where: Where,
    times: str,
    stimulus_channel: int | None,
) -> tuple[list[Floats], str]:
    """Return the times of the stimuli of each sweep, seconds from its start, and in words where they are from.

    Parameters
    ----------
    recording, channel : whose responses are looked at.
    sweeps : that are looked at.
    where : "auto" takes typed times, else a trigger channel, else pulses of the command, else artefacts.
    times : as typed, such as "0.1, 0.15".
    stimulus_channel : of the pulses; None takes the one that the recording calls a trigger.

    Raises
    ------
    RecordingError
        If there are none.
    """
    typed = numbers_in(times, "times")
    if where == "times" or (where == "auto" and typed):
        if not typed:
            raise RecordingError("no times of stimuli were given: write them as 0.1, 0.15")
        return [np.sort(np.array(typed)) for _ in sweeps], "at given times"
    trigger = stimulus_channel
    if trigger is None:
        trigger = next((r.channel for r in recording.roles if r.name == "trigger"), None)
    if where == "channel" or (where == "auto" and trigger is not None):
        if trigger is None:
            raise RecordingError(f"{recording.name} has no channel that is called a trigger: say which it is")
        found = [
            _edges(recording.values(s, trigger), recording.channels[trigger].sampling_rate, 0.0)
            for s in sweeps
        ]
        if any(map(len, found)) or where == "channel":
            return _some(found, recording, f"pulses of channel {trigger}"), f"from channel {trigger}"
    if where in ("auto", "command"):
        found = _of_command(recording, channel, sweeps)
        if any(map(len, found)) or where == "command":
            return _some(found, recording, "pulses of the command"), "from the command"
    found = _artefacts(recording, channel, sweeps)
    return _some(found, recording, "artefacts of stimuli"), "from their artefacts"


def _some(found: list[Floats], recording: Recording, what: str) -> list[Floats]:
    if not any(map(len, found)):
        raise RecordingError(
            f"no {what} in {recording.name}: give the times of the stimuli, such as 0.1, 0.15"
        )
    return found


def _apart(at: NDArray[np.intp], fs: float) -> NDArray[np.intp]:
    if not len(at):
        return at
    return at[np.concatenate([[True], np.diff(at) > _APART_S * fs])]


def _edges(values: NDArray[np.floating], fs: float, least: float) -> Floats:
    """Return when a channel leaves its usual level."""
    data = np.asarray(values, np.float64)
    rest = float(np.nanmedian(data))
    away = np.abs(np.nan_to_num(data - rest))
    noise = 1.4826 * float(np.median(away))
    top = (
        float(np.quantile(away, 0.999))
        if np.count_nonzero(away > 0.5 * away.max()) > 1e-3 * len(away)
        else away.max()
    )
    if top <= max(_CLEAR * noise, least, 1e-12):
        return np.zeros(0)
    high = away > 0.5 * top
    at = np.flatnonzero(high[1:] & ~high[:-1]) + 1
    return np.asarray(_apart(at, fs) / fs, np.float64)


def _of_command(recording: Recording, channel: int, sweeps: list[int]) -> list[Floats]:
    """Return when the command leaves its holding level, test pulses left out."""
    out: list[Floats] = []
    fs = recording.channels[channel].sampling_rate
    for sweep in sweeps:
        command = recording.stimulus(sweep, channel)
        if command is None or not len(command.values):
            return [np.zeros(0) for _ in sweeps]
        data = np.asarray(command.values, np.float64)
        away = np.abs(data - data[0]) > least_change(command.unit)
        at = np.flatnonzero(away[1:] & ~away[:-1]) + 1
        tests = [one.start for one in test_pulses(recording, sweep, channel)]
        keep = [i for i in at if all(abs(i - start) > 2 for start in tests)]
        out.append(np.asarray(_apart(np.array(keep, np.intp), fs) / fs, np.float64))
    return out


def _artefacts(recording: Recording, channel: int, sweeps: list[int]) -> list[Floats]:
    """Return the sharp changes that stand at the same time in most sweeps."""
    fs = recording.channels[channel].sampling_rate
    stack, _ = same_length([recording.values(sweep, channel) for sweep in sweeps])
    change = np.median(np.abs(np.diff(stack, axis=1)), axis=0)
    usual = float(np.nanmedian(change))
    sharp = np.flatnonzero(change > _SHARP * usual) if usual > 0 else np.zeros(0, np.intp)
    if len(sharp):
        sharp = sharp[change[sharp] > 0.2 * change[sharp].max()]
    at = _apart(sharp, fs) / fs
    return [at for _ in sweeps]
