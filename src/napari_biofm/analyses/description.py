"""What an analysis is: its name, what it takes, its parameters, and what it returns."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import BiofmError, Events, RecordingError

if TYPE_CHECKING:
    from napari_biofm.signals.recording import Recording

T = TypeVar("T")
Table = Mapping[str, NDArray[Any]]  # column name -> (n_rows,) array
Takes = Literal["recording", "recordings", "events", "traces", "cells", "table"]
Role = Literal["", "channel", "sweep", "sweeps", "from", "to", "column", "class", "epoch", "file", "vectors"]
Style = Literal["line", "points", "both", "steps", "bars", "band"]
_OPTION = "option"  # key of the metadata of a dataclass field


@dataclass(frozen=True)
class Option:
    """One parameter of an analysis, as a form or the command line shows it.

    Attributes
    ----------
    name : of the field of the dataclass.
    kind : `bool`, `int`, `float` or `str`.
    default : None where nothing is given unless somebody says so.
    optional : whether None is a value.
    help : one sentence. unit : of the value, "" if it has none.
    choices : all values there are; () takes any.
    low, high : limits, both included.
    role : what a window may offer: the channels of the recording, columns of the table, times of its cursors ...
    said_as : name on the command line where it is not that of the field.
    """

    name: str
    kind: type
    default: bool | int | float | str | None
    optional: bool
    help: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    role: Role = ""
    said_as: str = ""

    @property
    def flag(self) -> str:
        """Name on the command line."""
        return "--" + (self.said_as or self.name).replace("_", "-")

    @property
    def words(self) -> str:
        """Name in words, without the unit at its end."""
        ending = f"_{self.unit.lower()}"
        name = self.name.removesuffix(ending) if self.unit else self.name
        return name.replace("_", " ")

    @property
    def label(self) -> str:
        """Name in a form."""
        text = self.words
        return (text[0].upper() + text[1:]) + (f" ({self.unit})" if self.unit else "")

    def parse(self, value: object) -> bool | int | float | str | None:
        """Return a value of the right kind.

        Raises
        ------
        BiofmError
            If it is of another kind, none of the choices, or out of the limits.
        """
        if value is None or (isinstance(value, str) and not value.strip() and self.kind is not str):
            if self.optional:
                return None
            raise BiofmError(f"{self.name} needs a value: {self.help}")
        if self.kind is bool:
            if isinstance(value, bool | np.bool_) or str(value).lower() in ("true", "false", "0", "1"):
                return str(value).lower() in ("true", "1")
            raise BiofmError(f"{self.name} = {value!r}: say true or false")
        if self.kind is str:
            text = str(value)
            if self.choices and text not in self.choices:
                raise BiofmError(f"{self.name} = {text!r}: choose one of {', '.join(self.choices)}")
            return text
        try:
            number = float(cast(Any, value))
        except (TypeError, ValueError) as error:
            raise BiofmError(f"{self.name} = {value!r}: give a number") from error
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise BiofmError(f"{self.name} = {value}: give {self._range}")
        if self.kind is int:
            if number != int(number):
                raise BiofmError(f"{self.name} = {value}: give a whole number")
            return int(number)
        return number

    @property
    def _range(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"{self.low:g} to {self.high:g}{unit}"
        if math.isfinite(self.low):
            return f"{self.low:g}{unit} or more"
        return f"{self.high:g}{unit} or less" if math.isfinite(self.high) else "a finite number"

    @property
    def hint(self) -> str:
        """The help with unit, limits and default, in one line."""
        said = [self.unit] if self.unit else []
        if math.isfinite(self.low) or math.isfinite(self.high):
            said.append(self._range)
        if self.default not in (None, ""):
            said.append(f"default {self.default}")
        return self.help.rstrip(".") + (f" ({'; '.join(said)})" if said else "")


def option(
    default: T,
    help: str,
    *,
    unit: str = "",
    choices: tuple[str, ...] = (),
    low: float = -math.inf,
    high: float = math.inf,
    role: Role = "",
    said_as: str = "",
) -> T:
    """Return a field of a dataclass of parameters.

    Parameters
    ----------
    default : value when nothing is given.
    help : one sentence.
    unit, choices, low, high, role, said_as : see `Option`.
    """
    said = {
        "help": help, "unit": unit, "choices": choices, "low": low, "high": high, "role": role, "said_as": said_as,
    }  # fmt: skip
    return field(default=default, metadata={_OPTION: said})


@dataclass(frozen=True)
class NoParameters:
    """Of an analysis that has none."""


@dataclass(frozen=True)
class OfEvents:
    """Base of the parameters of analyses of events: whether those of rejected cells count where no channel is given."""

    rejected: bool = option(
        False, "Events of rejected cells count, too (by hand, iscell, CaImAn's components)."
    )


@dataclass(frozen=True)
class OfCells:
    """Base of the parameters of analyses of cells: whether rejected cells count. `run_analysis` leaves them out."""

    rejected: bool = option(
        False,
        "Rejected cells count, too (rejected by hand, or in the file: suite2p's iscell, CaImAn's components).",
    )


def counts_rejected(parameters: object) -> bool:
    """Return whether parameters ask for what belongs to rejected cells, too."""
    return isinstance(parameters, OfCells | OfEvents) and parameters.rejected


@dataclass(frozen=True, eq=False)
class Source:
    """What an analysis works on; which parts are there follows from what it takes.

    Attributes
    ----------
    name : for messages and methods.
    recording : of one cell, or with traces of cells. recordings : several, or their paths.
    events : of the recording.
    table : column name -> (n_rows,) array: of events, cells, or anything else.
    """

    name: str = ""
    recording: Recording | None = None
    events: Events | None = None
    table: Table | None = None
    recordings: tuple[Recording | Path, ...] = ()

    @property
    def the_recording(self) -> Recording:
        """The recording; raises where there is none."""
        if self.recording is None:
            raise RecordingError("this analysis needs a recording: open one first")
        return self.recording

    @property
    def the_table(self) -> Table:
        """The table; raises where there is none."""
        if self.table is None or not self.table:
            raise BiofmError("this analysis needs a table: give a CSV with a header")
        return self.table

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of the table, or raise with the names there are."""
        if name not in self.the_table:
            raise BiofmError(f"no column {name!r} in {self.name}; there are: {', '.join(self.the_table)}")
        return np.asarray(self.the_table[name])

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as numbers, or raise where it holds words."""
        try:
            return np.asarray(self.column(name), np.float64)
        except ValueError as error:
            raise BiofmError(f"the column {name} of {self.name} holds words: {error}") from error


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table: name, values (n_rows,), unit, and what it means."""

    name: str
    values: NDArray[Any]
    unit: str = ""
    meaning: str = ""

    @property
    def header(self) -> str:
        """Name with its unit, as in CSV files: `amplitude_pA`."""
        if not self.unit:
            return self.name
        unit = self.unit.replace("%", "percent").replace("/", "_per_").replace(" ", "_")
        return self.name if self.name.endswith(f"_{unit}") else f"{self.name}_{unit}"


@dataclass(frozen=True, eq=False)
class Curve:
    """What is drawn in one colour.

    Attributes
    ----------
    x, y : (n,). name : in the legend, "" for none.
    style : "line", "points", "both", "steps", "bars" (y at the middle of each), or "band" between y and `high`.
    high : (n,) upper border of a band.
    error : (n,) half lengths of bars at the points.
    faint : drawn behind the others, in grey.
    like_former : in the colour of the curve before it.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    name: str = ""
    style: Style = "line"
    high: NDArray[Any] | None = None
    error: NDArray[Any] | None = None
    faint: bool = False
    like_former: bool = False


@dataclass(frozen=True, eq=False)
class Plot:
    """One pair of axes with its curves.

    Attributes
    ----------
    scale_bars : draw an L in place of the axes, as for traces.
    y_range : what is worth seeing, where stray values would hide it; None for all.
    matrix : (n, m) drawn as colours from blue to red, the first row on top, nothing where it is NaN; in place of curves.
    matrix_range : values that are the deepest blue and the deepest red.
    names : of its rows and columns, where they are the same.
    """

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    x_unit: str = ""
    y_unit: str = ""
    scale_bars: bool = False
    title: str = ""
    y_range: tuple[float, float] | None = None
    matrix: NDArray[np.float64] | None = None
    matrix_range: tuple[float, float] = (-1.0, 1.0)
    names: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, str]:
        """Names of both axes with their units."""
        pairs = ((self.x_label, self.x_unit), (self.y_label, self.y_unit))
        across, up = (f"{name} ({unit})" if unit else name for name, unit in pairs)
        return across, up


@dataclass(frozen=True, eq=False)
class Result:
    """What an analysis returns.

    Attributes
    ----------
    columns : of the table. plots : to draw.
    summary : the outcome in one or two sentences.
    notes : what could not be told and why, and what was left out.
    recordings : made by the analysis, such as an average.
    methods : for a methods section, where it depends on the data; else that of the analysis.
    """

    columns: tuple[Column, ...]
    plots: tuple[Plot, ...] = ()
    summary: str = ""
    notes: tuple[str, ...] = ()
    recordings: tuple[Recording, ...] = ()
    methods: str = ""

    @property
    def table(self) -> dict[str, NDArray[Any]]:
        """The columns by header."""
        return {one.header: np.asarray(one.values) for one in self.columns}

    @property
    def n_rows(self) -> int:
        """Number of rows of the table."""
        return len(self.columns[0].values) if self.columns else 0


Function = Callable[..., Any]  # (Source, parameters) -> Result, or a Task that returns one


@dataclass(frozen=True)
class Analysis:
    """An analysis: everything that forms, verbs and functions need to know of it.

    Attributes
    ----------
    name : verb of the command line, such as "evoked". title : in a list. group : under which it is listed.
    help : one sentence.
    takes : what it works on; "events" beside "recording" are detected where none are given.
    function : (Source, parameters) -> `Result`, or a `Task` that returns one.
    parameters : frozen dataclass whose fields are made by `option`.
    methods : sentence for a methods section, with its citation.
    own_verb : whether the command line has a verb of this name of its own.
    optional : what it uses where it is there, beside `takes`.
    """

    name: str
    title: str
    group: str
    help: str
    takes: tuple[Takes, ...]
    function: Function
    parameters: type = NoParameters
    methods: str = ""
    own_verb: bool = False
    optional: tuple[Takes, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """The parameters, in order."""
        hints = get_type_hints(self.parameters)
        own = [one for one in dataclasses.fields(self.parameters) if one.name != "rejected"]
        last = [one for one in dataclasses.fields(self.parameters) if one.name == "rejected"]
        return tuple(_option_of(one, hints[one.name]) for one in (*own, *last))

    def made(self, given: Mapping[str, object]) -> object:
        """Return the dataclass of parameters with these values.

        Raises
        ------
        BiofmError
            If there is no such parameter, or a value does not fit.
        """
        known = {one.name: one for one in self.options}
        for name in given:
            if name not in known:
                raise BiofmError(_unknown(self.name, name, list(known)))
        return self.parameters(**{name: known[name].parse(value) for name, value in given.items()})


def _unknown(analysis: str, name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{analysis} has no parameter {name!r}: {hint}there are: {', '.join(known) or 'none'}"


def _option_of(one: dataclasses.Field[Any], hint: object) -> Option:
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    (kind,) = (k for k in kinds if k is not type(None))
    choices: tuple[str, ...] = ()
    if get_origin(kind) is Literal:
        choices, kind = tuple(get_args(kind)), str
    said = dict(one.metadata[_OPTION])
    said["choices"] = said["choices"] or choices
    default = None if one.default is dataclasses.MISSING else one.default
    return Option(one.name, cast(type, kind), default, type(None) in kinds, **said)
