"""Found events are matched with true ones: every true event counts once, the surest finding first."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_biofm.events.evaluation import best_f1, f1_curve, match_events

TIMES = st.lists(st.floats(0, 10, width=32), max_size=12)


def test_two_findings_of_one_event_count_once_and_the_surer_one_counts() -> None:
    hit = match_events(np.array([1.0, 2.0]), np.array([1.02, 0.99, 5.0]), np.array([0.5, 0.9, 1.0]), 0.05)
    assert hit.tolist() == [False, True, False]


def test_a_finding_takes_the_nearest_event_that_is_free() -> None:
    truth = np.array([1.0, 1.1])
    assert match_events(truth, np.array([1.06, 1.07]), np.array([0.9, 0.8]), 0.2).all()
    assert match_events(truth, np.zeros(0), np.zeros(0), 0.2).shape == (0,)
    assert not match_events(np.zeros(0), truth, np.ones(2), 0.2).any()


@given(TIMES, TIMES)
def test_no_matching_finds_more_than_there_is_and_a_wider_tolerance_finds_all_of_itself(
    truth: list[float], found: list[float]
) -> None:
    true, times = np.sort(truth), np.array(found)
    hit = match_events(true, times, np.ones(len(times)), 0.5)
    assert hit.sum() <= min(len(true), len(times))
    assert match_events(true, true, np.ones(len(true)), 1e-3).sum() == len(true)


def test_the_best_f1_is_that_of_the_curve() -> None:
    score, true = np.array([0.9, 0.2, 0.7]), np.array([True, False, True])
    threshold, f1 = f1_curve(score, true, 2)
    assert threshold.tolist() == [0.9, 0.7, 0.2] and f1.tolist() == [2 / 3, 1.0, 0.8]
    assert best_f1(score, true, 2) == 1.0 and best_f1(np.zeros(0), np.zeros(0, bool), 3) == 0.0
