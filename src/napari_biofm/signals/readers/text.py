"""CSV and other delimited text: one column per channel, rate and unit said by the user."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

_UNIT = re.compile(r"^(.*?)\s*[\[(]([^\])]+)[\])]\s*$")
_TIME = re.compile(r"^(time|t|seconds|s|ms|sec)(\b|_)", re.IGNORECASE)
_SEPARATORS = (",", "\t", ";")


def read_text(path: Path, *, sampling_rate: float | None = None, unit: str | None = None) -> Recording:
    """Open a table of numbers with an optional header line.

    A header such as `time (s), Vm (mV), Im (pA)` gives names and units; a column of time is left out.

    Raises
    ------
    RecordingError
        If a line holds no numbers, or the rate, or the unit of a column, is neither given nor written.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline().lstrip("\N{ZERO WIDTH NO-BREAK SPACE}").strip()
        second = file.readline()
    found = max(_SEPARATORS, key=first.count)
    separator = found if found in first else None
    alone = separator is None and len(second.split()) == 1  # one column, whose name may hold spaces
    fields = [field.strip().strip('"') for field in ([first] if alone else first.split(separator))]
    header = not all(_is_number(field) for field in fields)
    if sampling_rate is None:
        raise RecordingError(f"{path.name} is a table: give sampling_rate (Hz); it is never guessed")
    try:
        table = np.loadtxt(
            path, np.float32, delimiter=separator,
            skiprows=int(header), ndmin=2, encoding="utf-8",
        )  # fmt: skip
    except ValueError as error:
        raise RecordingError(f"{path.name} is no table of numbers: {error}") from error
    if table.size == 0:
        raise RecordingError(f"{path.name} holds no rows of numbers")
    names = fields if header else [f"column {i + 1}" for i in range(table.shape[1])]
    keep = [i for i, name in enumerate(names) if not (header and i == 0 and _TIME.match(name))]
    parsed = [_UNIT.match(names[i]) for i in keep]
    units = [match.group(2) if match and unit is None else unit for match in parsed]
    if not keep or any(one is None for one in units):
        raise RecordingError(f"{path.name} does not state the unit of each column: give unit, e.g. unit='pA'")
    return Recording.from_arrays(
        [[np.ascontiguousarray(table[:, i]) for i in keep]],
        sampling_rate,
        [str(one) for one in units],
        names=[m.group(1) if m else names[i] for m, i in zip(parsed, keep, strict=True)],
        path=path,
        format="text",
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
