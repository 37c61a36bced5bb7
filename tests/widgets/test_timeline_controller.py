"""What the timeline knows without a window: cells, events and links in play."""

import dataclasses

import numpy as np

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.links import Link
from napari_biofm.selection import CellKey
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE

MASKS = np.zeros((20, 30), np.int32)
MASKS[2:8, 2:8], MASKS[10:16, 20:26] = 3, 7


class Layers:
    """Layers by their ids."""

    known = {"movie": np.zeros((5, 20, 30)), "cells": MASKS}

    def layer(self, uid):
        return self.known.get(uid)

    def part(self, uid):
        return ""

    def label_planes(self, uid):
        yield self.known[uid]

    def label_plane(self, uid):
        return self.known[uid]

    def label_at(self, uid, position, view_direction, displayed):
        return int(self.known[uid][position])


def controller():
    session = Session()
    session.add_recording(Recording.from_arrays(np.zeros(1000), 1000.0, "mV"), "patch")
    session.add_recording(Recording.from_arrays(np.zeros((2, 5)), 10.0, "dF/F", labels=[3, 7]), "traces")
    for uid, times in (("patch", [0.1, 0.2, 0.3]), ("traces", [0.2])):
        events = np.zeros(len(times), EVENT_DTYPE)
        events["time_s"], events["class"], events["channel"] = times, "AP", 0
        session.set_events(uid, events, {})
    session.link(Link("patch", 0, CellKey("cells", 7)))
    made = TimelineController(session, Layers())
    for which, uid in (("movie", "movie"), ("labels", "cells"), ("recording", "patch")):
        made.choose(which, uid)
    return made


def test_what_is_missing_is_said_in_the_order_it_is_needed():
    made = controller()
    assert "no clock" in made.lacks()
    made.session.set_clock("movie", Clock.from_rate(5, 10.0, recording="patch"))
    assert made.lacks() == "" and made.span == (0.0, 0.5)
    made.choose("labels", None)
    assert "labels layer" in made.lacks() and made.centres() == {} and made.label_plane().shape == (0, 0)


def test_events_of_cells_come_from_links_and_from_traces():
    made = controller()
    assert made.linked_cells() == {"patch": {0: 7}}
    assert sorted(made.events().labels.tolist()) == [3, 7, 7, 7]
    assert made.population().labels.tolist() == [3], "spikes do not make a cell's calcium busier"
    assert len(made.events_of([7])) == 3 and len(made.events_of([3])) == 1
    assert made.traces() is made.recordings["traces"] and made.recording is made.recordings["patch"]


def test_cells_are_where_their_pixels_are_until_somebody_paints():
    made = controller()
    heard = []
    made.cells_moved.connect(lambda: heard.append("cells"))
    assert made.centres()[3] == (4.5, 4.5) and made.cell_at((12, 22)) == CellKey("cells", 7)
    assert made.cell_at((0, 0)) is None
    version = made.version
    made.pixels_changed()
    assert made.version == version + 1 and heard == ["cells"]
    assert made.table().obs["label"].tolist() == [3, 7]


def test_traces_and_events_belong_to_their_movie_and_their_masks():
    session = Session()
    made = TimelineController(session, Layers())
    for movie, masks, time in (("movie", "cells", 0.1), ("movie 2", "cells 2", 0.3)):
        session.set_clock(movie, Clock.from_rate(5, 10.0, offset=0.0 if movie == "movie" else 100.0))
        traces = Recording.from_arrays(np.zeros((2, 5)), 10.0, "dF/F", labels=[3, 7])
        traces = dataclasses.replace(traces, measured_on=MeasuredOn(movie, masks))
        events = np.zeros(1, EVENT_DTYPE)
        events["time_s"], events["class"] = time, "calcium"
        for _ in range(2):
            uid = session.put_traces(traces, f"{movie} traces", events, {"detector": "default"})
        assert session.recordings[uid].events["time_s"].tolist() == [time], "measured twice, counted once"
    assert len(session.recordings) == 2
    made.choose("movie", "movie")
    made.choose("labels", "cells")
    assert made.events().seconds.tolist() == [0.1] and made.traces() is made.recordings["movie traces"]
    made.layers.known = {**Layers.known, "movie 2": np.zeros((5, 20, 30)), "cells 2": MASKS}
    made.choose("movie", "movie 2")
    made.choose("labels", "cells 2")
    assert made.events().seconds.tolist() == [100.3] and made.traces() is made.recordings["movie 2 traces"]


def test_cells_of_labels_with_a_time_axis_are_where_they_are_shown_or_were_seen():
    class Moving(Layers):
        def label_planes(self, uid):
            yield np.roll(MASKS, 5, axis=1)
            yield np.where(MASKS == 3, 0, MASKS)

    made = TimelineController(Session(), Moving())
    made.choose("labels", "cells")
    assert made.centres()[3] == (4.5, 9.5) and made.centres()[7] == controller().centres()[7]
