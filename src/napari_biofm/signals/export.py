"""What leaves the trace viewer as data and words: samples, events, NWB, and the methods paragraph."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm import __version__
from napari_biofm.files import CsvWriter, atomic_write
from napari_biofm.signals.curation import choose_cells
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.signals.nwb_about import NwbAbout, about_of, arguments_of_file
from napari_biofm.signals.nwb_icephys import NO_DATE, PLACEHOLDER, add_sweeps
from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.recorded import CHANGED, OPENED_WITH
from napari_biofm.signals.recording import Recording
from napari_biofm.types import MEASURED_DTYPE, Events, RecordingError

_NOT_EVENTS = ("artefact", "rejected")
_MAX_ROWS = 20_000_000
QUALITY = "quality"  # sentences on how good detection is on this recording
BY_HAND = "by_hand"  # in the provenance of events: how many edits of each kind


def event_columns(events: Events, review: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the table of events by column, `review` (accept, unclear, reject or "") beside it.

    Column names carry their units where they have one; `amplitude` is in the column `unit`.
    """
    columns = {
        name: events[name] for name in MEASURED_DTYPE.names or () if name in (events.dtype.names or ())
    }
    if review is not None:
        columns["review"] = np.asarray(list(review), dtype="U8")
    return columns


def write_events(
    path: Path, events: Events, review: Sequence[str] | None = None, metadata: Mapping[str, str] | None = None
) -> None:
    """Write events as CSV or Parquet, by the ending of `path`, atomically; an empty table keeps its header.

    Raises
    ------
    RecordingError
        If the ending is neither .csv nor .parquet.
    """
    columns = event_columns(events, review)
    if path.suffix.lower() == ".csv":
        with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = CsvWriter(file)
            writer.writerow(columns)
            writer.writerows(zip(*(_as_text(column) for column in columns.values()), strict=True))
    elif path.suffix.lower() == ".parquet":
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({name: pyarrow.array(column.tolist()) for name, column in columns.items()})
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(metadata or {})})
        with atomic_write(path) as partial:
            pyarrow.parquet.write_table(table, partial)
    else:
        raise RecordingError(
            f"events cannot be written as {path.suffix or path.name}: choose .csv or .parquet"
        )


def write_samples(
    path: Path, recording: Recording, sweep: int, channels: Sequence[int], start_s: float, stop_s: float
) -> int:
    """Write the samples of a span as CSV and return the number of rows.

    Parameters
    ----------
    channels : all of one sampling rate.
    start_s, stop_s : seconds from the start of the sweep.

    Raises
    ------
    RecordingError
        If sampling rates differ or the span is empty or longer than 20 million rows.
    """
    rates = {recording.channels[c].sampling_rate for c in channels}
    if len(rates) != 1:
        raise RecordingError(
            f"channels sampled at {sorted(rates)} Hz do not fit into one table: export them singly"
        )
    rate = rates.pop()
    n = min(recording.n_samples(sweep, c) for c in channels)
    first, last = max(0, int(np.ceil(start_s * rate))), min(n, int(np.floor(stop_s * rate)) + 1)
    if not 0 < last - first <= _MAX_ROWS:
        raise RecordingError(f"{last - first} rows to write: choose a span of 1 to {_MAX_ROWS} samples")
    table = np.column_stack([np.arange(first, last) / rate]
                            + [recording.values(sweep, c, first, last) for c in channels])  # fmt: skip
    names = ["time_s"] + [f"{recording.channels[c].name} ({recording.channels[c].unit})" for c in channels]
    header = ",".join('"' + name.replace('"', "'") + '"' for name in names)
    with atomic_write(path) as partial:
        np.savetxt(partial, table, "%.9g", ",", header=header, comments="", encoding="utf-8")
    return last - first


def methods(
    recording: Recording,
    filters: FilterSettings,
    events: Events,
    provenance: Mapping[str, Any],
    review: Sequence[str] = (),
) -> str:
    """Return a paragraph for a methods section that states every setting that was used."""
    about = [f"{c.name} ({c.unit}, {c.sampling_rate:g} Hz)" for c in recording.channels[:4]]
    more = f" and {recording.n_channels - 4} further channels" if recording.n_channels > 4 else ""
    said = [
        f"{recording.name} ({recording.format}"
        + (f", protocol {recording.protocol}" if recording.protocol else "")
        + f") holds {recording.n_sweeps} sweep{'s' * (recording.n_sweeps != 1)} of {', '.join(about)}{more}."
    ]
    said += _opened(recording)
    if rejected := choose_cells(recording, rejected=True).said:
        said.append(f"{rejected} in the table of events.")
    if stamps := recording.metadata.get("timestamps"):
        said.append(f"Its samples carry time stamps: {stamps}.")
    if recording.command_unknown:
        said.append(f"Its command is unknown ({recording.command_unknown}).")
    done = recording.metadata.get("processing")
    if done:
        said.append(f"Events were sought in a processed copy. {FilterSettings(**done).sentences()}")
    said.append(
        f"For display only: {filters.sentences()}" if filters else "No filter was applied for display."
    )
    if len(events) or provenance:
        kept = events[~np.isin(events["class"], _NOT_EVENTS)]
        counts = ", ".join(f"{int((kept['class'] == c).sum())} {c}" for c in np.unique(kept["class"]))
        said.append(
            f"{len(kept)} events were kept ({counts or 'none'}), {len(events) - len(kept)} were rejected."
        )
        settings = {k: v for k, v in provenance.items() if k not in ("review", "was", BY_HAND, QUALITY)}
        if settings:
            said.append("Detection: " + "; ".join(f"{k} = {_short(v)}" for k, v in settings.items()) + ".")
        said += provenance.get(QUALITY, [])
    looked = [r for r in review if r]
    if looked:
        parts = [f"{looked.count(word)} {word}" for word in ("accept", "unclear", "reject") if word in looked]
        said.append(f"{len(looked)} events were reviewed by hand ({', '.join(parts)}).")
    by_hand = {name: n for name, n in provenance.get(BY_HAND, {}).items() if n > 0}
    if by_hand:
        said.append("Edits by hand: " + ", ".join(f"{name} ({n})" for name, n in by_hand.items()) + ".")
    if recording.sha256:
        said.append(f"Source file SHA-256: {recording.sha256}.")
    said.append(f"Software: napari-biofm {__version__}.")
    return " ".join(said)


def _opened(recording: Recording) -> list[str]:
    """Return what the user said of a recording, put right in it, and how traces of cells were made."""
    about, said = recording.metadata, []
    if given := about.get(OPENED_WITH):
        said.append("Opened with " + ", ".join(f"{k} = {_short(v)}" for k, v in given.items()) + ".")
    for change in about.get(CHANGED, ()):
        times = f", values times {change['factor']:g}" if change["factor"] != 1.0 else ""
        said.append(
            f"{change['former_name']} ({change['former_unit']}) was put right as {change['name']} "
            f"({change['unit']}){times}."
        )
    if traces := about.get("settings"):
        said.append("Traces: " + ", ".join(f"{k} = {_short(v)}" for k, v in traces.items()) + ".")
    return said


def write_nwb(
    path: Path, recording: Recording, events: Events | None = None, about: NwbAbout | None = None
) -> None:
    """Write a recording and its events as NWB, in SI units.

    Sweeps of cells become clamp series of their electrodes with the protocol's commands as stimuli (see
    `nwb_icephys.add_sweeps`), other channels plain series, events a table in the processing module "events". Samples are read while they are written. Where the file has no date, its start is a placeholder, and says so.

    Parameters
    ----------
    path : of the file.
    recording : that is written.
    events : of it.
    about : the experiment and the animal; not given: what the recording's own NWB file says, else nothing.

    Raises
    ------
    RecordingError
        If pynwb is missing.
    """
    pynwb = need("pynwb", path)
    start = recording.t0 or PLACEHOLDER
    about = about_of(recording) if about is None else about
    said = about.session_description or recording.comment or recording.protocol or recording.name
    said = said.replace(NO_DATE, "").strip()  # of a file that was exported before
    nwb = pynwb.NWBFile(
        session_description=said if recording.t0 is not None else f"{said.rstrip('.')}. {NO_DATE}",
        identifier=recording.sha256 or recording.name,
        session_start_time=start.replace(tzinfo=start.tzinfo or UTC),
        **arguments_of_file(about),
    )
    add_sweeps(nwb, recording)
    if events is not None and len(events):
        module = nwb.create_processing_module(name="events", description="events found by napari-biofm")
        columns = []
        for name in events.dtype.names or ():
            column = events[name]
            data = column.astype(str).tolist() if column.dtype.kind == "U" else column.tolist()
            columns.append(pynwb.core.VectorData(name=name, description=name, data=data))
        table = pynwb.core.DynamicTable(name="events", description="one row per event", columns=columns)
        module.add(table)
    with atomic_write(path) as partial, pynwb.NWBHDF5IO(str(partial), "w") as io:
        io.write(nwb)


def _as_text(column: Any) -> list[str]:
    if column.dtype.kind == "f":
        return [f"{value:.9g}" if math.isfinite(value) else "" for value in column.tolist()]
    return [str(value) for value in column.tolist()]


def _short(value: Any) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_short(v)}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
