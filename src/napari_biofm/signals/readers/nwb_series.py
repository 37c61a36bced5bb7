"""One series of an NWB file: its unit, scale and clock, and its samples left on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.optional import H5Trace
from napari_biofm.signals.readers.stamps import Clock, Retimed, Stretch, Window, clock_of, stamps_of
from napari_biofm.signals.units import clean_unit

if TYPE_CHECKING:
    from pynwb import TimeSeries

_DISPLAY = {"volts": ("mV", 1e3), "V": ("mV", 1e3), "amperes": ("pA", 1e12), "A": ("pA", 1e12)}


@dataclass(frozen=True)
class SeriesOnDisk:
    """A series and the file it lies in."""

    path: Path
    series: Any

    @property
    def width(self) -> int:
        """How many columns it has."""
        return 1 if self.series.data.ndim == 1 else int(self.series.data.shape[1])

    @cached_property
    def clock(self) -> Clock:
        """When its samples were taken.

        Raises
        ------
        RecordingError
            If time stamps do not increase.
        """
        n = int(self.series.data.shape[0])
        if self.series.timestamps is None:
            return Clock(rate_of(self.series), (Stretch(0, n, start_of(self.series)),))
        stamps = stamps_of(str(self.path), self.series.timestamps.name)
        return clock_of(stamps[:n], f"{self.series.name} in {self.path.name}")

    def trace(self, column: int = 0) -> H5Trace | Retimed:
        """Return one column as one array-like: as it is where steady, else on a steady clock."""
        raw = self._column(column)
        if len(self.clock.stretches) == 1:
            return raw
        return Retimed(raw, str(self.path), self.series.timestamps.name, self.clock.rate)

    def stretch(self, column: int, number: int) -> H5Trace | Window:
        """Return one steady stretch of a column."""
        only = self.clock.stretches[number]
        raw = self._column(column)
        return raw if len(self.clock.stretches) == 1 else Window(raw, only.start, only.stop)

    def _column(self, column: int) -> H5Trace:
        data = self.series.data
        return H5Trace(
            str(self.path), data.name, (int(data.shape[0]),), None if data.ndim == 1 else column, axis=1
        )


def sweeps_of(
    disks: Sequence[SeriesOnDisk],
) -> tuple[list[list[Any]], NDArray[np.float64], float, str]:
    """Return arrays (sweeps of channels), their starts (s), the rate (Hz) and what was done, of series with one clock."""
    clock = disks[0].clock
    if not clock.stretches:
        whole: list[Any] = [disk.trace(i) for disk in disks for i in range(disk.width)]
        first = stamps_of(str(disks[0].path), disks[0].series.timestamps.name)[0]
        return [whole], np.array([float(first)]), clock.rate, clock.said
    arrays: list[list[Any]] = [
        [disk.stretch(i, number) for disk in disks for i in range(disk.width)]
        for number in range(len(clock.stretches))
    ]
    return arrays, np.array([one.at for one in clock.stretches]), clock.rate, clock.said


def has_clock(series: TimeSeries) -> bool:
    """Say whether a series states when its samples were taken."""
    return bool(series.rate) or (series.timestamps is not None and len(series.timestamps) > 1)


def rate_of(series: TimeSeries) -> float:
    """Return Hz, 0 for a series that has time stamps instead."""
    return float(series.rate or 0.0)


def start_of(series: TimeSeries) -> float:
    """Return s from the start of the session."""
    if series.timestamps is not None:
        return float(series.timestamps[0])
    return float(series.starting_time or 0.0)


def unit_of(series: TimeSeries) -> tuple[str, float]:
    """Return the unit that is shown, and what takes the series' own unit to it."""
    return _DISPLAY.get(series.unit, (clean_unit(str(series.unit)), 1.0))


def scale_of(series: TimeSeries) -> tuple[float, float]:
    """Return gain and offset that take stored numbers to the unit that is shown."""
    factor = unit_of(series)[1]
    conversion = float(series.conversion if series.conversion is not None else 1.0)
    offset = float(getattr(series, "offset", 0.0) or 0.0)
    return conversion * factor, offset * factor


def is_numeric(series: TimeSeries) -> bool:
    """Return whether a series holds numbers, of one or of several channels, more than one of them."""
    data: Any = series.data
    return getattr(data, "dtype", np.dtype(object)).kind in "iuf" and data.ndim <= 2 and data.size > 1
