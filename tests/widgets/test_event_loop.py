"""Work that is done a little per turn of the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtWidgets import QApplication

from napari_biofm.widgets.common.event_loop import EventLoopTask


@pytest.fixture
def done() -> list[str]:
    return []


def counting(seen: list[int], n: int = 4) -> Iterator[int]:
    for k in range(n):
        seen.append(k)
        yield k


def test_one_step_is_done_in_each_turn_and_then_the_end_is_told(qtbot: Any, done: list[str]) -> None:
    task, seen, told = EventLoopTask(), [], []
    task.progressed.connect(told.append)
    task.start(counting(seen), lambda: done.append("end"))
    assert task.is_busy and seen == [], "nothing is done before the event loop turns"
    qtbot.waitUntil(lambda: not task.is_busy)
    assert seen == told == [0, 1, 2, 3] and done == ["end"]


def test_a_slice_holds_many_steps_and_tells_the_last(qtbot: Any, done: list[str]) -> None:
    task, seen, told = EventLoopTask(slice_s=60.0), [], []
    task.progressed.connect(told.append)
    task.start(counting(seen), lambda: done.append("end"))
    qtbot.waitUntil(lambda: done == ["end"])
    assert seen == [0, 1, 2, 3] and told == [], "all in one turn, at whose end nothing is left to tell"


def test_new_steps_take_the_place_of_those_left(qtbot: Any, done: list[str]) -> None:
    task, former, later = EventLoopTask(), [], []
    task.start(counting(former), lambda: done.append("former"))
    task.start(counting(later, 2), lambda: done.append("later"))
    qtbot.waitUntil(lambda: not task.is_busy)
    assert former == [] and later == [0, 1] and done == ["later"]


def test_what_is_left_is_finished_at_once_or_dropped(qtbot: Any, done: list[str]) -> None:
    task, seen = EventLoopTask(), []
    task.start(counting(seen), lambda: done.append("end"))
    task.finish()
    assert seen == [0, 1, 2, 3] and done == ["end"] and not task.is_busy
    task.start(counting(seen), lambda: done.append("never"))
    task.stop()
    QApplication.processEvents()
    assert seen == [0, 1, 2, 3] and done == ["end"]


def test_steps_may_start_others_in_their_place(qtbot: Any, done: list[str]) -> None:
    task, seen = EventLoopTask(slice_s=60.0), []

    def replaced() -> Iterator[None]:
        task.start(counting(seen), lambda: done.append("other"))
        yield
        done.append("too far")

    task.start(replaced(), lambda: done.append("first"))
    qtbot.waitUntil(lambda: not task.is_busy)
    assert seen == [0, 1, 2, 3] and done == ["other"]


def test_a_step_that_fails_ends_the_work_with_its_error(qtbot: Any, done: list[str]) -> None:
    def failing() -> Iterator[None]:
        yield
        raise ValueError("a step failed")

    task = EventLoopTask()
    with qtbot.captureExceptions() as raised:
        task.start(failing(), lambda: done.append("end"))
        qtbot.waitUntil(lambda: not task.is_busy)
    assert [str(error) for _, error, _ in raised] == ["a step failed"] and done == []
