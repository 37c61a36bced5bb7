"""A session is one evented object per viewer; two viewers never mix."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from napari_biofm.engine import InlineEngine, probe
from napari_biofm.session import CellKey, Link, Session, session_of
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE, Segmentation, SessionError


class FakeViewer:
    pass


class Proxy:
    def __init__(self, wrapped: FakeViewer) -> None:
        self.__wrapped__ = wrapped


def recording(name: str = "trace") -> Recording:
    return Recording.from_arrays(np.zeros(100, np.float32), 1000.0, "pA")


def heard(signal: Any) -> list[Any]:
    calls: list[Any] = []
    signal.connect(lambda *values: calls.append(values))
    return calls


def test_a_proxy_and_its_viewer_share_one_session() -> None:
    viewer = FakeViewer()
    assert session_of(Proxy(viewer)) is session_of(viewer)
    assert session_of(Proxy(viewer)) is session_of(Proxy(viewer))


def test_two_viewers_do_not_mix() -> None:
    one, other = FakeViewer(), FakeViewer()
    session_of(one).set_time(3.0)
    assert session_of(other).time_s == 0.0


def test_a_session_goes_with_its_viewer() -> None:
    viewer = FakeViewer()
    gone = weakref.ref(session_of(viewer))
    del viewer
    gc.collect()
    assert gone() is None


def test_a_closed_session_is_silent_and_a_new_one_takes_its_place() -> None:
    viewer = FakeViewer()
    session = session_of(viewer)
    times = heard(session.time_changed)
    closed = heard(session.closed)
    session.close()
    session.close()
    session.set_time(1.0)
    assert times == []
    assert len(closed) == 1
    assert session_of(viewer) is not session


def test_selection_is_shared_and_told_once() -> None:
    session = Session()
    calls = heard(session.selection_changed)
    cells = {CellKey("a", 1), CellKey("a", 2)}
    session.select(cells)
    session.select(list(cells))
    assert session.selection == cells
    assert len(calls) == 1


def test_a_removed_layer_takes_what_was_derived_from_it_and_stops_its_jobs() -> None:
    session = Session(engine=InlineEngine())
    session.set_layers(image="image", labels="labels")
    session.set_segmentation("labels", Segmentation(np.zeros((2, 2), np.int32)))
    session.select([CellKey("labels", 1), CellKey("other", 2)])
    changed = heard(session.layers_changed)
    session.forget_layer("labels")
    assert session.segmentation("labels") is None
    assert session.labels is None
    assert session.image == "image"
    assert session.selection == {CellKey("other", 2)}
    assert len(changed) == 1


def test_recordings_get_names_of_their_own() -> None:
    session = Session()
    first, second = (
        session.add_recording(recording(), "cell3.abf"),
        session.add_recording(recording(), "cell3.abf"),
    )
    assert (first, second) == ("cell3.abf", "cell3.abf [2]")
    session.remove_recording(first)
    assert list(session.recordings) == [second]
    with pytest.raises(SessionError, match=r"No recording 'cell3.abf' is open; open are: cell3.abf \[2\]"):
        session.events(first)


def test_events_are_replaced_as_an_edit_that_can_be_undone() -> None:
    session = Session()
    uid = session.add_recording(recording())
    table = np.zeros(3, EVENT_DTYPE)
    told = heard(session.events_changed)
    session.set_events(uid, table, {"detector": "threshold"})
    assert len(session.events(uid)) == 3
    session.history.undo()
    assert len(session.events(uid)) == 0
    session.history.redo()
    assert len(session.events(uid)) == 3
    assert [call[0] for call in told] == [uid] * 3


def test_a_channel_belongs_to_one_cell() -> None:
    session = Session()
    uid = session.add_recording(recording())
    first, second = (Link(uid, 0, CellKey("labels", n)) for n in (4, 9))
    session.link(first)
    session.link(second)
    assert session.links == {second}
    session.history.undo()
    assert session.links == {first}
    session.unlink(first)
    assert session.links == frozenset()
    session.history.undo()
    assert session.links == {first}


def test_a_channel_that_is_not_there_cannot_be_linked() -> None:
    session = Session()
    uid = session.add_recording(recording())
    with pytest.raises(SessionError, match="Channel 7 .* cannot be linked; it has 0 to"):
        session.link(Link(uid, 7, CellKey("labels", 4)))
    assert session.links == frozenset()


def test_a_clock_can_be_set_and_taken_back() -> None:
    session = Session()
    session.set_clock("movie", Clock.from_rate(10, 20.0))
    assert session.clock("movie") is not None
    session.history.undo()
    assert session.clock("movie") is None


def test_time_is_a_finite_number() -> None:
    session = Session()
    with pytest.raises(SessionError, match="finite"):
        session.set_time(float("nan"))


def test_an_engine_is_made_when_it_is_needed() -> None:
    made: list[InlineEngine] = []

    def factory() -> InlineEngine:
        made.append(InlineEngine())
        return made[-1]

    session = Session(engine_factory=factory)
    assert made == []
    assert session.engine.submit(probe.echo, np.zeros(1)).result().tolist() == [1]
    other = InlineEngine()
    session.use_engine(other)
    assert session.engine is other
