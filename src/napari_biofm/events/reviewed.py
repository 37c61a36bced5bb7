"""Events as a session keeps them: what was detected, what a person said of each, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.table import as_dtype
from napari_biofm.types import MEASURED_DTYPE, Events

VERDICTS = ("accept", "unclear", "reject")

# `verdict` is "" where nobody looked yet; `class_before` is the class of an event before it was rejected.
REVIEWED_DTYPE = np.dtype([*MEASURED_DTYPE.descr, ("verdict", "U8"), ("class_before", "U12")])
BY_HAND = "by_hand"  # in the provenance: how many edits of each kind were made by hand


def reviewed(events: Events, verdicts: Sequence[str] = (), classes_before: Sequence[str] = ()) -> Events:
    """Return a table with the columns of a review.

    Parameters
    ----------
    events : (n,) of EVENT_DTYPE, MEASURED_DTYPE or REVIEWED_DTYPE.
    verdicts, classes_before : one per event; what is not given stays as it is in `events`, or is "".

    Returns
    -------
    (n,) of REVIEWED_DTYPE; `events` itself where nothing has to change.
    """
    if events.dtype == REVIEWED_DTYPE and not len(verdicts) and not len(classes_before):
        return events
    table = as_dtype(events, REVIEWED_DTYPE).copy()
    if len(verdicts):
        table["verdict"] = np.asarray(verdicts, "U8")
    if len(classes_before):
        table["class_before"] = np.asarray(classes_before, "U12")
    return table


def verdicts_of(events: Events) -> NDArray[np.str_]:
    """Return one verdict per event, "" where nobody looked yet or the table has no such column."""
    if "verdict" in (events.dtype.names or ()):
        return np.asarray(events["verdict"])
    return np.zeros(len(events), "U8")


def _none() -> Events:
    return np.zeros(0, REVIEWED_DTYPE)


@dataclass(frozen=True, eq=False)
class EventTable:
    """The events of one recording; never changed in place.

    Attributes
    ----------
    events : (n,) of REVIEWED_DTYPE, sorted by sweep, time and channel.
    provenance : detector, settings, versions; JSON-able. Empty where nothing was detected yet.
    """

    events: Events = field(default_factory=_none)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def same_rows(a: Events, b: Events) -> bool:
    """Return whether two tables are equal, NaN counted as equal."""
    if len(a) != len(b):
        return False
    for name in REVIEWED_DTYPE.names or ():
        floats = a[name].dtype.kind == "f"
        if not np.array_equal(a[name], b[name], equal_nan=floats):
            return False
    return True


def upgrade(events: Events, provenance: Mapping[str, Any]) -> EventTable:
    """Return the table of a session written by 0.1, which kept verdicts in lists of the provenance."""
    n = len(events)
    stored = {key: provenance.get(key) for key in ("review", "was")}
    lists = {key: [str(v) for v in value] for key, value in stored.items() if isinstance(value, list | tuple)}
    fitting = {key: value for key, value in lists.items() if len(value) == n}
    rest = {key: value for key, value in provenance.items() if key not in stored}
    return EventTable(reviewed(events, fitting.get("review", ()), fitting.get("was", ())), rest)
