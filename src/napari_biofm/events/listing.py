"""Which rows of an event table a list shows, in which order, and what it holds in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.reviewed import verdicts_of
from napari_biofm.types import Events

# title and column of the table
COLUMNS = (
    ("Sweep", "sweep"),
    ("Channel", "channel"),
    ("Time (s)", "time_s"),
    ("Class", "class"),
    ("Score", "score"),
    ("Amplitude", "amplitude"),
    ("Rise (ms)", "rise_s"),
    ("Decay (ms)", "decay_s"),
    ("Verdict", "verdict"),
)
_FORMATS = {
    "sweep": "{:d}",
    "channel": "{:d}",
    "time_s": "{:.5f}",
    "score": "{:.2f}",
    "amplitude": "{:.4g}",
    "rise_s": "{:.3g}",
    "decay_s": "{:.3g}",
}
NONE_FOUND = "None found. Choose another kind, detector or preset, or double-click a trace to add an event."
NO_EVENTS = "No events yet. Choose a detector and press Detect, or double-click a trace."


def listed_rows(
    events: Events,
    *,
    class_name: str | None = None,
    verdict: str | None = None,
    sort_by: str = "time_s",
    ascending: bool = True,
) -> NDArray[np.intp]:
    """Return the rows of a table that pass a filter, sorted by a column.

    Parameters
    ----------
    events : (n,) of EVENT_DTYPE or REVIEWED_DTYPE.
    class_name, verdict : of the rows that are kept; None keeps all, the verdict "" those nobody looked at.
    sort_by : a column of the table; times are sorted within their sweeps.
    """
    keep = np.ones(len(events), bool)
    if class_name is not None:
        keep &= events["class"] == class_name
    if verdict is not None:
        keep &= verdicts_of(events) == verdict
    rows = np.flatnonzero(keep)
    values = (verdicts_of(events) if sort_by == "verdict" else events[sort_by])[rows]
    if sort_by == "time_s":
        order = np.lexsort((values, events["sweep"][rows]))
    else:
        order = np.argsort(values, kind="stable")
    return rows[order if ascending else order[::-1]]


def cell_text(events: Events, row: int, column: str) -> str:
    """Return one value of a table of REVIEWED_DTYPE as it is listed: times in ms, amplitudes with their unit."""
    value = events[column][row].item()
    if column in ("verdict", "class"):
        return value or "-"
    if column in ("rise_s", "decay_s"):
        return _FORMATS[column].format(value * 1e3) if np.isfinite(value) else "-"
    if column == "amplitude" and not np.isfinite(value):
        return "-"
    text = _FORMATS[column].format(value)
    return f"{text} {events['unit'][row]}" if column == "amplitude" else text


def describe_events(events: Events, searched: bool = False) -> str:
    """Return how many events of each class there are, and how many were reviewed.

    Parameters
    ----------
    events : of a recording.
    searched : whether a detector looked for them: none found is not the same as not looked for.
    """
    if not len(events):
        return NONE_FOUND if searched else NO_EVENTS
    names, counts = np.unique(events["class"], return_counts=True)
    each = ", ".join(f"{n} {name}" for name, n in zip(names, counts, strict=True))
    looked = int(np.count_nonzero(verdicts_of(events) != ""))
    return f"{len(events)} events: {each}. {looked} reviewed."


def describe_event(event: np.void) -> str:
    """Return class, direction, score, verdict, time and amplitude of one event, and why something is empty."""
    names = event.dtype.names or ()
    verdict = "verdict" in names and event["verdict"]
    direction = f" {event['direction']}" if "direction" in names and event["direction"] else ""
    reason = f"\n{event['reason']}" if "reason" in names and event["reason"] else ""
    return (
        f"{event['class']}{direction}, score {event['score']:.2f}, {verdict or 'not reviewed'}\n"
        f"{event['time_s']:.5f} s, {event['amplitude']:.4g} {event['unit']}{reason}"
    )


def followed_rows(before: Events, after: Events, rows: Sequence[int]) -> list[int]:
    """Return where rows of a table stand in the table after an edit, so that a selection follows its events.

    A row that was changed (moved, judged) is followed to what it became. Where a row was deleted, the one that
    took its place is returned. Rows that are not there in any form are left out.

    Parameters
    ----------
    before, after : (n,) and (m,) tables of one dtype.
    rows : of `before`.
    """
    if before is after or not len(rows) or before.dtype != after.dtype:
        return [row for row in rows if row < len(after)]
    old, new = (np.ascontiguousarray(t).view(np.uint8).reshape(len(t), t.itemsize) for t in (before, after))
    n = min(len(old), len(new))
    differ = np.flatnonzero((old[:n] != new[:n]).any(axis=1))
    head = int(differ[0]) if len(differ) else n
    differ = np.flatnonzero((old[len(old) - n :] != new[len(new) - n :]).any(axis=1)[head:])
    tail = n - head - 1 - int(differ[-1]) if len(differ) else n - head
    places = {new[i].tobytes(): i for i in range(head, len(new) - tail)}
    kept = {i: places.pop(old[i].tobytes(), None) for i in range(head, len(old) - tail)}
    gone, came = [i for i, place in kept.items() if place is None], sorted(places.values())
    followed = set()
    for row in rows:
        if row < head:
            place: int | None = row
        elif row >= len(old) - tail:
            place = row + len(new) - len(old)
        elif kept[row] is not None:
            place = kept[row]
        elif len(came) == len(gone):
            place = came[gone.index(row)]
        else:
            place = min(row, len(new) - 1) if not came and len(new) else None
        if place is not None:
            followed.add(place)
    return sorted(followed)
