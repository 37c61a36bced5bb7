"""Marks: what they say of candidates, and which part of a long recording is looked at."""

from __future__ import annotations

import numpy as np

from napari_biofm.events.physio_fm.marks import APART, MOST, PIECE, Marks, labels, shortened
from napari_biofm.types import Trace

FS = 10e3


def test_places_nobody_judged_teach_nothing() -> None:
    signal, truth = Trace(np.zeros(40_000, np.float32), FS, "pA"), np.array([0.5, 1.4, 2.3, 3.1])
    marks = Marks(signal, truth[:4], rejected_s=np.array([0.9]), open_s=np.array([truth[1] + 0.05]))
    times = np.sort(np.concatenate([truth[:4], [0.9, truth[1] + 0.05, truth[1] + 0.08]]))
    said = dict(zip(times.round(6), labels(times, marks, ["PSC"], 2e-3), strict=True))
    assert all(said[t] == 0 for t in truth[:4].round(6))
    assert said[round(truth[1] + 0.05, 6)] == -2 and said[round(truth[1] + 0.08, 6)] == -1
    assert said[0.9] == -1


def recording(seconds: float) -> Trace:
    """Return a recording whose samples are their own numbers (modulo what float32 holds)."""
    return Trace((np.arange(int(seconds * FS)) % (1 << 20)).astype(np.float32), FS, "pA")


def test_a_short_recording_is_looked_at_as_a_whole() -> None:
    one = Marks(recording(5.0), np.array([1.0, 2.0]))
    assert shortened(one, FS) is one


def test_of_a_long_recording_only_pieces_around_marks_and_some_background_are_read() -> None:
    signal = recording(300.0)
    times = np.linspace(3.0, 290.0, 40)
    one = Marks(
        signal, times, ["a", "b"] * 20, rejected_s=np.array([100.003]), open_s=np.array([times[3] + 0.01])
    )
    few = shortened(one, FS)
    x = np.asarray(few.signal.values)
    assert len(x) <= MOST + PIECE and np.isnan(x).any()
    assert len(few.time_s) == 40 and list(few.names) == ["a", "b"] * 20
    assert (np.diff(few.time_s) > 0).all()
    before = np.round(times * FS).astype(int) % (1 << 20)
    np.testing.assert_allclose(x[np.round(few.time_s * FS).astype(int)], before, atol=1)
    np.testing.assert_allclose(x[np.round(few.rejected_s * FS).astype(int)], [1_000_030 % (1 << 20)], atol=1)
    assert len(few.open_s) == 1 and abs(few.open_s[0] - few.time_s[3] - 0.01) < 1e-9
    inside = np.zeros(len(x), bool)
    for a, b in few.spans:
        inside[round(a * FS) : round(b * FS)] = True
    assert not inside[np.isnan(x)].any()
    assert inside.sum() > 0.9 * np.isfinite(x).sum() - PIECE
    assert np.isnan(x).sum() >= 10 * APART


def test_pieces_are_the_same_every_time_and_longer_at_a_coarser_time_scale() -> None:
    one = Marks(recording(300.0), np.linspace(3.0, 290.0, 10))
    again, coarse = shortened(one, FS), shortened(one, FS / 4)
    np.testing.assert_array_equal(shortened(one, FS).signal.values, again.signal.values)
    assert len(coarse.signal.values) > 3 * len(again.signal.values)
