"""One table of features: a row per sweep and a row per event, columns named with kind and unit."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.classical.choice import kind_of_unit
from napari_biofm.events.classical.common import clean
from napari_biofm.events.features import ap, calcium, channel, hrv, passive, psc, single_channels, train
from napari_biofm.events.features.definitions import Columns, Values
from napari_biofm.events.features.stimulus import EPOCH_DEFINITIONS, TEST_DEFINITIONS, TEXTS, measured_epoch
from napari_biofm.events.kinds import kind_of_class
from napari_biofm.files import CsvWriter
from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels
from napari_biofm.types import Events, Progress, Task, Trace

Row = dict[str, Any]
FIRST = ("row", "sweep", "channel", "class", "time_s", "score")
_IN_UNIT_OF_TRACE = ("amplitude", "mean_amplitude", "median_amplitude", "noise", "step")
_TYPES: Mapping[str, Any] = {
    "row": str, "class": str, "sweep": np.int64, "channel": np.int64, **dict.fromkeys(TEXTS, str),
}  # fmt: skip

SPIKE_DEFINITIONS = {
    "amplitude": "trough of the filtered trace, in the unit of the trace",
    "interval_ms": "from the spike before (nan for the first)",
}
DEFINITIONS: Mapping[str, Mapping[str, str]] = {
    "ap": {**train.TRAIN_DEFINITIONS, **ap.AP_DEFINITIONS},
    "psc": {**psc.PSC_SWEEP_DEFINITIONS, **psc.PSC_DEFINITIONS},
    "psp": {**psc.PSC_SWEEP_DEFINITIONS, **psc.PSC_DEFINITIONS},
    "calcium": {**calcium.CALCIUM_SWEEP_DEFINITIONS, **calcium.CALCIUM_DEFINITIONS},
    "channel": {**channel.CHANNEL_SWEEP_DEFINITIONS, **channel.CHANNEL_DEFINITIONS},
    "ecg": {**hrv.HRV_DEFINITIONS, **hrv.BEAT_DEFINITIONS},
    "spike": {**train.TRAIN_DEFINITIONS, **SPIKE_DEFINITIONS},
    "step": {**passive.STEP_DEFINITIONS, **passive.CURRENT_CLAMP_DEFINITIONS},
    "test": {**passive.VOLTAGE_CLAMP_DEFINITIONS, **TEST_DEFINITIONS},
    "epoch": EPOCH_DEFINITIONS,
}


def features(
    recording: Recording,
    events: Events,
    channels: Sequence[int] | None = None,
    sweeps: Sequence[int] | None = None,
    epoch: str | None = None,
) -> Task[Columns]:
    """Describe every sweep and every event of a recording by numbers.

    Parameters
    ----------
    recording : where the events come from.
    events : any detector's table; artefacts and rejected rows are left out.
    channels, sweeps : all signal channels, all sweeps when None.
    epoch : letter or number of the command's epoch that sweeps are measured in; None takes the one that varies
        across sweeps (see `signals.steps`).

    Returns
    -------
    dict of column name -> (n_rows,) array. `row` is "sweep" or "event"; names carry kind and unit, as
    `ap_half_width_ms`; what does not apply to a row is nan. `definitions` says what each column means.
    """
    real = events[~np.isin(events["class"], ("artefact", "rejected"))]
    chosen = list(signal_channels(recording) if channels is None else channels)
    which = list(range(recording.n_sweeps) if sweeps is None else sweeps)
    kinds = {c: _kinds(real[real["channel"] == c], recording.channels[c].unit) for c in chosen}
    rows: list[Row] = []
    total = max(1, len(which) * len(chosen))
    for done, (sweep, one) in enumerate((s, c) for s in which for c in chosen):
        mine = real[(real["sweep"] == sweep) & (real["channel"] == one)]
        mine = mine[np.argsort(mine["time_s"], kind="stable")]
        rows += _sweep_rows(recording, recording.sweep(sweep, one), mine, kinds[one], epoch)
        yield Progress(done + 1, total, f"sweep {sweep}, {recording.channels[one].name}: {len(mine)} events")
    return _columns(rows)


def _kinds(events: Events, unit: str) -> list[str]:
    """Return the kinds of features a channel gets: those of its events, else that of its unit."""
    found = {kind for word in np.unique(events["class"]) if (kind := kind_of_class(str(word)))}
    return sorted(found) if found else [str(kind_of_unit(unit))]


def _sweep_rows(
    recording: Recording, signal: Trace, events: Events, kinds: list[str], epoch: str | None
) -> list[Row]:
    """Return the row of one sweep and those of its events."""
    place = {"sweep": signal.sweep, "channel": signal.channel}
    summary: Row = {"row": "sweep", "class": "", "time_s": np.nan, "score": np.nan, **place}
    cleaned, _ = clean(signal, 4)
    if cleaned is None:
        return [summary]
    signal = Trace(cleaned.values, signal.sampling_rate, signal.unit, signal.sweep, signal.channel)
    used_epoch, step = measured_epoch(recording, signal, epoch)
    whole = (0.0, len(signal.values) / signal.sampling_rate, False)
    stretch = whole if used_epoch is None else (*used_epoch, True)
    summary |= step
    rows: list[Row] = []
    for kind in kinds:
        mine = events[np.array([kind_of_class(str(word)) == kind for word in events["class"]], bool)]
        values, columns, used = _described(kind, signal, mine, stretch)
        summary |= {_named(kind, k, signal.unit): v for k, v in values.items()}
        for i, event in enumerate(used):
            event_columns = {"class": str(event["class"]), "time_s": event["time_s"], "score": event["score"]}
            measured = {_named(kind, k, signal.unit): column[i] for k, column in columns.items()}
            rows.append({"row": "event", **place, **event_columns, **measured})
    rows.sort(key=lambda row: row["time_s"])
    return [summary, *rows]


def _described(
    kind: str, signal: Trace, events: Events, stretch: tuple[float, float, bool]
) -> tuple[Values, Columns, Events]:
    """Return numbers of the sweep, of each event, and the events they belong to.

    `stretch` is start and stop (s) of what the sweep is measured in, and whether that is a step.
    """
    duration = len(signal.values) / signal.sampling_rate
    if kind == "ap":
        return _action_potentials(signal, events, stretch)
    if kind in ("psc", "psp"):
        events = psc.measured(signal, events)
        return psc.psc_sweep(events, duration), psc.psc_features(signal, events), events
    if kind == "calcium":
        return calcium.calcium_sweep(signal, events), calcium.calcium_features(signal, events), events
    if kind == "ecg":
        return hrv.hrv_features(events["time_s"]), hrv.beat_features(events), events
    if kind == "channel":
        return single_channels.sweep_values(signal), channel.channel_features(events), events
    times = np.asarray(events["time_s"], np.float64)
    summary = train.train_features(times, np.asarray(events["amplitude"], np.float64), *stretch)
    columns: Columns = {"amplitude": events["amplitude"], "interval_ms": np.diff(times, prepend=np.nan) * 1e3}
    return summary, columns, events


def _action_potentials(
    signal: Trace, events: Events, stretch: tuple[float, float, bool]
) -> tuple[Values, Columns, Events]:
    fs = signal.sampling_rate
    volts = np.asarray(signal.values, np.float64) * millivolts(signal.unit)
    at = np.clip(np.rint(events["time_s"] * fs).astype(np.intp), 0, len(volts) - 1)
    marks = ap.landmarks(volts, fs, at)
    if len(marks.peak) != len(events):  # two events of one peak: keep the surer one
        order = np.argsort(-events["score"], kind="stable")
        nearest = np.argmin(np.abs(at[order][:, None] - marks.peak), axis=0)
        events = events[order][nearest]
    summary = train.train_features(marks.peak / fs, volts[marks.peak], *stretch)
    return summary, ap.ap_features(volts, fs, marks), events


def _named(kind: str, name: str, unit: str) -> str:
    """Return the column of a feature: kind, name, and the unit of the trace where it has that."""
    if name == "area":
        return f"{kind}_area_{unit}_ms"
    return f"{kind}_{name}_{unit}" if name in _IN_UNIT_OF_TRACE else f"{kind}_{name}"


def _columns(rows: list[Row]) -> Columns:
    """Return rows as columns; nan where a row has no value."""
    names = [*FIRST, *dict.fromkeys(k for row in rows for k in row if k not in FIRST)]
    table: Columns = {}
    for name in names:
        values = [row.get(name, "" if _TYPES.get(name) is str else np.nan) for row in rows]
        table[name] = np.array(values, dtype=_TYPES.get(name, np.float64))
    return table


def definitions(table: Columns) -> dict[str, str]:
    """Return what each column of a feature table means."""
    texts = {
        "row": '"sweep" for a whole sweep, "event" for one event',
        "sweep": "number of the sweep, from 0",
        "channel": "number of the channel, from 0",
        "class": "class of the event",
        "time_s": "time of the event from the start of its sweep",
        "score": "confidence of the detector, 0 to 1",
    }
    for name in table:
        kind, _, rest = name.partition("_")
        if name in texts or kind not in DEFINITIONS:
            continue
        known = DEFINITIONS[kind]
        match = [k for k in known if rest == k or rest.startswith(f"{k}_")]
        texts[name] = known[max(match, key=len)] if match else ""
    return {name: texts.get(name, "") for name in table}


def to_csv(table: Mapping[str, NDArray[Any]]) -> str:
    """Return a feature table as CSV text; empty cells where there is no value."""
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.7g}" if np.isfinite(value) else ""
    return str(value)
