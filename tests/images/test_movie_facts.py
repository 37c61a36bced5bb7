"""A file's frame rate, channels, planes and dark level are read however it spells them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.movie_facts import of_imagej, of_ome, of_scanimage, seconds_in
from napari_biofm.images.io.movies import open_movie
from napari_biofm.types import ImageError

SCANIMAGE = {
    "SI.hChannels.channelSave": [[1], [2]], "SI.hChannels.channelOffset": [-400, -380],
    "SI.hChannels.channelSubtractOffset": [False, True], "SI.hRoiManager.scanFrameRate": 30.0,
    "SI.hRoiManager.scanVolumeRate": 6.0, "SI.hFastZ.enable": False, "SI.hStackManager.numSlices": 1,
}  # fmt: skip
FAST = SCANIMAGE | {
    "SI.hFastZ.enable": True,
    "SI.hStackManager.numSlices": 4,
    "SI.hFastZ.numFramesPerVolume": 5,
}


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        ("ms", 1e-3), ("msec", 1e-3), ("\\u00B5s", 1e-6), ("\N{MICRO SIGN}s", 1e-6), ("us", 1e-6), ("sec", 1), ("", 1),
        ("min", 60), ("px", None),
    ],
)  # fmt: skip
def test_units_of_time_are_known_as_files_spell_them(unit: str, seconds: float | None) -> None:
    assert seconds_in(unit) == seconds


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ({"finterval": 33.3333, "tunit": "ms"}, 30.0),
        ({"finterval": 50_000, "tunit": "\\u00B5s"}, 20.0),
        ({"finterval": 0.1}, 10.0),
        ({"fps": 30.0}, 30.0),
        ({"finterval": 0, "fps": 12.0}, 12.0),
        ({"finterval": 3, "tunit": "um", "fps": 8.0}, 8.0),
        ({}, None),
    ],
)
def test_imagej_says_interval_and_unit_or_frames_per_second(said: dict, rate: float | None) -> None:
    found = of_imagej(said).frame_rate
    assert found == (None if rate is None else pytest.approx(rate, rel=1e-4))


def test_ome_says_times_of_planes_or_an_increment_in_a_unit() -> None:
    pixels = '<OME><Image><Pixels SizeT="3" {}>{}</Pixels></Image></OME>'
    plane = '<Plane TheC="0" TheZ="0" TheT="{}" DeltaT="{}" DeltaTUnit="ms"/>'
    planes = "".join(plane.format(t, 40 * t) for t in range(3))
    found = of_ome(pixels.format("", planes))
    assert found.frame_rate == pytest.approx(25) and found.times.tolist() == pytest.approx([0, 0.04, 0.08])
    one = of_ome(pixels.format('TimeIncrement="20000" TimeIncrementUnit="\N{MICRO SIGN}s"', ""))
    assert one.frame_rate == pytest.approx(50)
    assert of_ome(pixels.format("", "")).frame_rate is None and of_ome("<broken").frame_rate is None


def test_scanimage_says_rate_channels_planes_and_offsets() -> None:
    flat = of_scanimage(SCANIMAGE)
    assert (flat.frame_rate, flat.n_channels, flat.n_planes) == (30.0, 2, 1)
    assert flat.dark_levels == (-400.0, 0.0), "an offset that was subtracted is gone"
    fast = of_scanimage(FAST)
    assert (fast.frame_rate, fast.n_planes, fast.kept_planes) == (6.0, 5, 4)
    second = of_scanimage(SCANIMAGE | {"SI.hChannels.channelSave": 2})
    assert second.n_channels == 1 and second.dark_levels == (0.0,)


def test_channels_and_planes_that_lie_between_each_other_are_taken_apart(tmp_path: Path, monkeypatch) -> None:
    volumes, planes, channels = 6, 5, 2
    pages = np.arange(volumes * planes * channels + 3, dtype=np.int16)[:, None, None] * np.ones(
        (8, 9), np.int16
    )
    path = tmp_path / "volumes.tif"
    tifffile.imwrite(path, pages, metadata={"axes": "QYX"})
    monkeypatch.setattr("napari_biofm.images.io.movies.movie_facts", lambda _: of_scanimage(FAST))
    movie = open_movie(path, channel=1, plane=2)
    expected = np.arange(volumes) * planes * channels + 2 * channels + 1
    assert movie.frames.shape == (volumes, 8, 9), "a last volume that is not whole is left out"
    assert np.asarray(movie.frames[:])[:, 0, 0].tolist() == expected.tolist()
    assert np.asarray(movie.frames[1:4])[:, 3, 3].tolist() == expected[1:4].tolist()
    assert movie.dark_level == 0.0 and movie.frame_rate == 6.0
    silent = open_movie(path)
    assert "2 channels, channel 0" in silent.message and "4 planes, plane 0" in silent.message
    with pytest.raises(ImageError, match="plane 4 was asked for; it has 4"):
        open_movie(path, plane=4)


def test_axes_of_other_files_choose_a_channel_too(tmp_path: Path) -> None:
    data = np.arange(5 * 2 * 6 * 7, dtype=np.uint16).reshape(5, 2, 6, 7)
    path = tmp_path / "two.ome.tif"
    tifffile.imwrite(path, data, metadata={"axes": "TCYX"})
    movie = open_movie(path, channel=1)
    np.testing.assert_array_equal(np.asarray(movie.frames[:]), data[:, 1])
    np.testing.assert_array_equal(movie.frames[-2], data[3, 1])
    tifffile.imwrite(tmp_path / "plain.tif", data[:, 0])
    assert open_movie(tmp_path / "plain.tif").frames.shape == (5, 6, 7)
    tifffile.imwrite(tmp_path / "flat.tif", data[0, 0])
    with pytest.raises(ImageError, match="a movie is"):
        open_movie(tmp_path / "flat.tif")


@pytest.mark.shared_data
def test_cases_that_others_write_say_their_rate(shared_cases: Path) -> None:
    names = (
        "imagej_finterval_33_ms.tif", "imagej_fps_only.tif", "ome_deltat_only.ome.tif",
        "scanimage_1ch_rate_in_header.tif",
    )  # fmt: skip
    for name in names:
        assert open_movie(shared_cases / "calcium" / name).frame_rate == pytest.approx(30, rel=1e-4)
    first, second = (open_movie(shared_cases / "calcium" / "scanimage_2ch.tif", channel=c) for c in (0, 1))
    assert first.frames.shape == second.frames.shape == (10, 48, 64)
    assert (first.dark_level, second.dark_level) == (-400, -380)
    assert not np.array_equal(first.frames[:], second.frames[:])


@pytest.mark.parametrize("kind", [{}, {"imagej": True}, {"compression": "zlib"}])
def test_a_movie_that_is_cut_off_is_refused_when_it_is_opened(tmp_path: Path, kind: dict) -> None:
    path = tmp_path / "movie.tif"
    data = np.random.default_rng(0).integers(0, 999, (20, 32, 32)).astype(np.uint16)
    tifffile.imwrite(path, data, photometric="minisblack", **kind)
    assert open_movie(path).frames.shape == (20, 32, 32)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ImageError, match="cut off"):
        open_movie(path)
