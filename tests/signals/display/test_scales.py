"""Scale bars with round lengths, zoomed ranges, and the way back."""

from __future__ import annotations

import pytest

from napari_biofm.signals.display.scales import ViewHistory, round_length, stretched, with_prefix, zoomed


def test_scale_bars_have_round_lengths() -> None:
    assert [round_length(v) for v in (3.0, 10.0, 0.24)] == [0.5, 2.0, pytest.approx(0.02)]
    assert [with_prefix(v) for v in (2.0, 0.05, 2e-6)] == ["2 s", "50 ms", "2 us"]


def test_a_zoom_leaves_the_point_under_the_mouse_where_it_is() -> None:
    start, stop = zoomed((0.0, 10.0), 2.0, 0.5)
    assert (start, stop) == (1.0, 6.0) and (2.0 - start) / (stop - start) == pytest.approx(0.2)
    assert stretched((0.0, 10.0), 2.0) == (2.5, 7.5)


def test_going_back_skips_views_that_are_the_present_one() -> None:
    first, second = [((0.0, 1.0), (0.0, 5.0))], [((0.2, 0.4), (0.0, 5.0))]
    history = ViewHistory()
    for view in (first, first, second):
        history.remember(view)
    assert len(history) == 2
    assert history.back(second) == first and history.back(first) is None
