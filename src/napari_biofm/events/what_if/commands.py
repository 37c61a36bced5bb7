"""Commands that were not given: a step or a ramp where the protocol's sweeps differ, or any waveform."""

from __future__ import annotations

import numpy as np

from napari_biofm.events.what_if.sweeps import Floats, Protocol
from napari_biofm.types import RecordingError


def varied_part(protocol: Protocol) -> tuple[int, int]:
    """Return the longest stretch (model samples) in which the commands of sweeps differ from each other."""
    n = min(len(one.command) for one in protocol.sweeps)
    spread = np.std([one.command[:n] for one in protocol.sweeps], axis=0)
    differs = spread > 0.3 * spread.max()
    edges = np.flatnonzero(np.diff(np.r_[0, differs.astype(int), 0]))
    first, end = edges[::2], edges[1::2]
    longest = int(np.argmax(end - first))
    return int(first[longest]), int(end[longest])


def line_command(
    protocol: Protocol, start_level: float, stop_level: float, start_s: float | None, stop_s: float | None
) -> Floats:
    """Return the command of the sweep most like it, with a straight line in one part.

    Parameters
    ----------
    start_level, stop_level : at both ends of the part; the same for a step, in the command's unit.
    start_s, stop_s : of the part; None takes where the sweeps differ.

    Raises
    ------
    RecordingError
        If the part lies outside the sweeps.
    """
    first, end = varied_part(protocol)
    first = first if start_s is None else round(start_s * protocol.rate)
    end = end if stop_s is None else round(stop_s * protocol.rate)
    shortest = min(len(one.command) for one in protocol.sweeps)
    if not 0 <= first < end <= shortest:
        raise RecordingError(
            f"a command from {first / protocol.rate:g} to {end / protocol.rate:g} s; sweeps last "
            f"{shortest / protocol.rate:g} s: choose a part inside them"
        )
    middle = 0.5 * (start_level + stop_level)
    apart = [abs(float(one.command[first:end].mean()) - middle) for one in protocol.sweeps]
    command = protocol.sweeps[int(np.argmin(apart))].command.copy()
    command[first:end] = np.linspace(start_level, stop_level, end - first)
    return command


def waveform_command(protocol: Protocol, waveform: Floats, sampling_rate: float) -> Floats:
    """Return a waveform at the model's rate.

    Raises
    ------
    RecordingError
        If it is empty, no single row, or not finite.
    """
    wave = np.asarray(waveform, np.float64)
    if wave.ndim != 1 or len(wave) < 2 or not np.isfinite(wave).all():
        raise RecordingError(
            f"a command of shape {wave.shape}: give one row of finite numbers, one per sample"
        )
    count = max(2, int(len(wave) * protocol.rate / sampling_rate))
    centre = (np.arange(count) + 0.5) * sampling_rate / protocol.rate - 0.5
    return np.asarray(np.interp(centre, np.arange(len(wave)), wave))
