"""Frame times come from the files that state them, or the file is named and what it lacks."""

import numpy as np
import pytest
import tifffile

from napari_biofm.timeline import Clock
from napari_biofm.timeline.metadata import frame_times_of_file
from napari_biofm.types import TimelineError

MOVIE = np.zeros((6, 8, 9), np.uint8)


def test_ome_planes_state_each_frame(tmp_path):
    times = [0.0, 0.1, 0.21, 0.3, 0.42, 0.5]
    path = tmp_path / "movie.ome.tif"
    tifffile.imwrite(
        path, MOVIE, metadata={"axes": "TYX", "Plane": {"DeltaT": times, "DeltaTUnit": ["s"] * 6}}
    )
    found, where = frame_times_of_file(path, 6)
    np.testing.assert_allclose(found, times)
    assert where == "DeltaT in movie.ome.tif"
    with pytest.raises(TimelineError, match=r"times of 6 frames, the movie has 7"):
        frame_times_of_file(path, 7)


def test_an_even_rate_serves_where_no_plane_has_a_time(tmp_path):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, MOVIE, imagej=True, metadata={"axes": "TYX", "finterval": 0.25})
    found, where = frame_times_of_file(path, 6)
    np.testing.assert_allclose(found, np.arange(6) * 0.25)
    assert "4 Hz" in where


@pytest.mark.parametrize("stamped", [True, False])
def test_nwb_states_times_of_the_series_with_as_many_frames(tmp_path, stamped):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "day.nwb"
    with h5py.File(path, "w") as file:
        for name, n in (("other", 9), ("movie", 6)):
            series = file.create_group(f"acquisition/{name}")
            series.attrs["neurodata_type"] = "OnePhotonSeries"
            series["data"] = np.zeros((n, 2, 2))
            if stamped:
                series["timestamps"] = 3.0 + 0.1 * np.arange(n)
            else:
                series["starting_time"] = 3.0
                series["starting_time"].attrs["rate"] = 10.0
    found, where = frame_times_of_file(path, 6)
    np.testing.assert_allclose(found, 3.0 + 0.1 * np.arange(6))
    assert "acquisition/movie in day.nwb" in where
    with pytest.raises(TimelineError, match=r"acquisition/movie \(6\), acquisition/other \(9\)"):
        frame_times_of_file(path, 7)


def test_files_that_say_nothing_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", MOVIE)
    (tmp_path / "no.nwb").write_text("nothing")
    for name, words in (
        ("plain.tif", "states no frame times"),
        ("no.nwb", "cannot be read as NWB"),
        ("gone.tif", "There is no file"),
    ):
        with pytest.raises(TimelineError, match=words):
            frame_times_of_file(tmp_path / name, 6)


def test_times_that_run_back_are_refused_with_the_frame():
    with pytest.raises(TimelineError, match="Time runs back after frame 2"):
        Clock(np.array([0.0, 0.1, 0.2, 0.15, 0.4]))


def test_fractional_frames_are_the_inverse_of_their_times():
    clock = Clock(np.array([0.5, 0.6, 0.75, 0.8]))
    frames = np.array([-2.0, 0.0, 0.4, 1.5, 3.0, 5.0])
    np.testing.assert_allclose(clock.fractional_frames(clock.at_frames(frames)), frames, atol=1e-9)
