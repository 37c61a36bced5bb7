"""Passes are found by content only, go on where they stopped, and leave when the limit is reached."""

import os

import numpy as np

from napari_biofm.images.tiling.pass_store import PassStore, content_hash

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


def test_a_tile_that_was_not_finished_does_not_count(tmp_path):
    kept = PassStore(tmp_path).open("k" * 64, 4)
    kept.put(0, {"x": np.ones(3)})
    (kept.folder / "done" / "0").unlink()  # killed between the data and the mark
    assert 0 not in PassStore(tmp_path).open("k" * 64, 4)


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
