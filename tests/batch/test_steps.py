"""Every step leaves what the function of the same name returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

import napari_biofm as biofm
from napari_biofm.batch.run import run_recipe


def write_recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def masks_of_four() -> np.ndarray:
    masks = np.zeros((64, 64), np.uint16)
    for label, (y, x) in enumerate(((10, 10), (10, 40), (40, 10), (40, 40)), 1):
        masks[y : y + 12, x : x + 12] = label
    return masks


def test_a_patch_is_idealised_and_described(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    is_open = np.repeat(rng.integers(0, 2, 100), 200)
    current = rng.normal(0, 0.3, 20_000) - 3.0 * is_open
    np.savez(tmp_path / "patch.npz", signal=current, sampling_rate=10_000.0, unit="pA")
    recipe = '[input]\nrecordings = ["*.npz"]\n[[step]]\ndo = "idealize"\n[[step]]\ndo = "features"\n'
    recipe += 'detector = "threshold"\nkind = "psc"\n[[step]]\ndo = "export"\nrecordings = ["nwb"]\n'
    result = run_recipe(write_recipe(tmp_path, recipe), tmp_path / "out")
    assert not result.failed, result.failed[0]["error"]
    channels = pd.read_parquet(tmp_path / "out" / "channels.parquet")
    assert channels["n_channels"].tolist() == [1]
    assert abs(channels["unit_current"][0] + 3.0) < 0.1
    assert abs(channels["open_probability"][0] - is_open.mean()) < 0.02
    (item,) = (tmp_path / "out" / "items").iterdir()
    with np.load(item / "ideal.npz", allow_pickle=False) as held:
        found = biofm.idealize(tmp_path / "patch.npz")
        np.testing.assert_array_equal(held["n_open"], found.n_open)
    features = pd.read_parquet(tmp_path / "out" / "features.parquet")
    expected = biofm.features(tmp_path / "patch.npz", detector="threshold", kind="psc")
    assert set(expected) <= set(features) and len(features) == len(expected["row"])
    assert (item / "recording.nwb").is_file()


def test_cells_of_a_movie_are_measured_on_a_plane_and_traced(tmp_path: Path) -> None:
    masks, rng = masks_of_four(), np.random.default_rng(1)
    movie = rng.normal(100, 2, (120, 64, 64))
    for label in range(1, 5):
        movie[30 * label - 20 : 30 * label - 14, masks == label] += 80
    movie = movie.astype(np.uint16)
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "movie.tif", movie, metadata={"axes": "TYX"})
    tifffile.imwrite(tmp_path / "masks" / "movie_mask.tif", masks)
    recipe = (
        '[input]\nimages = ["movie.tif"]\nmasks = "masks"\n[[step]]\ndo = "measure"\nplane = "mean"\n'
        'channels = ["calcium"]\n[[step]]\ndo = "traces"\nframe_rate = 20\n[[step]]\ndo = "events"\n'
        'detector = "threshold"\nkind = "calcium"\n'
    )
    result = run_recipe(write_recipe(tmp_path, recipe), tmp_path / "out")
    assert not result.failed, result.failed[0]["error"]
    cells = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    inside = [float(movie[:, masks == label].mean()) for label in range(1, 5)]
    np.testing.assert_allclose(cells["calcium_mean"], inside, rtol=1e-5)
    assert set(cells["measured_plane"]) == {"plane mean"}
    (item,) = (tmp_path / "out" / "items").iterdir()
    expected = biofm.traces(tmp_path / "movie.tif", masks, frame_rate=20)
    with np.load(item / "traces.npz", allow_pickle=False) as held:
        np.testing.assert_array_equal(held["dff"], expected.dff)
    events = pd.read_parquet(tmp_path / "out" / "events.parquet")
    assert sorted(events["channel"].unique()) == [0, 1, 2, 3]


def test_cells_of_a_time_lapse_are_measured_in_each_frame_and_followed(tmp_path: Path) -> None:
    frames = np.stack([np.roll(masks_of_four(), shift, axis=1) for shift in (0, 1, 2)])
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "film.tif", 10 * frames, metadata={"axes": "TYX"}, photometric="minisblack")
    tifffile.imwrite(tmp_path / "masks" / "film_mask.tif", frames, photometric="minisblack")
    recipe = '[input]\nimages = ["film.tif"]\nmasks = "masks"\n[[step]]\ndo = "measure"\nframes = true\n'
    result = run_recipe(write_recipe(tmp_path, recipe + '[[step]]\ndo = "track"\n'), tmp_path / "out")
    assert not result.failed, result.failed[0]["error"]
    cells = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    assert len(cells) == 12 and cells["frame"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert result.rows[0]["tracks"] == 4


def test_a_channel_by_name_gives_the_masks_of_the_verb(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    nuclei = np.where(masks_of_four() > 0, 200, 20) + rng.integers(0, 9, (64, 64))
    image = np.stack([rng.integers(0, 60, (64, 64)), nuclei]).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "field.ome.tif", image, metadata={"axes": "CYX", "Channel": {"Name": ["a", "DAPI"]}}
    )
    recipe = '[input]\nimages = ["field.ome.tif"]\n[[step]]\ndo = "segment"\nmodel = "biofm-image"\nchannel = "DAPI"\n'
    result = run_recipe(write_recipe(tmp_path, recipe), tmp_path / "out")
    assert not result.failed, result.failed[0]["error"]
    (item,) = (tmp_path / "out" / "items").iterdir()
    expected = biofm.segment(tmp_path / "field.ome.tif", channel="DAPI")
    np.testing.assert_array_equal(tifffile.imread(item / "mask.tif"), expected.masks)
    assert expected.masks.max() == 4
