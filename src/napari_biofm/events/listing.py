"""Which rows of an event table a list shows, in which order, and what it holds in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.reviewed import verdicts_of
from napari_biofm.types import Events

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


def describe_events(events: Events) -> str:
    """Return how many events of each class there are, and how many were reviewed."""
    if not len(events):
        return NO_EVENTS
    names, counts = np.unique(events["class"], return_counts=True)
    each = ", ".join(f"{n} {name}" for name, n in zip(names, counts, strict=True))
    looked = int(np.count_nonzero(verdicts_of(events) != ""))
    return f"{len(events)} events: {each}. {looked} reviewed."


def describe_event(event: np.void) -> str:
    """Return the class, score, verdict, time and amplitude of one event, in two lines."""
    verdict = "verdict" in (event.dtype.names or ()) and event["verdict"]
    return (
        f"{event['class']}, score {event['score']:.2f}, {verdict or 'not reviewed'}\n"
        f"{event['time_s']:.5f} s, {event['amplitude']:.4g} {event['unit']}"
    )
