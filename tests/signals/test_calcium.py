"""Traces of cells are what was put into the movie, whatever holds the movie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import read_recording
from napari_biofm.signals.calcium import TraceSettings, extract_traces, neuropil_masks
from napari_biofm.types import Progress, RecordingError, run_task

RATE = 20.0
N_FRAMES = 600


def _masks() -> np.ndarray:
    labels = np.zeros((64, 72), np.int32)
    for label, (y, x) in {3: (16, 16), 7: (16, 44), 9: (44, 30)}.items():
        yy, xx = np.ogrid[:64, :72]
        labels[(yy - y) ** 2 + (xx - x) ** 2 <= 25] = label
    return labels


def _movie(labels: np.ndarray, transients: dict[int, list[int]]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return a movie (T, Y, X) and the dF/F put into each cell."""
    rng = np.random.default_rng(5)
    time = np.arange(N_FRAMES) / RATE
    neuropil = 20 + 5 * np.sin(2 * np.pi * time / 3)
    truth = {}
    movie = np.repeat(neuropil[:, None, None], 64 * 72, axis=1).reshape(N_FRAMES, 64, 72)
    for label, starts in transients.items():
        dff = np.zeros(N_FRAMES)
        for start in starts:
            dff[start:] += 0.8 * np.exp(-(time[start:] - time[start]) / 0.6)
        movie[:, labels == label] += (100 * (1 + dff))[:, None]
        truth[label] = dff
    return (movie + rng.normal(0, 2, movie.shape)).astype(np.float32), truth


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return _masks()


@pytest.fixture(scope="module")
def made(labels: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    return _movie(labels, {3: [100, 300], 7: [200], 9: []})


def test_transients_come_out_with_their_height_and_without_the_neuropil(labels, made) -> None:
    movie, truth = made
    traces = run_task(extract_traces(movie, labels, RATE, TraceSettings(neuropil_factor=1.0, window=10)))
    assert traces.labels.tolist() == [3, 7, 9]
    for row, label in enumerate((3, 7, 9)):
        assert np.abs(traces.dff[row] - truth[label]).mean() < 0.04
    assert traces.dff[0, 101] > 0.6 and np.abs(traces.dff[2]).max() < 0.12
    assert traces.dff.dtype == np.float32 and traces.dff.shape == (3, N_FRAMES)


def test_raw_and_neuropil_are_plain_means(labels, made) -> None:
    movie, _ = made
    traces = run_task(extract_traces(movie, labels, RATE))
    np.testing.assert_allclose(traces.raw[1], movie[:, labels == 7].mean(axis=1), rtol=1e-4)
    assert np.abs(traces.neuropil[0] - (20 + 5 * np.sin(2 * np.pi * np.arange(N_FRAMES) / 60))).max() < 1.5


def test_an_annulus_keeps_clear_of_every_cell(labels) -> None:
    annuli = neuropil_masks(labels, np.array([3, 7, 9]), inner=2, outer=9)
    for annulus in annuli:
        assert len(annulus) > 50 and (labels.ravel()[annulus] == 0).all()


@pytest.mark.parametrize("kind", ["dask", "zarr", "memmap"])
def test_the_movie_may_lie_anywhere(kind: str, labels, made, tmp_path: Path) -> None:
    movie, _ = made
    if kind == "dask":
        lazy = pytest.importorskip("dask.array").from_array(movie, chunks=(50, 64, 72))
    elif kind == "zarr":
        lazy = pytest.importorskip("zarr").array(movie, chunks=(40, 64, 72))
    else:
        np.save(tmp_path / "movie.npy", movie)
        lazy = np.load(tmp_path / "movie.npy", mmap_mode="r")
    expected = run_task(extract_traces(movie, labels, RATE))
    np.testing.assert_allclose(run_task(extract_traces(lazy, labels, RATE)).dff, expected.dff, atol=1e-4)


def test_the_movie_is_never_read_whole(labels, made, monkeypatch: pytest.MonkeyPatch) -> None:
    movie, _ = made
    monkeypatch.setattr("napari_biofm.signals.calcium.extract._CHUNK_BYTES", 4 * 64 * 72 * 25)
    asked = []

    class Movie:
        shape = movie.shape

        def __getitem__(self, span: slice) -> np.ndarray:
            asked.append(span.stop - span.start)
            return movie[span]

    task = extract_traces(Movie(), labels, RATE)
    step = next(one for one in task if one.done)
    assert isinstance(step, Progress) and (step.done, step.total) == (25, N_FRAMES)
    task.close()  # cancelled
    assert asked[-1] == 25 and set(asked[:-1]) == {2} and sum(asked[:-1]) <= 48  # after a first look


def test_bleaching_is_divided_out_when_asked_and_warned_of_otherwise(labels, made) -> None:
    movie, _ = made
    faded = movie * np.exp(-np.arange(N_FRAMES) / 500)[:, None, None]
    plain = run_task(extract_traces(faded, labels, RATE))
    assert any("bleaching" in warning for warning in plain.warnings)
    corrected = run_task(extract_traces(faded, labels, RATE, TraceSettings(correct_bleaching=True)))
    assert corrected.bleaching[-1] == pytest.approx(np.exp(-1.2), rel=0.15)
    assert corrected.dff[1, 202] == pytest.approx(0.7, abs=0.2)


def test_motion_is_warned_of(labels, made, monkeypatch: pytest.MonkeyPatch) -> None:
    movie, _ = made
    monkeypatch.setattr("napari_biofm.signals.calcium.extract._CHUNK_BYTES", 4 * 64 * 72 * 50)
    moved = movie.copy()
    moved[300:] = np.roll(moved[300:], (5, 3), axis=(1, 2))
    traces = run_task(extract_traces(moved, labels, RATE))
    np.testing.assert_allclose(traces.shifts[-1], [5, 3], atol=0.2)
    assert any("moves by up to 5." in warning for warning in traces.warnings), traces.warnings
    assert not any("moves" in one for one in run_task(extract_traces(movie, labels, RATE)).warnings)


def test_what_is_saved_is_read_as_cells(labels, made, tmp_path: Path) -> None:
    traces = run_task(extract_traces(made[0], labels, RATE))
    path = tmp_path / "traces.npz"
    traces.save(path)
    with np.load(path) as stored:
        assert {"labels", "dff", "raw", "neuropil", "frame_rate", "zscore", "f0_trusted"} <= set(stored.files)
    recording = read_recording(path)
    assert recording.is_cells and recording.labels.tolist() == [3, 7, 9]
    np.testing.assert_array_equal(recording.values(0, 2), traces.dff[2])
    assert not list(tmp_path.glob("*.partial*"))


def test_masks_that_do_not_fit_are_refused(labels) -> None:
    with pytest.raises(RecordingError, match="the movie must be"):
        run_task(extract_traces(np.zeros((5, 10, 10)), labels, RATE))
    with pytest.raises(RecordingError, match="no cells"):
        run_task(extract_traces(np.zeros((5, 64, 72)), np.zeros_like(labels), RATE))
