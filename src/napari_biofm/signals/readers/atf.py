"""Axon Text Files: columns of a protocol's sweeps, with the names and starts that Clampfit writes above them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from napari_biofm.signals.readers.text_table import time_axis, time_factor
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import as_float32
from napari_biofm.types import RecordingError

_TITLE = re.compile(r"^(.*?)\s*\(([^()]*)\)\s*$")


def read_atf(path: Path) -> Recording:
    """Open an Axon Text File: every sweep of every exported signal.

    Raises
    ------
    RecordingError
        If the header or the columns are not those of an ATF, or the time is not even.
    """
    with path.open(encoding="cp1252", errors="replace") as file:
        lines = [file.readline() for _ in range(2)]
        counts = lines[1].split()
        if not lines[0].startswith("ATF") or len(counts) < 2 or not all(c.isdecimal() for c in counts[:2]):
            raise RecordingError(f"{path.name} does not begin like an Axon Text File")
        n_header, n_columns = int(counts[0]), int(counts[1])
        if n_header > 10_000 or not 2 <= n_columns <= 100_000:
            raise RecordingError(
                f"{path.name} says that it has {n_header} header lines and {n_columns} columns"
            )
        header = [file.readline().strip() for _ in range(n_header)]
        titles = [part.strip().strip('"') for part in file.readline().rstrip("\n").split("\t")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty table is told below
            table = np.loadtxt(
                path, np.float64, delimiter="\t", skiprows=n_header + 3, ndmin=2, encoding="cp1252"
            )
    except ValueError as error:
        raise RecordingError(f"{path.name} is a damaged Axon Text File: {error}") from error
    if table.shape[1] != n_columns or len(titles) < n_columns or len(table) < 2:
        raise RecordingError(f"{path.name} names {n_columns} columns and has {table.shape[1]}")
    time_name, time_unit = _title(titles[0])
    factor = time_factor(time_name, time_unit)
    if not factor:
        raise RecordingError(f"{path.name}: its first column is {titles[0]}, no time in s or ms")
    axis = time_axis(path, table[:, 0] * factor)
    said = dict(line.strip('"').partition("=")[::2] for line in header if not line.startswith('"Signals='))
    signals = [name for name in said.get("SignalsExported", "").split(",") if name]
    n_signals = len(signals) if signals and (n_columns - 1) % len(signals) == 0 else 1
    parsed = [_title(title) for title in titles[1:n_columns]]
    n_sweeps = (n_columns - 1) // n_signals
    starts = _starts(said, n_sweeps)
    return Recording.from_arrays(
        [[as_float32(table[:, 1 + s * n_signals + c]) for c in range(n_signals)] for s in range(n_sweeps)],
        axis.rate,
        [parsed[c][1] or "?" for c in range(n_signals)],
        names=signals if n_signals > 1 or signals else [parsed[0][0]],
        sweep_starts=None if starts is None else starts + axis.starts[0],
        path=path,
        format="ATF",
        comment=said.get("Comment", ""),
    )


def _title(text: str) -> tuple[str, str]:
    match = _TITLE.match(text)
    return (match.group(1), match.group(2)) if match else (text, "")


def _starts(said: dict[str, str], n_sweeps: int) -> np.ndarray | None:
    """Return (n_sweeps,) s, None where they are not said for each sweep."""
    try:
        starts = np.array([float(v) for v in said["SweepStartTimesMS"].split(",")]) * 1e-3
    except (KeyError, ValueError):
        return None
    return starts if len(starts) == n_sweeps else None
