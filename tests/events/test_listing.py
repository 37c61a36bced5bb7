"""Which events a list shows, in which order."""

from __future__ import annotations

import numpy as np

from napari_biofm.events.listing import (
    COLUMNS,
    NO_EVENTS,
    cell_text,
    describe_event,
    describe_events,
    followed_rows,
    listed_rows,
)
from napari_biofm.events.review import delete_events, judge_events, move_event
from napari_biofm.events.reviewed import reviewed
from napari_biofm.signals import Recording
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


def test_a_moved_event_is_followed_to_where_it_is_sorted() -> None:
    recording = Recording.from_arrays(np.zeros((3, 1000)), 1000.0, "pA")
    before = _events()[[2, 1, 0, 3]]
    change = move_event(before, recording, 0, 0.9)
    after = change.applied(before)
    assert followed_rows(before, after, [0]) == [1], "it was moved behind its neighbour"
    assert followed_rows(before, after, [1, 3]) == [0, 3]
    assert followed_rows(after, change.reversed().applied(after), [1]) == [0]


def test_judged_events_stay_selected_and_after_a_deletion_the_next_one_is() -> None:
    before = _events()[[2, 1, 0, 3]]
    judged = judge_events(before, [1, 2], "reject").applied(before)
    assert followed_rows(before, judged, [1, 2]) == [1, 2]
    deleted = delete_events(before, [1]).applied(before)
    assert followed_rows(before, deleted, [1]) == [1] and followed_rows(before, deleted, [3]) == [2]
    assert followed_rows(before, before[:0], [1]) == []
    assert followed_rows(deleted, before, [1]) == [2], "the event itself when the deletion is taken back"


def test_nothing_is_selected_where_other_events_were_found() -> None:
    before, after = _events(), _events()[:3].copy()
    after["time_s"] += 0.01
    assert followed_rows(before, after, [0]) == []


def test_values_are_listed_with_the_digits_and_units_people_read() -> None:
    events = _events()
    events["amplitude"], events["unit"], events["rise_s"], events["decay_s"] = -12.3456, "pA", 1.5e-3, np.nan
    row = {column: cell_text(events, 0, column) for _, column in COLUMNS}
    assert (row["time_s"], row["amplitude"], row["rise_s"], row["decay_s"]) == (
        "0.10000",
        "-12.35 pA",
        "1.5",
        "-",
    )
    assert (row["verdict"], cell_text(events, 1, "verdict"), row["class"]) == ("accept", "-", "EPSC")


def test_what_cannot_be_measured_says_why_in_the_list() -> None:
    events = reviewed(_events()).copy()
    events["amplitude"][0], events["reason"][0], events["direction"][1] = np.nan, "gap in the trace", "inward"
    assert cell_text(events, 0, "amplitude") == "-"
    assert describe_event(events[0]).endswith("gap in the trace")
    assert describe_event(events[1]).startswith("EPSC inward, score 0.60")
