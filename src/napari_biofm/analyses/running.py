"""Runs an analysis by name, and says in words and as a command what was run."""

from __future__ import annotations

import dataclasses
import inspect
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_biofm import __version__
from napari_biofm.analyses.description import (
    Analysis,
    OfCells,
    Option,
    Result,
    Source,
    Table,
    counts_rejected,
)
from napari_biofm.analyses.registry import analysis
from napari_biofm.analyses.tables import read_table
from napari_biofm.api.signals import detect_events, opened, read_recording
from napari_biofm.signals import Recording
from napari_biofm.signals.curation import choose_cells, some_cells
from napari_biofm.types import BiofmError, Events, Progress, ProgressListener, Task, run_task

AnySource = Source | Recording | str | Path | Table | Sequence["Recording | str | Path"]


def run_analysis(name: str, source: Source, given: Mapping[str, object]) -> Task[Result]:
    """Run an analysis; the job of a dock.

    Parameters
    ----------
    name : of the analysis.
    source : with what it takes.
    given : values of its parameters; others keep their defaults.

    Raises
    ------
    BiofmError
        If there is no such analysis or parameter, or the source does not hold what is needed.
    """
    chosen = analysis(name)
    parameters = chosen.made(given)
    yield Progress(0, 1, chosen.title)
    source, left_out = _chosen_source(chosen, parameters, source)
    if "events" in chosen.takes and source.events is None:
        rejected = "traces" in chosen.takes or counts_rejected(parameters)
        found = detect_events(source.the_recording, rejected=rejected)
        source = dataclasses.replace(source, events=found)
    out = chosen.function(source, parameters)
    result = (yield from out) if inspect.isgenerator(out) else out
    assert isinstance(result, Result)
    if left_out:
        result = dataclasses.replace(result, notes=(*result.notes, left_out))
    said = methods_of(chosen, parameters, result, source.name)
    if source.recording is not None:
        said = f"{recorded(source.recording)} {said}"
    return dataclasses.replace(result, methods=said)


def _chosen_source(chosen: Analysis, parameters: object, source: Source) -> tuple[Source, str]:
    """Return a source of cells without the rejected ones, and what is said of them.

    An analysis of events that looks at one channel at a time keeps the recording as it is; events of rejected cells are
    left out where no channel is given.
    """
    recording, events = source.recording, source.events
    if recording is None or not recording.is_cells:
        return source, ""
    if isinstance(parameters, OfCells):
        cells = some_cells(recording, parameters.rejected)
        mine = None if events is None else cells.events(events)
        return dataclasses.replace(source, recording=cells.recording, events=mine), cells.said
    if "events" not in chosen.takes or getattr(parameters, "channel", 0) is not None:
        return source, ""
    cells = choose_cells(recording, counts_rejected(parameters))
    kept = None if events is None else events[np.isin(events["channel"], cells.channels)]
    return dataclasses.replace(source, events=kept), cells.said


def recorded(recording: Recording) -> str:
    """Return what was recorded, with units and sampling, in a sentence."""
    about = [f"{c.name} in {c.unit} at {c.sampling_rate:g} Hz" for c in recording.channels[:4]]
    more = f" and {recording.n_channels - 4} more" if recording.n_channels > 4 else ""
    sweeps = f"{recording.n_sweeps} sweep{'s' * (recording.n_sweeps != 1)}"
    protocol = f", protocol {recording.protocol}" if recording.protocol else ""
    return f"{recording.name} ({recording.format}{protocol}) holds {sweeps} of {', '.join(about)}{more}."


def analyse(
    name: str,
    source: AnySource,
    *,
    events: Events | None = None,
    progress: ProgressListener | None = None,
    **parameters: object,
) -> Result:
    """Run an analysis by its name.

    Parameters
    ----------
    name : such as "cursors"; `napari-biofm --help` and the page on analyses list them.
    source : a recording or its path, several of them, or a table (columns by name, or the path of a CSV), as the
        analysis takes.
    events : of the recording, for analyses that use them; else they are detected.
    progress : called with each step.
    **parameters : of the analysis.

    Returns
    -------
    Result
        `table` (column -> values), `plots`, `summary`, `notes`, `methods`.

    Raises
    ------
    BiofmError
        If there is no such analysis or parameter, or the source does not hold what is needed.
    """
    return run_task(run_analysis(name, source_of(analysis(name), source, events), parameters), progress)


def source_of(chosen: Analysis, given: AnySource, events: Events | None = None) -> Source:
    """Return the source that an analysis takes, from what a caller has.

    Parameters
    ----------
    chosen : the analysis.
    given, events : as for `analyse`.
    """
    if isinstance(given, Source):
        return given if events is None else dataclasses.replace(given, events=events)
    if "recordings" in chosen.takes:
        several = [given] if isinstance(given, str | Path | Recording) else list(given)
        return Source(
            f"{len(several)} recordings", recordings=tuple(_path_or_recording(one) for one in several)
        )
    if "table" in chosen.takes or "cells" in chosen.takes:
        if isinstance(given, str | Path):
            return Source(Path(given).name, table=read_table(Path(given)))
        if isinstance(given, Mapping):
            return Source("the table", table={str(k): np.asarray(v) for k, v in given.items()})
        raise BiofmError(f"{chosen.name} works on a table: give columns by name, or the path of a CSV")
    if not isinstance(given, str | Path | Recording):
        raise BiofmError(f"{chosen.name} works on one recording: give it or its path")
    recording = read_recording(given) if isinstance(given, str | Path) else opened(given)
    return Source(recording.name, recording, events)


def _path_or_recording(one: object) -> Recording | Path:
    return one if isinstance(one, Recording) else Path(str(one))


def changed(chosen: Analysis, parameters: object) -> list[tuple[Option, object]]:
    """Return the parameters that differ from their defaults, with their values."""
    pairs = [(one, getattr(parameters, one.name)) for one in chosen.options]
    return [(one, value) for one, value in pairs if value != one.default]


def command_of(
    chosen: Analysis, parameters: object, files: Sequence[str | Path], out: str = "table.csv"
) -> str:
    """Return the command that does the same, for a shell.

    Parameters
    ----------
    chosen, parameters : the analysis and its dataclass.
    files : it works on.
    out : name of the table.
    """
    words = ["napari-biofm", chosen.name, *map(str, files)]
    for one, value in changed(chosen, parameters):
        if one.kind is bool:
            words.append(one.flag if value else one.flag.replace("--", "--no-", 1))
        else:
            text = f"{value:.12g}" if isinstance(value, float) else str(value)
            words += [f"{one.flag}={text}"] if text.startswith("-") else [one.flag, text]
    return shlex.join([*words, "--out", out])


def methods_of(chosen: Analysis, parameters: object, result: Result, name: str = "") -> str:
    """Return what a methods section says: what was done, with which values, by which version.

    Parameters
    ----------
    chosen, parameters : the analysis and its dataclass.
    result : of it; its own sentence goes first.
    name : of what was analysed.
    """
    values = []
    for one in chosen.options:
        value = getattr(parameters, one.name)
        if value not in (None, ""):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            values.append(f"{one.words} {text}" + (f" {one.unit}" if one.unit else ""))
    said = [result.methods or chosen.methods or chosen.help]
    if values:
        said.append(f"Settings: {', '.join(values)}.")
    said += [note if note.endswith(".") else f"{note}." for note in result.notes]
    where = f" of {name}" if name else ""
    said.append(f"Analysis '{chosen.name}'{where} with napari-biofm {__version__} (numpy {np.__version__}).")
    return " ".join(text if text.endswith(".") else f"{text}." for text in said)
