"""Passes are found by content only, go on where they stopped, and leave when the limit is reached."""

import os
import shutil

import numpy as np
import pytest

from napari_biofm.images.tiling.pass_store import PassStore, content_hash
from napari_biofm.images.tiling.passes import TileRunner
from napari_biofm.images.tiling.tiles import stock_grid
from napari_biofm.models.device import DevicePlan

IMAGE = np.arange(12, dtype=np.uint16).reshape(3, 4)


def test_image_model_and_parameters_make_the_key():
    key = content_hash(IMAGE, "a", {"overlap": 0.1})
    assert key == content_hash(IMAGE.copy(), "a", {"overlap": 0.1})
    others = [
        content_hash(IMAGE + 1, "a", {"overlap": 0.1}),
        content_hash(IMAGE.reshape(4, 3), "a", {"overlap": 0.1}),
        content_hash(IMAGE.astype(np.int16), "a", {"overlap": 0.1}),
        content_hash(IMAGE, "b", {"overlap": 0.1}),
        content_hash(IMAGE, "a", {"overlap": 0.2}),
    ]
    assert len({key, *others}) == 6


def test_tiles_come_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    flows, features = rng.normal(size=(3, 8, 8)).astype(np.float32), rng.normal(size=(5, 2, 2)).astype("f2")
    kept = PassStore(tmp_path).open("k" * 64, 4)
    assert 2 not in kept
    kept.put(2, {"flows": flows, "features": features})
    again = PassStore(tmp_path).open("k" * 64, 4)
    assert 2 in again and 1 not in again and again.finished == 1
    np.testing.assert_array_equal(again.get(2)["flows"], flows)
    np.testing.assert_array_equal(again.get(2)["features"], features)


def test_another_grid_under_the_same_key_starts_anew(tmp_path):
    store = PassStore(tmp_path)
    store.open("k" * 64, 4).put(0, {"x": np.ones(3)})
    assert 0 not in store.open("k" * 64, 9)


def run_tiles(kept):
    """Run a grid of tiles through a network that doubles them; return the products and how many were computed."""
    grid = stock_grid((400, 400))
    frame = np.random.default_rng(0).normal(size=(1, *grid.frame)).astype(np.float32)
    plan = DevicePlan("cpu", "float32", 1, 2)
    runner = TileRunner(lambda tiles: {"twice": 2 * tiles}, plan, lambda: plan)
    found = dict(runner.run(frame, grid, grid.order(), kept))
    for index, (y0, x0, y1, x1) in enumerate(grid.boxes):
        np.testing.assert_array_equal(found[index]["twice"], 2 * frame[:, y0:y1, x0:x1])
    return runner, len(grid)


def test_a_damaged_or_missing_tile_is_computed_again(tmp_path):
    kept = PassStore(tmp_path).open("k" * 64, 4)
    runner, n = run_tiles(kept)
    assert runner.computed == n == kept.finished == 4
    assert run_tiles(kept)[0].computed == 0
    first = kept.folder / "tiles" / "0.npz"
    whole = first.read_bytes()
    (kept.folder / "tiles" / "3.npz").unlink()
    for damaged in (b"", whole[:-500], whole[:5000] + b"\xff" + whole[5001:]):
        first.write_bytes(damaged)
        assert run_tiles(kept)[0].computed >= 1 and kept.finished == 4
        assert first.read_bytes() == whole


def test_tiles_go_on_when_somebody_removes_the_cache_in_the_middle(tmp_path):
    kept = PassStore(tmp_path / "cache").open("k" * 64, 4)
    shutil.rmtree(tmp_path / "cache")
    runner, n = run_tiles(kept)
    assert runner.computed == n and runner.notes == [
        "tiles are not kept for the next run (this pass was removed)"
    ]
    assert not (tmp_path / "cache").exists()


def test_what_a_run_works_on_is_not_removed(tmp_path):
    store = PassStore(tmp_path, limit=10)
    with store.alone("a" * 64, 1) as mine:
        mine.put(0, {"x": np.ones(5_000)})
        store.open("b" * 64, 1)
        assert PassStore(tmp_path, limit=10).clear() > 0
        assert 0 in mine
        with PassStore(tmp_path).alone("a" * 64, 1) as other:
            assert other is None
    assert store.clear() > 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("mark", ["", "{", "[]", "null", '{"key": 5}', '{"format": 2, "tiles": [1]}'])
def test_a_damaged_mark_makes_the_pass_anew(tmp_path, mark):
    store = PassStore(tmp_path)
    store.open("a" * 64, 1).put(0, {"x": np.ones(5)})
    (tmp_path / ("a" * 32) / "biofm-pass.json").write_text(mark)
    store.kept(), store.report()
    again = store.open("a" * 64, 1)
    assert 0 not in again and again.finished == 0


def test_the_least_recently_used_goes_first(tmp_path):
    store = PassStore(tmp_path, limit=30_000)
    for number, name in enumerate("abc"):
        store.open(name * 64, 1).put(0, {"x": np.random.default_rng(number).integers(0, 255, 12_000, "u1")})
        os.utime(store.folder / (name * 32) / "used", (number, number))
    os.utime(store.folder / ("a" * 32) / "used", (10, 10))
    store.evict()
    assert [row.key[0] for row in store.kept()] == ["c", "a"]


def test_the_pass_in_use_stays(tmp_path):
    store = PassStore(tmp_path, limit=10)
    store.open("a" * 64, 1).put(0, {"x": np.ones(5_000)})
    assert 0 in store.open("a" * 64, 1)


def test_clearing_leaves_other_folders_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("important")
    store = PassStore(tmp_path)
    store.open("a" * 64, 1, {"model": "cpsam"}).put(0, {"x": np.ones(5)})
    report = store.report()
    assert report["passes"][0]["model"] == "cpsam" and report["bytes"] > 0
    assert store.clear() == report["bytes"]
    assert store.kept() == []
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "important"
