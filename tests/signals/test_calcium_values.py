"""Bad frames, dark levels and F0: dF/F is what was put into the movie, or the tool says that it cannot tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.signals.calcium_movies import RATE, Known, gain_and_r, known_movie

from napari_biofm.events.detect import detect_events
from napari_biofm.signals import read_recording
from napari_biofm.signals.calcium import TraceSettings, extract_traces
from napari_biofm.types import RecordingError, run_task


def traces(known: Known, movie: np.ndarray | None = None, **settings):
    return run_task(
        extract_traces(known.movie if movie is None else movie, known.labels, RATE, TraceSettings(**settings))
    )


@pytest.fixture(scope="module")
def plain() -> Known:
    return known_movie(dtype=np.float32)


# ------------------------------------------------------------------ bad frames


def test_frames_without_numbers_are_found_listed_and_left_out_for_all_cells(plain: Known) -> None:
    movie = plain.movie.copy()
    movie[[0, 10, 700]] = np.nan
    movie[300] = np.inf
    found = traces(plain, movie)
    assert found.bad_frames == dict.fromkeys((0, 10, 300, 700), "no numbers")
    assert any("no numbers: 0, 10, 300, 700" in one for one in found.warnings)
    gaps = ~np.isfinite(found.dff)
    assert (gaps.sum(axis=1) == 4).all() and gaps[:, [0, 10, 300, 700]].all()
    gain, r = gain_and_r(found.dff, plain)
    assert 0.98 <= gain <= 1.02 and r > 0.99
    whole = traces(plain)
    good = ~gaps[0]
    np.testing.assert_allclose(found.neuropil[:, good], whole.neuropil[:, good], rtol=1e-4)


def test_short_gaps_are_bridged_and_long_ones_are_not(plain: Known) -> None:
    movie = plain.movie.copy()
    movie[100:103] = np.nan
    movie[400:500] = np.nan
    found = traces(plain, movie, bad_frames="bridge")
    assert np.isfinite(found.dff[:, 100:103]).all() and np.isnan(found.dff[:, 400:500]).all()
    np.testing.assert_allclose(found.raw[0, 101], (found.raw[0, 99] + found.raw[0, 103]) / 2, rtol=1e-5)
    with pytest.raises(RecordingError, match="choose one of exclude, bridge, keep"):
        TraceSettings(bad_frames="drop")  # type: ignore[arg-type]


def test_black_saturated_and_torn_frames_are_told_apart(plain: Known) -> None:
    movie = np.clip(plain.movie + 10, 0, 4095).astype(np.uint16)
    movie[50:54] = 10
    movie[200] = 4095
    movie[600, 40:] = 10
    found = traces(plain, movie, dark_level=10)
    assert found.bad_frames == {**dict.fromkeys(range(50, 54), "black"), 200: "saturated", 600: "torn"}
    assert np.nanmin(found.dff) > -0.8, "a black frame is no dip of all cells"
    kept = traces(plain, movie, dark_level=10, bad_frames="keep")
    assert list(kept.bad_frames) == list(found.bad_frames) and kept.dff[0, 51] == pytest.approx(-1, abs=0.1)


def test_good_frames_are_not_taken_for_bad_ones(plain: Known) -> None:
    rng = np.random.default_rng(1)
    wave = plain.movie.copy()
    wave[500:560] *= np.hanning(60)[:, None, None] * 0.8 + 1  # the whole field lights up
    for movie in (
        plain.movie,
        wave,
        rng.normal(100, 5, plain.movie.shape),
        rng.poisson(0.3, plain.movie.shape),
    ):
        assert traces(plain, movie.astype(np.float32)).bad_frames == {}


def test_a_border_that_comes_and_goes_moves_no_baseline(plain: Known) -> None:
    movie = plain.movie.copy()
    movie *= np.linspace(0.7, 1.3, movie.shape[1], dtype=np.float32)[:, None]
    expected = traces(plain, movie)
    holes = movie.copy()
    for start in range(0, len(movie), 20):
        holes[start : start + 10, :11] = np.nan  # through the first row of cells
    found = traces(plain, holes)
    assert np.isfinite(found.dff).all() and found.bad_frames == {}
    assert np.abs(found.dff - expected.dff).mean() < 0.02
    holes[:, :20] = np.nan
    found = traces(plain, holes)
    assert np.isnan(found.dff[:3]).all() and np.isfinite(found.dff[3:]).all()
    assert any("3 cells (1, 2, 3): no pixel" in one for one in found.warnings)


def test_bad_frames_cost_no_events(plain: Known) -> None:
    whole = run_task(detect_events(traces(plain).recording(), "oasis"))
    movie = plain.movie.copy()
    movie[np.random.default_rng(2).integers(0, len(movie), 12)] = np.nan
    found = run_task(detect_events(traces(plain, movie).recording(), "oasis"))
    assert len(whole) > 10 and abs(len(found) - len(whole)) <= 2
    near = [
        np.abs(found["time_s"][found["channel"] == e["channel"]] - e["time_s"]).min(initial=9) for e in whole
    ]
    assert np.mean(np.array(near) < 0.15) > 0.9


# ------------------------------------------------------------------ dark level and F0


@pytest.mark.parametrize(
    ("offset", "dtype", "level"),
    [
        (0, np.uint16, 0),
        (100, np.uint16, 100),
        (-400, np.int16, -400),
        (32768, np.uint16, 32768),
        (2000, np.float32, 2000),
    ],
)
def test_an_offset_of_the_camera_is_found_from_the_noise(offset, dtype, level) -> None:
    known = known_movie(offset=offset, dtype=dtype)
    found = traces(known)
    assert found.dark_level == pytest.approx(level, abs=6)
    assert bool(found.warnings) == (offset != 0), "what was estimated is told"
    gain, r = gain_and_r(found.dff, known)
    assert 0.98 <= gain <= 1.02 and r > 0.99
    typed = traces(known, dark_level=float(offset))
    assert typed.dark_level == offset and typed.warnings == ()
    assert 0.98 <= gain_and_r(typed.dff, known)[0] <= 1.02


def test_an_offset_that_noise_does_not_tell_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    known = known_movie(n_frames=300)
    flat = known.labels.astype(bool) * 100.0 + 10
    movie = (20_000 + flat + rng.normal(0, 3, known.movie.shape)).astype(np.uint16)
    found = traces(known, movie)
    assert found.dark_level == 0 and any("--dark-level" in one for one in found.warnings)


def test_cells_without_a_baseline_are_flagged_and_shown_in_z_scores(tmp_path: Path) -> None:
    known = known_movie(neuropil=500)
    movie = known.movie.astype(float)
    dim = known.labels == 2
    movie[:, dim] -= 0.45 * 500  # darker than its surround
    found = traces(known, movie.astype(np.float32), values="fluorescence", dark_level=0)
    assert found.f0_trusted.tolist() == [k != 2 for k in range(1, 10)]
    assert np.isnan(found.dff[1]).all() and np.nanmax(np.abs(found.dff[[0, 2, 3]])) < 10
    assert np.corrcoef(found.zscore[1], known.dff[1])[0, 1] > 0.8
    assert any("1 cell (2): F0 cannot be trusted" in one for one in found.warnings)
    units = [channel.unit for channel in found.recording().channels]
    assert units[:3] == ["dF/F", "z", "dF/F"]
    found.save(tmp_path / "traces.npz")
    reread = read_recording(tmp_path / "traces.npz")
    assert reread.channels[1].unit == "z"
    np.testing.assert_array_equal(reread.values(0, 1), found.zscore[1])


def test_the_noise_of_a_z_score_is_one(plain: Known) -> None:
    found = traces(plain)
    assert np.std(np.diff(found.zscore[7])) / np.sqrt(2) == pytest.approx(1, abs=0.1)


def test_a_movie_of_dff_is_recognised_and_measured_as_it_is(plain: Known) -> None:
    base = plain.movie.mean(axis=0)
    movie = (plain.movie - base) / base
    found = traces(plain, movie)
    np.testing.assert_allclose(found.dff[2], movie[:, plain.labels == 3].mean(axis=1), atol=1e-5)
    assert found.f0_trusted.all() and any("hold dF/F already" in one for one in found.warnings)
    assert "dF/F already" not in " ".join(traces(plain).warnings)
    scaled = (plain.movie / plain.movie.max()).astype(np.float32)
    assert "dF/F already" not in " ".join(traces(plain, scaled).warnings), "0 to 1 is no dF/F"


@pytest.mark.parametrize("corrected", [False, True])
def test_bleaching_leaves_the_height_of_transients(corrected) -> None:
    known = known_movie(n_frames=2400, decay_s=100)
    found = traces(known, correct_bleaching=corrected)
    gain, r = gain_and_r(found.dff, known)
    assert 0.97 <= gain <= 1.03 and r > 0.985
    assert (found.bleaching[-1] < 0.6) == corrected


# ------------------------------------------------------------------ motion


def test_a_drift_in_a_short_movie_is_told(plain: Known) -> None:
    movie = np.stack(
        [np.roll(frame, round(14 * i / 119), axis=1) for i, frame in enumerate(plain.movie[:120])]
    )
    found = traces(plain, movie)
    assert any("moves by up to 1" in one for one in found.warnings), found.warnings


def test_noise_does_not_move(plain: Known) -> None:
    rng = np.random.default_rng(3)
    for movie in (rng.normal(100, 5, (400, 64, 80)), rng.poisson(2, (400, 64, 80))):
        assert not any(
            "moves" in one for one in traces(plain, movie.astype(np.float32), dark_level=0).warnings
        )
