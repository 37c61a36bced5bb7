"""Sines, square waves and chirps of a HEKA stimulus: their settings lie in the record of the output.

A wave rides on the level of its segment. Whatever of its settings has no documented meaning makes it unknown.

Sources: record layouts as published by HEKA Elektronik, "StimFile", v9; meaning of the settings of square
waves and chirps as compared with PatchMaster's own export by the Allen Institute (IPFX, x_to_nwb).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SINE, SQUARE, CHIRP = 3, 4, 5
_WAVE_BYTES = 248  # of the record of an output, up to the last setting of a wave
_LINEAR, _EXPONENTIAL = 0, 1


class UnknownCommandError(ValueError):
    """Why a command cannot be rebuilt, in words that follow "its command is unknown: "."""


class Wave(Protocol):
    """What is added to the level of a segment."""

    def values(self, n: int, rate: float) -> NDArray[np.float64]:
        """Return (n,) in the stored unit, V or nA, sampled at `rate` Hz."""
        ...


@dataclass(frozen=True)
class Sine:
    """Attributes: peak `amplitude` in V or nA, `cycle` in s."""

    amplitude: float
    cycle: float

    def values(self, n: int, rate: float) -> NDArray[np.float64]:
        """Return the sine, which starts upwards from 0."""
        return self.amplitude * np.sin(2 * np.pi * np.arange(n) / (self.cycle * rate))


@dataclass(frozen=True)
class Square:
    """Attributes: peak `amplitude` in V or nA, `cycle` in s."""

    amplitude: float
    cycle: float

    def values(self, n: int, rate: float) -> NDArray[np.float64]:
        """Return the amplitude in the first half of each cycle, its negative in the second."""
        period = self.cycle * rate
        phase = np.mod(np.arange(n) + 1e-6, period)  # a cycle of whole samples changes on a sample
        return np.where(phase < period / 2, self.amplitude, -self.amplitude)


@dataclass(frozen=True)
class Chirp:
    """Attributes: peak `amplitude` in V or nA, `first` and `last` frequency in Hz."""

    amplitude: float
    first: float
    last: float
    exponential: bool

    def values(self, n: int, rate: float) -> NDArray[np.float64]:
        """Return the sine whose frequency goes from the first to the last within the n samples."""
        time, length = np.arange(n) / rate, n / rate
        if self.exponential and self.last != self.first:
            growth = np.log(self.last / self.first)
            cycles = self.first * length / growth * np.expm1(growth * time / length)
        else:
            cycles = self.first * time + (self.last - self.first) * time**2 / (2 * length)
        return self.amplitude * np.sin(2 * np.pi * cycles)


def wave_of(order: str, record: bytes, kind: int) -> Wave:
    """Return the wave that an output's record describes.

    Parameters
    ----------
    order : byte order, as in `struct`.
    record : of the output.
    kind : class of the segment, one of `SINE`, `SQUARE`, `CHIRP`.

    Raises
    ------
    UnknownCommandError
        If a setting is out of range or of undocumented meaning.
    """
    if len(record) < _WAVE_BYTES:
        raise UnknownCommandError("it holds a wave, whose settings this version of the file lacks")
    if kind == SINE:
        return _sine(order, record)
    return _square(order, record) if kind == SQUARE else _chirp(order, record)


def _sine(order: str, record: bytes) -> Sine:
    cycle, amplitude = struct.unpack_from(f"{order}dd", record, 96)
    kind, source = record[193], record[195]
    if kind or source:
        raise UnknownCommandError(f"it holds a sine of kind {kind} with an amplitude from source {source}")
    if not (np.isfinite((cycle, amplitude)).all() and cycle > 0):
        raise UnknownCommandError(f"it holds a sine of {amplitude} with a cycle of {cycle} s")
    return Sine(amplitude, cycle)


def _square(order: str, record: bytes) -> Square:
    negative, longer = struct.unpack_from(f"{order}dd", record, 144)
    base, cycle, amplitude = struct.unpack_from(f"{order}ddd", record, 224)
    if record[218] or record[196] or record[197]:
        raise UnknownCommandError(
            f"it holds a square wave of kind {record[218]} or with amplitudes from a parameter"
        )
    if longer or base or abs(negative) not in (0.0, abs(amplitude)):
        raise UnknownCommandError("it holds a square wave with unequal halves or a rising base")
    if not (np.isfinite((cycle, amplitude)).all() and cycle > 0):
        raise UnknownCommandError(f"it holds a square wave of {amplitude} with a cycle of {cycle} s")
    return Square(amplitude, cycle)


def _chirp(order: str, record: bytes) -> Chirp:
    first, last = struct.unpack_from(f"{order}dd", record, 120)
    (height,) = struct.unpack_from(f"{order}d", record, 184)
    before, kind, source = record[194], record[198], record[199]
    if kind not in (_LINEAR, _EXPONENTIAL) or before or source:
        raise UnknownCommandError(
            f"it holds a chirp of kind {kind}, {before} cycles before it, amplitude from source {source}"
        )
    if not (np.isfinite((first, last, height)).all() and min(first, last) >= 0):
        raise UnknownCommandError(f"it holds a chirp of {height} from {first} to {last} Hz")
    if kind == _EXPONENTIAL and not min(first, last) > 0:
        raise UnknownCommandError(f"it holds an exponential chirp from {first} to {last} Hz")
    return Chirp(height / 2, first, last, kind == _EXPONENTIAL)  # stored from peak to peak
