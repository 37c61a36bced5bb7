"""Events reviewed and edited by hand: what an edit changes, as rows. No window, no session.

Every function returns a `RowChange`; none changes a table. A verdict is a column of the table. Rejecting sets the
class to "rejected" and keeps the class of before, so that accepting brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_biofm.events.measuring.measure import measure_events
from napari_biofm.events.reviewed import REVIEWED_DTYPE, VERDICTS, reviewed, same_rows, verdicts_of
from napari_biofm.events.table import as_dtype
from napari_biofm.signals import Recording
from napari_biofm.types import (
    EVENT_CLASSES,
    EVENT_DTYPE,
    MEASURED_DTYPE,
    Events,
    RecordingError,
    SessionError,
)

_BESIDE = 4  # events on each side that an event set by hand is measured beside


@dataclass(frozen=True, eq=False)
class RowChange:
    """Rows taken out of a table and rows put in.

    Attributes
    ----------
    removed_at : places of the rows taken out, in the table before; ascending.
    removed : these rows.
    added_at : places of the rows put in, in the table after; ascending.
    added : these rows.
    """

    removed_at: tuple[int, ...]
    removed: Events
    added_at: tuple[int, ...]
    added: Events

    @property
    def nbytes(self) -> int:
        """Bytes it holds."""
        return self.removed.nbytes + self.added.nbytes + 8 * (len(self.removed_at) + len(self.added_at))

    def applied(self, events: Events) -> Events:
        """Return the table after the change.

        Raises
        ------
        SessionError
            If the table does not hold the rows that are to be taken out.
        """
        out = np.asarray(self.removed_at, np.intp)
        if len(out) and (out.max() >= len(events) or out.min() < 0):
            raise SessionError(f"event {int(out.max())} of {len(events)} is not there any more.")
        if not same_rows(events[out], self.removed):
            raise SessionError("the events are no longer those it was made on.")
        kept = np.delete(events, out)
        n = len(kept) + len(self.added)
        into = np.asarray(self.added_at, np.intp)
        if len(into) and (into.max() >= n or into.min() < 0):
            raise SessionError(f"there is no place {int(into.max())} in a table of {n} events.")
        table = np.zeros(n, REVIEWED_DTYPE)
        is_new = np.zeros(n, bool)
        is_new[into] = True
        table[is_new] = self.added
        table[~is_new] = kept
        return table

    def reversed(self) -> RowChange:
        """Return the change that takes this one back."""
        return RowChange(self.added_at, self.added, self.removed_at, self.removed)


def replaced(events: Events, rows: Sequence[int], new: Events) -> RowChange:
    """Return the change that takes `rows` out and puts `new` in, each where it belongs in a sorted table."""
    at = sorted(set(rows))
    kept = np.delete(events, at)
    merged = np.concatenate([kept, new])
    place = np.argsort(_order(merged), kind="stable")
    into = place[len(kept) :]
    by_place = np.argsort(into, kind="stable")
    return RowChange(tuple(at), events[at].copy(), tuple(int(i) for i in into[by_place]), new[by_place])


def _order(events: Events) -> np.ndarray:
    """Return the order of a table by sweep, time and channel; equal rows keep theirs."""
    return np.lexsort((events["channel"], events["time_s"], events["sweep"]))


def add_event(
    events: Events, recording: Recording, sweep: int, channel: int, time_s: float, name: str
) -> RowChange:
    """Return the change that adds an event, at the peak next to the stated time and measured there.

    Its score is 1. What the core of all detectors cannot measure there stays empty, with the reason.

    Raises
    ------
    RecordingError
        If the time is not in the sweep, or the class is none.
    """
    details = recording.channels[channel]
    index = round(time_s * details.sampling_rate)
    if not 0 <= index < recording.n_samples(sweep, channel):
        raise RecordingError(
            f"an event at {time_s:.4f} s: sweep {sweep} of {recording.name} ends at "
            f"{recording.duration(sweep):.4f} s"
        )
    row = as_dtype(np.zeros(1, EVENT_DTYPE), REVIEWED_DTYPE)
    row["sweep"], row["channel"], row["time_s"], row["unit"] = sweep, channel, time_s, details.unit
    row["class"], row["score"], row["verdict"] = checked_class(name), 1.0, "accept"
    row["amplitude"] = row["rise_s"] = row["decay_s"] = np.nan
    return replaced(events, [], _measured(events, recording, row))


def delete_events(events: Events, rows: Sequence[int]) -> RowChange:
    """Return the change that deletes rows."""
    at = sorted(set(rows))
    return RowChange(tuple(at), events[at].copy(), (), events[:0])


def move_event(events: Events, recording: Recording, row: int, time_s: float) -> RowChange:
    """Return the change that moves an event in its sweep to the peak next to a time, and measures it there."""
    sweep, channel = int(events[row]["sweep"]), int(events[row]["channel"])
    last = (recording.n_samples(sweep, channel) - 1) / recording.channels[channel].sampling_rate
    new = events[[row]].copy()
    new["time_s"] = np.clip(time_s, 0.0, last)
    new["amplitude"] = np.nan  # another place may have another sign
    return replaced(events, [row], _measured(np.delete(events, row), recording, new))


def _measured(events: Events, recording: Recording, row: Events) -> Events:
    """Return one row of REVIEWED_DTYPE, measured beside the other events of its sweep and channel."""
    sweep, channel = int(row["sweep"][0]), int(row["channel"][0])
    here = events[(events["sweep"] == sweep) & (events["channel"] == channel)]
    here = here[np.argsort(here["time_s"], kind="stable")]
    at = int(np.searchsorted(here["time_s"], row["time_s"][0]))
    near = np.concatenate([row, here[max(0, at - _BESIDE) : at + _BESIDE]])
    found = measure_events(recording.sweep(sweep, channel), near, by_hand=True)[:1]
    new = row.copy()
    for name in MEASURED_DTYPE.names or ():
        new[name] = found[name]
    return new


def reclass_events(events: Events, rows: Sequence[int], name: str) -> RowChange:
    """Return the change that gives events another class."""
    at = sorted(set(rows))
    new = events[at].copy()
    new["class"] = checked_class(name)
    return RowChange(tuple(at), events[at].copy(), tuple(at), new)


def judge_events(events: Events, rows: Sequence[int], verdict: str) -> RowChange:
    """Return the change that accepts, leaves unclear, or rejects events; "" takes a verdict back.

    Raises
    ------
    RecordingError
        If the word is no verdict.
    """
    if verdict not in (*VERDICTS, ""):
        raise RecordingError(f"'{verdict}' is no verdict: choose one of {', '.join(VERDICTS)}")
    at = sorted(set(rows))
    new = events[at].copy()
    rejected, has_before = new["class"] == "rejected", new["class_before"] != ""
    if verdict == "reject":
        new["class_before"] = np.where(rejected, new["class_before"], new["class"])
        new["class"] = "rejected"
    else:
        new["class"] = np.where(rejected & has_before, new["class_before"], new["class"])
        new["class_before"] = ""
    new["verdict"] = verdict
    return RowChange(tuple(at), events[at].copy(), tuple(at), new)


def match_verdicts(former: Events, found: Events, near_s: float) -> Events:
    """Return a new table with what a person said about the former one.

    Parameters
    ----------
    former : the table before, with its verdicts; events added by hand are accepted ones.
    found : what replaces it.
    near_s : a found event this close to a judged one takes its verdict; each
        takes one, the nearest first. An accepted or unclear event that was not found again is put back; a rejected
        one that was not is forgotten.
    """
    table = reviewed(found).copy()
    judged = np.flatnonzero(verdicts_of(former) != "")
    free = np.ones(len(table), bool)
    back = []
    for row, gap, at in sorted(_nearest(former, judged, table), key=lambda one: one[1]):
        said = former[row]
        if gap > near_s or not free[at]:
            gap, at = _next_free(said, table, free)
        if gap > near_s:
            if said["verdict"] != "reject":
                back.append(row)
            continue
        free[at] = False
        table["verdict"][at] = said["verdict"]
        if said["verdict"] == "reject":
            table["class_before"][at], table["class"][at] = table["class"][at], "rejected"
    table = np.concatenate([table, reviewed(former[back])])
    return table[_order(table)]


def _nearest(former: Events, rows: np.ndarray, table: Events) -> list[tuple[int, float, int]]:
    """Return row of the former table, distance (s) and place of the nearest event of the new one."""
    every = np.ones(len(table), bool)
    return [(int(row), *_next_free(former[row], table, every)) for row in rows]


def _next_free(said: np.void, table: Events, free: np.ndarray) -> tuple[float, int]:
    """Return distance (s) and place of the nearest free event in the same sweep and channel."""
    same = free & (table["sweep"] == said["sweep"]) & (table["channel"] == said["channel"])
    gap = np.where(same, np.abs(table["time_s"] - said["time_s"]), np.inf)
    return (float(gap.min()), int(gap.argmin())) if len(gap) else (np.inf, -1)


def checked_class(name: str) -> str:
    """Return a class that an event may have; RecordingError where there is none of that name."""
    if name not in EVENT_CLASSES:
        raise RecordingError(f"'{name}' is no class of events: choose one of {', '.join(EVENT_CLASSES)}")
    return name
