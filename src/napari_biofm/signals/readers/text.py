"""CSV and other delimited text: one column per channel; a column of time says the rate."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.readers.text_table import (
    TextTable,
    TimeAxis,
    agreed_rate,
    read_table,
    time_axis,
    time_factor,
)
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import as_float32
from napari_biofm.types import RecordingError

_UNIT = re.compile(r"^(.*?)\s*[\[(]([^\])]+)[\])]\s*$")
_ENDING = re.compile(
    r"^(.*[^_\s])_(fA|pA|nA|uA|µA|μA|mA|A|uV|µV|μV|mV|V)$"
)  # units as programs write them: Im_pA
_TIME_SAID = "time_column"  # key of `Recording.metadata`


def read_text(path: Path, *, sampling_rate: float | None = None, unit: str | None = None) -> Recording:
    """Open a table of numbers with an optional header line.

    A header such as `time (s), Vm (mV), Im (pA)` or `time_s, Vm_mV, Im_pA` gives names and units. A column of time gives the rate, the
    sweeps (time starts again, or leaps) and when they begin, which may be before zero; it is no channel.

    Parameters
    ----------
    path : of the file.
    sampling_rate : Hz, where there is no column of time.
    unit : of the columns that name none.

    Raises
    ------
    RecordingError
        If a line holds no numbers, the rate or the unit of a column is neither given nor written, or the given
        rate contradicts the column of time.
    """
    table = read_table(path)
    titles = [
        name_and_unit(name, said, i)
        for i, (name, said) in enumerate(zip(table.names, table.units, strict=True))
    ]
    column, axis = _time(path, table, titles, sampling_rate)
    keep = [i for i in range(len(titles)) if i != column]
    units = [titles[i][1] or unit for i in keep]
    if not keep or any(one is None for one in units):
        lacking = ", ".join(titles[i][0] for i in keep if not titles[i][1])
        raise RecordingError(
            f"{path.name} does not state the unit of each column ({lacking}): give unit, e.g. unit='pA'"
        )
    if axis is None:
        if sampling_rate is None:
            raise RecordingError(
                f"{path.name} is a table without a column of time, such as 'time (s)': give sampling_rate (Hz); "
                "it is never guessed"
            )
        axis = TimeAxis(checked_rate(sampling_rate), (0, len(table.columns)), (0.0,))
    rate = agreed_rate(path, axis.rate, sampling_rate)
    return Recording.from_arrays(
        [[as_float32(table.columns[a:b, i]) for i in keep] for a, b in pairwise(axis.bounds)],
        rate,
        [str(one) for one in units],
        names=[titles[i][0] for i in keep],
        sweep_starts=axis.starts,
        path=path,
        format="text",
        metadata={} if column is None else {_TIME_SAID: titles[column][0]},
    )


def name_and_unit(name: str, unit: str, number: int) -> tuple[str, str]:
    """Return name and unit of a column, "" for a unit that is not said."""
    match = _UNIT.match(name)
    if match and not unit:
        name, unit = match.group(1).strip(), match.group(2).strip()
    ending = _ENDING.match(name)
    if ending and not unit:
        name, unit = ending.group(1), ending.group(2)
    return name or f"column {number + 1}", unit


def _time(
    path: Path, table: TextTable, titles: list[tuple[str, str]], given: float | None
) -> tuple[int | None, TimeAxis | None]:
    """Return which column is time, and what it says; None twice where there is none."""
    for i, (name, unit) in enumerate(titles):
        factor = time_factor(name, unit) if table.names[i] else None
        if factor is None:
            continue
        if factor == 0.0:
            factor = _factor_by_rate(path, table.columns[:, i], name, given)
        return i, time_axis(path, table.columns[:, i] * factor)
    first = table.columns[:, 0]
    if table.columns.shape[1] > 1 and not any(table.names) and _is_even(first):
        if given is None:
            step = float(first[1] - first[0])
            raise RecordingError(
                f"{path.name}: its first column looks like time (steps of {step:.6g}) but has no name; write a "
                "header such as 'time (s)', or give sampling_rate (Hz)"
            )
        step = float(np.median(np.diff(first)))
        for factor in (1.0, 1e-3, 1e-6):
            if abs(step * factor * given - 1) < 1e-2:
                return 0, time_axis(path, first * factor)
    return None, None


def _is_even(values: NDArray[np.float64]) -> bool:
    change = np.diff(values)
    return len(change) > 2 and bool(change[0] > 0 and np.allclose(change, change[0], rtol=0.02))


def _factor_by_rate(path: Path, values: NDArray[np.float64], name: str, given: float | None) -> float:
    """Return the factor to seconds of a column of time that names no unit, by the rate that was given."""
    change = np.diff(values)
    step = float(np.mean(change[change > 0])) if (change > 0).any() else 0.0
    if given is None:
        raise RecordingError(
            f"{path.name}: its column '{name}' does not say whether it is in s or ms; name it '{name} (s)' or "
            "'(ms)', or give sampling_rate (Hz)"
        )
    for factor in (1.0, 1e-3, 1e-6):
        if abs(step * factor * given - 1) < 0.02:
            return factor
    raise RecordingError(
        f"{path.name}: its column '{name}' rises by {step:.6g} a row, which contradicts sampling_rate={given:.6g}"
    )
