"""The sweeps of a protocol as a model learns from them: command, response and spikes at one rate."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals import Recording
from napari_biofm.signals.units import si_unit
from napari_biofm.types import RecordingError

Floats = NDArray[np.float64]
RATE = 5000.0  # Hz that responses are modelled at
LEAST_SWEEPS = 3
PROMINENCE = 15e-3  # V by which an action potential stands out
BROADEST = 6e-3  # s at half of that


@dataclass(frozen=True)
class Sweep:
    """One sweep.

    Attributes
    ----------
    number : in the recording.
    command : (n,) in the command's unit. response : (n,) in the channel's unit.
    spikes : (k,) samples of action potentials.
    """

    number: int
    command: Floats
    response: Floats
    spikes: NDArray[np.int64]


@dataclass(frozen=True)
class Protocol:
    """Sweeps of one channel with their commands.

    Attributes
    ----------
    sweeps : those that could be used. rate : Hz, of the model. every : samples of the recording to one of the model's.
    unit, command_unit : of response and command.
    is_voltage : whether the response is a voltage (current clamp).
    """

    sweeps: tuple[Sweep, ...]
    rate: float
    every: int
    unit: str
    command_unit: str
    is_voltage: bool


def read_protocol(recording: Recording, channel: int) -> Protocol:
    """Return the sweeps of a channel with what was commanded.

    Raises
    ------
    RecordingError
        If the command is not known, or fewer than three sweeps differ in it.
    """
    about = recording.channels[channel]
    every = max(1, round(about.sampling_rate / RATE))
    quantity, factor = si_unit(about.unit)
    sweeps, unit = [], ""
    for number in range(recording.n_sweeps):
        stimulus = recording.stimulus(number, channel)
        if stimulus is None:
            raise RecordingError(
                f"{recording.name}: the command of channel {channel} is neither recorded nor in the file's protocol; "
                "what if needs sweeps with their commands"
            )
        unit = stimulus.unit
        values = np.asarray(recording.values(number, channel), np.float64)
        command = np.asarray(stimulus.values[:], np.float64)
        if len(command) != len(values):
            at = np.arange(len(values)) / about.sampling_rate * stimulus.sampling_rate
            command = np.interp(at, np.arange(len(command)), command)
        if len(values) < 100 * every or not np.isfinite(values).all():
            continue
        spikes = (
            find_spikes(values * factor, about.sampling_rate) if quantity == "V" else np.zeros(0, np.int64)
        )
        sweeps.append(Sweep(number, averaged(command, every), averaged(values, every), spikes // every))
    apart = {tuple(np.round(one.command[:: max(1, len(one.command) // 200)], 3)) for one in sweeps}
    if len(apart) < LEAST_SWEEPS:
        raise RecordingError(
            f"{recording.name}: {len(apart)} different commands in channel {channel}; what if learns from at least "
            f"{LEAST_SWEEPS} sweeps that differ in their command"
        )
    return Protocol(tuple(sweeps), about.sampling_rate / every, every, about.unit, unit, quantity == "V")


def averaged(x: Floats, every: int) -> Floats:
    """Return means of `every` samples."""
    return x if every == 1 else np.asarray(x[: len(x) // every * every].reshape(-1, every).mean(1))


def find_spikes(volts: Floats, sampling_rate: float) -> NDArray[np.int64]:
    """Return the peaks of action potentials in a trace in V."""
    from scipy.signal import find_peaks, peak_widths

    window = max(3, int(0.05 * sampling_rate)) | 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rounding makes peaks of no height
        peaks, _ = find_peaks(volts, prominence=PROMINENCE, wlen=window)
    if not len(peaks):
        return np.zeros(0, np.int64)
    widths = peak_widths(volts, peaks, 0.5, wlen=window)[0]
    return np.asarray(peaks[widths < BROADEST * sampling_rate], np.int64)
