"""Tables of numbers as programs and spreadsheets write them: encodings, separators, decimal commas, headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import RecordingError

_HEAD = 1 << 16  # bytes that are looked at to find out how a table is written
_PREAMBLE = 100  # lines before the numbers, at most
_SEPARATORS = ("\t", ";", ",", " ")
_COMMENT = ("#", "%", "//")
_MISSING = ("", "nan", "na", "n/a", "-", "#n/a", "null", "inf", "-inf")
_POINT = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
_COMMA = re.compile(r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$")


@dataclass(frozen=True, eq=False)
class TextTable:
    """A table as written.

    Attributes
    ----------
    columns : (n_rows, n_columns) float64, NaN where a field is empty.
    names : per column, "" without a header.
    units : per column, of a header's second line, "" otherwise.
    """

    columns: NDArray[np.float64]
    names: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """How a table is written: encoding, separator, decimal sign, first line of numbers, header's fields."""

    encoding: str
    separator: str
    decimal: str
    first: int
    names: tuple[str, ...]
    units: tuple[str, ...]


def read_table(path: Path) -> TextTable:
    """Read a table of numbers.

    UTF-8, UTF-16 with its mark and the Windows code page 1252 are known; tabs, semicolons, commas and spaces as
    separators; points and, where the comma separates nothing, commas as decimal sign. Lines before the numbers are
    left out, but for the header: the last of them with as many fields as the numbers, and a line of units behind it.

    Parameters
    ----------
    path : of the file.

    Raises
    ------
    RecordingError
        If there are no numbers, or a line among them holds something else.
    """
    import pandas as pd

    layout = _layout(path)
    try:
        table = pd.read_csv(
            path, sep=r"\s+" if layout.separator == " " else layout.separator, decimal=layout.decimal,
            header=None, skiprows=layout.first, encoding=layout.encoding, dtype=np.float64,
            na_values=["-", "n/a", "#N/A"], skipinitialspace=True, skip_blank_lines=True, low_memory=False,
        )  # fmt: skip
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise RecordingError(
            f"{path.name} is no table of numbers from line {layout.first + 1} on: {error}"
        ) from error
    values = table.to_numpy(np.float64)
    if values.shape[1] > 1 and np.isnan(values[:, -1]).all():  # a separator at the end of each line
        values = values[:, :-1]
    if values.size == 0:
        raise RecordingError(f"{path.name} holds no rows of numbers")
    n = values.shape[1]
    return TextTable(values, (layout.names + ("",) * n)[:n], (layout.units + ("",) * n)[:n])


def _layout(path: Path) -> _Layout:
    encoding, text = _decoded(path)
    lines = text.split("\n")
    if len(lines) > 1 and len(text) >= _HEAD // 2:
        lines = lines[:-1]  # the last one may be cut
    lines = [line.rstrip("\r") for line in lines]
    best: tuple[int, int, str, str] | None = None  # fields, minus the first line, separator, decimal
    for separator in _SEPARATORS:
        for decimal in (".", ",") if separator != "," else (".",):
            first = _first_of_numbers(lines, separator, decimal)
            if first < 0:
                continue
            found = (len(_fields(lines[first], separator)), -first, separator, decimal)
            best = found if best is None or found[:2] > best[:2] else best
    if best is None:
        seen = next((f"line 1 begins with {line[:40]!r}" for line in lines if line.strip()), "it is empty")
        raise RecordingError(f"{path.name} is no table of numbers: {seen}")
    n, minus, separator, decimal = best
    names, units = _header(lines[:-minus], separator, n)
    return _Layout(encoding, separator, decimal, -minus, names, units)


def _decoded(path: Path) -> tuple[str, str]:
    """Return encoding and text of the first part of a file."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", head[: len(head) // 2 * 2].decode("utf-16", "replace")
    if b"\0" in head[:1024]:
        raise RecordingError(f"{path.name} is no text: it holds bytes that no table has")
    try:
        whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head
        return "utf-8-sig", whole.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252", head.decode("cp1252", "replace")


def _fields(line: str, separator: str) -> list[str]:
    parts = line.split() if separator == " " else line.split(separator)
    return [part.strip().strip('"').strip() for part in parts]


def _is_numbers(fields: list[str], decimal: str) -> bool:
    pattern = _POINT if decimal == "." else _COMMA
    numbers = [bool(pattern.match(field)) for field in fields]
    return any(numbers) and all(
        good or field.lower() in _MISSING for good, field in zip(numbers, fields, strict=True)
    )


def _first_of_numbers(lines: list[str], separator: str, decimal: str) -> int:
    """Return the first line from which on lines hold equally many numbers, -1 if there is none."""
    for i, line in enumerate(lines[:_PREAMBLE]):
        fields = _fields(line, separator)
        if not line.strip() or not _is_numbers(fields, decimal):
            continue
        following = [_fields(one, separator) for one in lines[i + 1 : i + 4] if one.strip()]
        if all(len(f) == len(fields) and _is_numbers(f, decimal) for f in following):
            return i
    return -1


def _header(before: list[str], separator: str, n: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and units of the columns, from the lines before the numbers."""
    lines = [line.lstrip("".join(_COMMENT)).strip() if line.startswith(_COMMENT) else line for line in before]
    rows = [_fields(line, separator) for line in lines]
    whole = [(row + [""])[:n] for row in rows if len(row) in (n, n - 1) and len(row) > (n > 1) and any(row)]
    whole = [row for row in rows if len(row) == n and any(row)] or whole
    if n == 1 and not whole:
        whole = [[line.strip()] for line in lines if line.strip()][-1:]
    if not whole:
        return ("",) * n, ("",) * n
    if len(whole) > 1 and all(_is_unit(field) for field in whole[-1]):
        return tuple(whole[-2]), tuple(field.strip("[]()") for field in whole[-1])
    return tuple(whole[-1]), ("",) * n


def _is_unit(field: str) -> bool:
    from napari_biofm.signals.units import si_unit

    text = field.strip("[]() ")
    return not text or si_unit(text)[0] in ("A", "V", "s", "Pa", "m", "", "dF/F", "Hz", "Ohm", "F", "S")


# ------------------------------------------------------------------ time


_TIME = re.compile(r"^(time|t|zeit|temps|tiempo|seconds|sec|s|ms|millis\w*)(\b|_|$)", re.IGNORECASE)
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "second": 1.0, "ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3,
               "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "usec": 1e-6, "min": 60.0, "minutes": 60.0}  # fmt: skip
_AGREE = 5e-3  # rates that differ by less are one


@dataclass(frozen=True)
class TimeAxis:
    """What a column of time says: rate (Hz), first rows and starts (s) of the sweeps."""

    rate: float
    bounds: tuple[int, ...]
    starts: tuple[float, ...]


def time_factor(name: str, unit: str) -> float | None:
    """Return what takes a column of time to seconds: 0 where it names no unit, None where it is no time.

    Parameters
    ----------
    name : of the column, without its unit.
    unit : of the column, "" if it has none.
    """
    if not _TIME.match(name.strip()) and unit.lower() not in ("s", "ms", "us", "sec", "min"):
        return None
    text = unit.lower().strip()
    if text:
        return _TIME_UNITS.get(text)
    words = re.split(r"[\s_]+", name.strip().lower())
    return next((_TIME_UNITS[word] for word in reversed(words) if word in _TIME_UNITS), 0.0)


def time_axis(path: Path, seconds: NDArray[np.float64]) -> TimeAxis:
    """Return rate and sweeps of a column of time.

    A new sweep begins where time starts again, or where more than one sample is missing.

    Parameters
    ----------
    path : for messages.
    seconds : (n_rows,)

    Raises
    ------
    RecordingError
        If times are missing, or neither even nor cut into even sweeps.
    """
    if len(seconds) < 2 or not np.isfinite(seconds).all():
        raise RecordingError(
            f"{path.name}: its column of time has {int(np.isnan(seconds).sum())} empty fields"
        )
    change = np.diff(seconds)
    rising = change[change > 0]
    if not len(rising):
        raise RecordingError(f"{path.name}: its column of time does not rise")
    usual = max(float(np.median(rising)), float(np.median(change)))
    cuts = np.flatnonzero((change < 0) | (change > 1.9 * usual)) + 1
    bounds = [0, *cuts.tolist(), len(seconds)]
    if len(cuts) > len(seconds) // 10:
        at = int(cuts[0])
        raise RecordingError(
            f"{path.name}: times are not even, see row {at + 1}: {seconds[at - 1]:.9g} s is followed by "
            f"{seconds[at]:.9g} s; resample the table to one rate"
        )
    sizes = np.array([b - a for a, b in pairwise(bounds)])
    lengths = np.array([seconds[b - 1] - seconds[a] for a, b in pairwise(bounds)])
    if sizes.sum() == len(sizes):
        raise RecordingError(f"{path.name}: its column of time has no two rows in order")
    rate = float((sizes - 1).sum() / lengths.sum())
    rounded = usual if usual > 1.5 / rate else 0.0  # times written with too few digits repeat
    for a, b in pairwise(bounds):
        line = seconds[a] + np.arange(b - a) / rate
        worst = int(np.argmax(np.abs(seconds[a:b] - line)))
        if abs(seconds[a + worst] - line[worst]) > max(0.6 / rate, 1.01 * rounded):
            raise RecordingError(
                f"{path.name}: times are not even, see row {a + worst + 1}: {seconds[a + worst]:.9g} s; "
                "resample the table to one rate"
            )
    whole = round(rate)
    near = whole > 0 and abs(rate - whole) <= max(1e-4, rounded / max(lengths.max(), 1e-12)) * rate
    return TimeAxis(float(whole) if near else rate, tuple(bounds), tuple(seconds[bounds[:-1]].tolist()))


def agreed_rate(path: Path, said: float, given: float | None) -> float:
    """Return the rate of a file, which a given one must not contradict.

    Parameters
    ----------
    path : for the message.
    said : Hz, by the file.
    given : Hz, by the user, or None.

    Raises
    ------
    RecordingError
        If they differ by more than half a percent.
    """
    if given is None:
        return said
    if abs(given / said - 1) > _AGREE:
        raise RecordingError(
            f"{path.name}: its column of time says {said:.6g} Hz, but sampling_rate={given:.6g} was given; "
            "leave it out, or mend the column"
        )
    return given


__all__ = ["TextTable", "TimeAxis", "agreed_rate", "read_table", "time_axis", "time_factor"]
