"""Movies are written whole or not at all, and what is missing is said."""

import imageio.v2 as imageio
import numpy as np
import pytest

from napari_biofm.timeline.movie_file import LINE, TraceStrip, write_movie
from napari_biofm.types import TimelineError

PICTURES = [np.full((31, 40, 3), 20 * i, np.uint8) for i in range(6)]


def test_a_gif_has_every_frame(tmp_path):
    assert write_movie(tmp_path / "a.gif", PICTURES, 10) == 6
    assert len(imageio.mimread(tmp_path / "a.gif")) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg's pipes
def test_an_mp4_has_every_frame(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    assert write_movie(tmp_path / "a.mp4", PICTURES, 10) == 6
    with imageio.get_reader(tmp_path / "a.mp4") as reader:
        assert reader.count_frames() == 6


def test_without_ffmpeg_the_message_names_the_remedy(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(TimelineError, match=r"pip install imageio-ffmpeg, or write a \.gif"):
        write_movie(tmp_path / "a.mp4", PICTURES, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "pictures", "words"), [
    ("a.avi", PICTURES, "not as '.avi'"),
    ("a.gif", [], "not a single frame"),
])  # fmt: skip
def test_what_cannot_be_written_is_said(tmp_path, name, pictures, words):
    with pytest.raises(TimelineError, match=words):
        write_movie(tmp_path / name, pictures, 10)
    assert list(tmp_path.iterdir()) == []


def test_the_line_runs_along_the_trace():
    strip = TraceStrip(np.linspace(0, 10, 101), np.sin(np.linspace(0, 10, 101)), 200, 40, "cell 4")
    for seconds in (0.0, 5.0, 10.0):
        columns = np.flatnonzero((strip.at(seconds) == LINE).all(axis=(0, 2)))
        assert abs(columns.mean() - seconds / 10 * 199) <= 2
