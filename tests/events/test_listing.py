"""Which events a list shows, in which order."""

from __future__ import annotations

import numpy as np

from napari_biofm.events.listing import NO_EVENTS, describe_events, listed_rows
from napari_biofm.events.reviewed import reviewed
from napari_biofm.types import EVENT_DTYPE, Events, no_events


def _events() -> Events:
    events = np.zeros(4, EVENT_DTYPE)
    events["sweep"], events["time_s"] = [1, 0, 0, 2], [0.1, 0.5, 0.2, 0.3]
    events["class"], events["score"] = ["EPSC", "EPSC", "IPSC", "EPSC"], [0.9, 0.6, 0.8, 0.7]
    return reviewed(events, ["accept", "", "reject", ""])


def test_times_are_sorted_within_their_sweeps() -> None:
    assert listed_rows(_events()).tolist() == [2, 1, 0, 3]
    assert listed_rows(_events(), ascending=False).tolist() == [3, 0, 1, 2]


def test_any_column_sorts_and_class_and_verdict_filter() -> None:
    assert listed_rows(_events(), sort_by="score").tolist() == [1, 3, 2, 0]
    assert listed_rows(_events(), sort_by="verdict").tolist() == [1, 3, 0, 2]
    assert listed_rows(_events(), class_name="EPSC", sort_by="score").tolist() == [1, 3, 0]
    assert listed_rows(_events(), class_name="EPSC", verdict="").tolist() == [1, 3]
    assert listed_rows(no_events(), verdict="accept").tolist() == []


def test_a_table_is_told_in_words() -> None:
    assert describe_events(_events()) == "4 events: 3 EPSC, 1 IPSC. 2 reviewed."
    assert describe_events(no_events()) == NO_EVENTS
