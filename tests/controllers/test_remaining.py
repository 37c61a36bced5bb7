"""The time a job still needs."""

from __future__ import annotations

import pytest

from napari_biofm.controllers.common.remaining import Remaining
from napari_biofm.types import Progress


def told(steps: list[tuple[float, int, int]]) -> list[str]:
    now = [0.0]
    remaining = Remaining(lambda: now[0])
    words = []
    for seconds, done, total in steps:
        now[0] = seconds
        words.append(remaining.words(Progress(done, total, "")))
    return words


def test_it_is_told_from_the_pace_once_there_are_steps_and_seconds() -> None:
    assert told([(0, 0, 100), (1, 10, 100), (10, 50, 100)]) == ["", "", ", about 10 s left"]
    assert told([(0, 0, 100), (60, 2, 100)])[-1] == ", about 49 min left"


@pytest.mark.parametrize("steps", [[(0, 0, 5), (9, 5, 5)], [(0, 0, 5), (9, 1, 5)], [(0, 0, 0), (9, 0, 0)]])
def test_it_is_not_told_at_the_end_or_from_one_step(steps: list[tuple[float, int, int]]) -> None:
    assert told(steps)[-1] == ""


def test_a_second_part_of_a_job_begins_anew() -> None:
    assert told([(0, 0, 10), (10, 9, 10), (11, 0, 40), (21, 20, 40)]) == [
        "",
        ", about 1 s left",
        "",
        ", about 10 s left",
    ]
