"""Pipette and cell behind it, from the current that a small voltage step makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import si_unit

Values = NDArray[np.float32]
MEAN_OF_ALL = -1  # instead of a pulse's number
_LOOK = 2_000_000  # samples of a sweep that are looked at
_LEAST, _MOST = 1e-3, 0.04  # V: larger steps open channels
_HOLD_S = 0.002  # of steady voltage on both sides, at least
_REST_S = 0.02  # of current before the step that are looked at, at most


@dataclass(frozen=True)
class Access:
    """What a voltage step says about pipette and cell.

    Attributes
    ----------
    access_resistance, input_resistance : Ohm.
    capacitance : F.
    tau : s, of the capacitive transient.
    step : V, height of the test pulse.
    """

    access_resistance: float
    input_resistance: float
    capacitance: float
    tau: float
    step: float


@dataclass(frozen=True)
class TestPulse:
    """A small square step of the command.

    Attributes
    ----------
    rest : first sample of the steady voltage before it.
    start, stop : its first and one-past-last sample.
    step : V.
    """

    rest: int
    start: int
    stop: int
    step: float

    __test__ = False  # no test of ours, whatever its name says to pytest


def find_pulses(volts: Values, sampling_rate: float) -> list[TestPulse]:
    """Return the steps of 1 to 40 mV that are steady for 2 ms before and after, in order.

    Parameters
    ----------
    volts : (n_samples,) V, the command.
    """
    jumps = np.flatnonzero(np.abs(np.diff(volts)) > 1e-4)
    hold = int(_HOLD_S * sampling_rate)
    found = []
    for number, jump in enumerate(jumps):
        start = int(jump) + 1
        end = int(jumps[number + 1]) + 1 if number + 1 < len(jumps) else len(volts)
        rest = int(jumps[number - 1]) + 1 if number else 0
        step = float(volts[start] - volts[jump])
        if _LEAST * 0.999 <= abs(step) <= _MOST and end - start >= hold and start - rest >= hold:
            found.append(TestPulse(rest, start, end, step))
    return found


def recording_pulses(recording: Recording, sweep: int, channel: int) -> list[TestPulse]:
    """Return the test pulses of a sweep's command; none in current clamp or without a command."""
    volts = _command(recording, sweep, channel)
    return [] if volts is None else find_pulses(volts, recording.channels[channel].sampling_rate)


def recording_access(recording: Recording, sweep: int, channel: int, pulse: int = 0) -> Access | None:
    """Return what one test pulse of the command says, None in current clamp or without such a pulse.

    Parameters
    ----------
    pulse : number among `recording_pulses`, or `MEAN_OF_ALL` for the mean of those like the first.
    """
    volts = _command(recording, sweep, channel)
    if volts is None:
        return None
    current = recording.values(sweep, channel, 0, len(volts), si=True)
    return access_resistance(current, volts, recording.channels[channel].sampling_rate, pulse)


def access_resistance(current: Values, volts: Values, sampling_rate: float, pulse: int = 0) -> Access | None:
    """Fit the transient after a small, square voltage step.

    Parameters
    ----------
    current, volts : (n_samples,) A and V.
    pulse : which step, or `MEAN_OF_ALL`.

    Returns
    -------
    Access, or None where there is no such step, or no transient after it.

    Notes
    -----
    A cell behind an access resistance: the transient starts at dV / Ra, decays with
    tau = Cm Ra Rm / (Ra + Rm) and ends at dV / (Ra + Rm). tau is fitted between 80 and 15 % of the
    observed peak; the start is the charge of the transient over tau, because filters round and delay
    the peak but keep its charge.
    """
    n = min(len(current), len(volts))
    pulses = find_pulses(volts[:n], sampling_rate)
    if not pulses or pulse >= len(pulses):
        return None
    chosen = pulses[max(pulse, 0)]
    like = [chosen]
    if pulse == MEAN_OF_ALL:
        like = [p for p in pulses if np.isclose(p.step, chosen.step, rtol=0.02)]
    length = min(p.stop - p.start for p in like)
    # the second half of the rest, where the current has settled after the step before
    rest = min(int(_REST_S * sampling_rate), *(max((p.start - p.rest) // 2, 2) for p in like))
    before = _mean([current[p.start - rest : p.start] for p in like])
    after = _mean([current[p.start : p.start + length] for p in like])
    return _fit_step(before, after, chosen.step, sampling_rate)


def _mean(pieces: Sequence[Values]) -> Values:
    return np.asarray(np.mean(pieces, axis=0), np.float32) if len(pieces) > 1 else pieces[0]


def _command(recording: Recording, sweep: int, channel: int) -> Values | None:
    """Return the commanded voltage in V, None where the channel records no current under one."""
    if si_unit(recording.channels[channel].unit)[0] != "A":
        return None
    n = min(recording.n_samples(sweep, channel), _LOOK)
    command = recording.stimulus(sweep, channel, n)
    if command is None or si_unit(command.unit)[0] != "V":
        return None
    return np.asarray(command.values[:n] * np.float32(si_unit(command.unit)[1]), np.float32)


def _fit_step(before: Values, after: Values, step: float, sampling_rate: float) -> Access | None:
    rest = float(np.median(before))
    steady = float(np.mean(after[int(0.8 * len(after)) :])) - rest
    transient = (after.astype(np.float64) - rest - steady) * np.sign(step)
    search = min(len(transient), max(int(0.003 * sampling_rate), 4))
    peak = int(np.argmax(transient[:search]))
    top = transient[peak]
    if top <= 4 * float(np.std(before)) or abs(steady) < 1e-14:
        return None
    below = np.flatnonzero(transient[peak:] < 0.15 * top)
    last = peak + (int(below[0]) if below.size else len(transient) - peak)
    used = np.arange(peak, last)
    used = used[transient[used] <= 0.8 * top] if last - peak > 6 else used
    if used.size < 3:
        return None
    slope, _ = np.polyfit(used / sampling_rate, np.log(np.maximum(transient[used], 1e-15)), 1)
    if slope >= 0:
        return None
    tau = -1.0 / slope
    charge = (
        float(transient[: min(len(transient), peak + int(8 * tau * sampling_rate))].sum()) / sampling_rate
    )
    access = abs(step) / (charge / tau + abs(steady))
    whole = abs(step) / abs(steady)
    membrane = whole - access
    if not (0 < access < 1e9 and membrane > 0 and tau < 0.03):
        return None
    return Access(access, whole, tau * (1 / access + 1 / membrane), tau, step)
