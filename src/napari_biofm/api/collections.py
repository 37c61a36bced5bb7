"""Many recordings as one table, groups compared, and curves fitted between two times or to columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.signals import AnyRecording, WhichChannel, channels_of, detect_events, features, opened
from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.signals import Recording
from napari_biofm.types import BiofmError, Kind, Preset, ProgressListener, RecordingError

if TYPE_CHECKING:
    from napari_biofm.events.statistics import GroupComparison
    from napari_biofm.signals.fits import CurveFit


@dataclass(frozen=True, eq=False)
class Collected:
    """One table of many recordings.

    Attributes
    ----------
    table : column name -> (n_rows,) array; `file` and the groups come first.
    failed : message by path of the files that could not be read.
    """

    table: dict[str, NDArray[Any]]
    failed: Mapping[str, str]


def recordings_in(paths: Sequence[str | Path]) -> list[Path]:
    """Return files, and of folders the recordings in them, sorted by name.

    Parameters
    ----------
    paths : of files and folders.
    """
    from napari_biofm.signals.readers import supported_suffixes

    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            known = supported_suffixes()
            found += sorted(
                one for one in path.iterdir() if one.is_file() and one.name.lower().endswith(known)
            )
        else:
            found.append(path)
    if not found:
        raise RecordingError(f"no recording in {', '.join(map(str, paths))}")
    return found


def collect(
    recordings: Sequence[AnyRecording],
    *,
    what: Literal["events", "features"] = "events",
    rows: Literal["event", "sweep", "file", "group"] = "event",
    names: str = "",
    detector: str = DEFAULT_DETECTOR,
    kind: Kind = "auto",
    preset: Preset = "balanced",
    channel: WhichChannel = None,
    options: Mapping[str, float] | None = None,
    rejected: bool = False,
    progress: ProgressListener | None = None,
) -> Collected:
    """Find and measure the events of many recordings, or all their features, in one table.

    Parameters
    ----------
    recordings : or paths of files and folders.
    what : "events", or "features" of sweeps and events.
    rows : one row per "event" or "sweep" (of features), per "file" (the mean of its events, or of its sweeps where it has
        none), or per "group" (the mean of its files, each counted once).
    names : pattern of the names of files, such as "{genotype}_{cell}_*": each field becomes a column. With rows
        "group" the field {cell} does not split groups.
    detector, kind, preset, channel, options, rejected, progress : as in `detect_events`.

    Returns
    -------
    Collected
        The table, and which files failed; the others are in it.

    Raises
    ------
    RecordingError
        If there is no recording, all of them fail, or the pattern names no field.
    """
    from napari_biofm.events import collecting

    pattern = collecting.name_pattern(names) if names else None
    given = [one for one in recordings if not isinstance(one, str | Path)]
    paths = [one for one in recordings if isinstance(one, str | Path)]
    sources: list[Recording | Path] = [*given, *(recordings_in(paths) if paths else [])]
    parts, failed = [], {}
    for source in sources:
        name = source.name
        try:
            groups = collecting.groups_of(pattern, Path(name))
            trace = opened(source)
            events = detect_events(
                trace,
                detector=detector,
                kind=kind,
                preset=preset,
                channel=channel,
                options=options,
                rejected=rejected,
                progress=progress,
            )
            columns = collecting.columns_of(events)
            if what == "features":
                columns = features(trace, events, channel=channel, rejected=rejected, progress=progress)
            parts.append((name, groups, columns))
        except BiofmError as error:
            failed[str(source) if isinstance(source, Path) else name] = str(error)
    if not parts:
        raise RecordingError(
            f"none of {len(sources)} recordings could be used: {next(iter(failed.values()), '')}"
        )
    fields = list(pattern.groupindex) if pattern is not None else []
    if rows == "group":
        fields = [field for field in fields if field != "cell"]
    return Collected(collecting.summed(collecting.joined(parts), rows, fields), failed)


def compare_groups(
    table: Mapping[str, NDArray[Any]], value: str, *, group: str, cell: str = "file"
) -> list[GroupComparison]:
    """Compare a column of a table of events between each two groups, with respect for the cells they come from.

    Parameters
    ----------
    table : of `collect`, a row per event.
    value : column that is compared.
    group, cell : columns that say which group and which cell a row belongs to.

    Returns
    -------
    One comparison for each two groups: KS and Mann-Whitney over events, Mann-Whitney over means of cells, and a linear
    mixed model with a random intercept per cell.

    Raises
    ------
    RecordingError
        If a column is missing or there are fewer than two groups.
    """
    from napari_biofm.events.statistics import compare_groups as compare

    missing = [name for name in (value, group, cell) if name not in table]
    if missing:
        raise RecordingError(f"no column {missing[0]!r} in the table; there are: {', '.join(table)}")
    try:
        numbers = np.asarray(table[value], np.float64)
    except ValueError as error:
        raise RecordingError(f"the column {value} holds words: {error}") from error
    return compare(numbers, np.asarray(table[group], str), np.asarray(table[cell], str))


def fit_between(
    recording: AnyRecording,
    start_s: float,
    stop_s: float,
    model: str = "exp1",
    *,
    sweep: int = 0,
    channel: WhichChannel = None,
) -> CurveFit:
    """Fit a curve to the samples between two times of a sweep, as between the cursors of the Trace dock.

    Parameters
    ----------
    recording : or its path.
    start_s, stop_s : seconds from the start of the sweep, both included. Exponentials begin at `start_s`.
    model : "exp1", "exp2", "exp3", "gaussian", "line", "boltzmann", "boltzmann-iv" or "hill".
    sweep, channel : counted from 0; channel None takes the first of a cell.

    Raises
    ------
    RecordingError
        If there is no such sweep, channel or model, or the fit does not converge.
    """
    trace = opened(recording)
    chosen = channels_of(trace, channel)[0]
    fs, n = trace.channels[chosen].sampling_rate, trace.n_samples(sweep, chosen)
    first, last = max(0, int(np.ceil(start_s * fs))), min(n, int(np.floor(stop_s * fs)) + 1)
    if first >= last:
        raise RecordingError(
            f"no sample of {trace.name} lies between {start_s} and {stop_s} s of sweep {sweep}"
        )
    return fit_curve(np.arange(first, last) / fs, trace.values(sweep, chosen, first, last), model)


def fit_curve(x: NDArray[Any], y: NDArray[Any], model: str) -> CurveFit:
    """Fit a curve to points by least squares.

    Parameters
    ----------
    x, y : (n,) points; those that are no numbers are left out.
    model : as in `fit_between`.

    Returns
    -------
    CurveFit
        Parameters with standard errors, the curve, what it leaves over, R2.

    Raises
    ------
    RecordingError
        If there is no such model, there are too few points, or the fit does not converge.
    """
    from napari_biofm.signals.fits import fit_curve as fit

    return fit(x, y, model)
