"""What was done can be taken back, again and again, and nothing is forgotten on the way."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.session.history import CallAction, History
from napari_biofm.types import SessionError


class Counter:
    def __init__(self) -> None:
        self.value = 0

    def add(self, n: int) -> CallAction:
        def change(by: int) -> None:
            self.value += by

        return CallAction(f"add {n}", lambda: change(n), lambda: change(-n), {"n": n})


def test_undo_and_redo_walk_back_and_forth() -> None:
    counter, history = Counter(), History()
    for n in (1, 10, 100):
        history.do(counter.add(n))
    assert counter.value == 111
    assert history.undo() == "add 100"
    assert history.undo_name == "add 10"
    assert history.undo() == "add 10"
    assert counter.value == 1
    assert history.redo() == "add 10"
    assert counter.value == 11
    assert history.can_redo


def test_a_new_action_after_an_undo_forgets_no_branch() -> None:
    counter, history = Counter(), History()
    history.do(counter.add(1))
    history.do(counter.add(10))
    history.undo()
    history.do(counter.add(100))
    assert counter.value == 101
    seen = [counter.value]
    while history.undo():
        seen.append(counter.value)
    assert seen == [101, 1, 11, 1, 0]


def test_nothing_to_undo_is_no_error() -> None:
    history = History()
    assert history.undo() == ""
    assert history.redo() == ""
    assert history.undo_name == ""


def test_the_log_tells_every_action_and_undo() -> None:
    counter, history = Counter(), History()
    rows: list[dict[str, object]] = []
    history.recorded.connect(rows.append)
    history.do(counter.add(1))
    history.undo()
    history.redo()
    assert [row["action"] for row in rows] == ["add 1", "undo add 1", "add 1"]


def test_an_edit_inside_an_edit_is_refused() -> None:
    history = History()
    inner = CallAction("inner", lambda: None, lambda: None)
    with pytest.raises(SessionError, match="inner"):
        history.do(CallAction("outer", lambda: history.do(inner), lambda: None))


def test_the_oldest_actions_go_first() -> None:
    counter, history = Counter(), History(limit=3)
    for _ in range(5):
        history.do(counter.add(1))
    while history.undo():
        pass
    assert counter.value == 2


def test_a_random_walk_ends_where_a_replay_of_the_log_ends() -> None:
    rng = np.random.default_rng(0)
    counter, history = Counter(), History()
    log: list[dict[str, object]] = []
    history.recorded.connect(log.append)
    for _ in range(500):
        choice = rng.random()
        if choice < 0.5:
            history.do(counter.add(int(rng.integers(1, 9))))
        elif choice < 0.8:
            history.undo()
        else:
            history.redo()
    replayed = sum((-1 if str(row["action"]).startswith("undo") else 1) * int(str(row["n"])) for row in log)
    assert replayed == counter.value
