"""What was done can be taken back, again and again, and nothing is forgotten on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_biofm.actions.history import History
from napari_biofm.images.edit.labels_edit import undone
from napari_biofm.types import SessionError


@dataclass(frozen=True)
class Add:
    """A number added to a counter: the smallest action there is."""

    kind: ClassVar[str] = "add"
    n: int
    name: str = "add"
    nbytes: int = 8

    def apply(self, state: Counter) -> None:
        if state.value + self.n < 0:
            raise SessionError("the counter would be below zero.")
        state.value += self.n

    def inverse(self) -> Add:
        return Add(-self.n, undone(self.name), self.nbytes)

    def record(self) -> dict[str, object]:
        return {"kind": self.kind, "action": self.name, "n": self.n}


class Counter:
    def __init__(self) -> None:
        self.value = 0


def add(n: int, nbytes: int = 8) -> Add:
    return Add(n, f"add {n}", nbytes)


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def history(counter: Counter) -> History:
    return History(counter)


def test_undo_and_redo_walk_back_and_forth(counter: Counter, history: History) -> None:
    for n in (1, 10, 100):
        history.do(add(n))
    assert counter.value == 111
    assert history.undo() == "add 100"
    assert history.undo_name == "add 10"
    assert history.redo_name == "add 100"
    assert history.undo() == "add 10"
    assert counter.value == 1
    assert history.redo() == "add 10"
    assert counter.value == 11
    assert history.can_redo


def test_a_new_action_after_an_undo_forgets_no_branch(counter: Counter, history: History) -> None:
    history.do(add(1))
    history.do(add(10))
    history.undo()
    history.do(add(100))
    assert counter.value == 101
    seen = [counter.value]
    while history.undo():
        seen.append(counter.value)
    assert seen == [101, 1, 11, 1, 0]


def test_nothing_to_undo_is_no_error(history: History) -> None:
    assert history.undo() == ""
    assert history.redo() == ""
    assert history.undo_name == ""


def test_the_log_tells_every_action_and_undo(history: History) -> None:
    rows: list[dict[str, object]] = []
    history.recorded.connect(rows.append)
    history.do(add(1))
    history.undo()
    history.redo()
    assert [row["action"] for row in rows] == ["add 1", "undo add 1", "add 1"]


def test_an_edit_inside_an_edit_is_refused(history: History) -> None:
    class Outer(Add):
        def apply(self, state: Counter) -> None:
            history.do(add(1))

    with pytest.raises(SessionError, match="add 1"):
        history.do(Outer(1, "outer"))
    assert len(history) == 0


def test_the_oldest_actions_go_first(counter: Counter) -> None:
    history = History(counter, max_actions=3)
    for _ in range(5):
        history.do(add(1))
    while history.undo():
        pass
    assert counter.value == 2


def test_memory_is_bounded_and_the_last_action_stays(counter: Counter) -> None:
    history = History(counter, max_bytes=100)
    for _ in range(50):
        history.do(add(1, nbytes=30))
    assert len(history) == 3
    assert history.nbytes == 90
    history.do(add(1, nbytes=1000))
    assert len(history) == 1
    assert history.undo() == "add 1"


def test_an_undo_that_no_longer_fits_is_left_out_and_told(counter: Counter, history: History) -> None:
    told: list[str] = []
    history.skipped.connect(told.append)
    history.do(add(1))
    history.do(add(10))
    counter.value = 2  # something outside the history
    assert history.undo() == ""
    assert told == ["'add 10' could not be undone and was left out: the counter would be below zero."]
    assert history.undo() == "add 1"
    assert counter.value == 1
    assert not history.can_undo


def test_a_redo_that_no_longer_fits_is_left_out_and_told(counter: Counter, history: History) -> None:
    told: list[str] = []
    history.skipped.connect(told.append)
    history.do(add(5))
    history.do(add(-5))
    history.undo()
    history.undo()
    assert history.redo() == "add 5"
    counter.value = 4
    assert history.redo() == ""
    assert len(told) == 1 and "done again" in told[0]
    assert not history.can_redo
    counter.value = 5
    assert history.undo() == "add 5"


def test_an_action_that_does_not_fit_is_not_remembered(counter: Counter, history: History) -> None:
    with pytest.raises(SessionError, match="below zero"):
        history.do(add(-1))
    assert counter.value == 0
    assert not history.can_undo


@settings(deadline=None)
@given(st.lists(st.integers(-3, 9), max_size=60))
def test_any_walk_ends_where_a_replay_of_its_log_ends_and_can_be_undone(steps: list[int]) -> None:
    counter = Counter()
    history = History(counter)
    log: list[dict[str, object]] = []
    history.recorded.connect(log.append)
    for n in steps:
        if n <= -2:
            history.undo()
        elif n <= 0:
            history.redo()
        else:
            history.do(add(n))
    assert sum(int(str(row["n"])) for row in log) == counter.value
    while history.undo():
        pass
    assert counter.value == 0
