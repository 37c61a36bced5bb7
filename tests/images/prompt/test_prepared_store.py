"""What click models prepare is kept on disk, and nothing but data comes back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_biofm.images.prompt import backends
from napari_biofm.images.prompt.prepared_store import (
    CLASSES,
    is_kept,
    keep_prepared,
    load_prepared,
    prepared_key,
)
from napari_biofm.images.prompt.sam import Prepared, PreparedTile
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.types import Capabilities, Progress, Prompt, run_task


def prepared():
    rng = np.random.default_rng(0)
    tile = PreparedTile((0, 0, 30, 40), rng.normal(size=(4, 6, 6)).astype(np.float32), (768, 1024))
    return Prepared((30, 40), (tile,), "model")


def test_what_was_prepared_comes_back_as_it_was(tmp_path):
    store = PassStore(tmp_path)
    key = "a" * 64
    assert load_prepared(key, store) is None
    assert keep_prepared(key, prepared(), {"model": "model"}, store)
    got, wanted = load_prepared(key, store), prepared()
    assert is_kept(key, store)
    assert (got.shape, got.model, got.tiles[0].box) == (wanted.shape, wanted.model, wanted.tiles[0].box)
    assert got.tiles[0].input_size == (768, 1024)
    assert np.array_equal(got.tiles[0].features, wanted.tiles[0].features)


def test_the_embedded_model_s_preparation_is_kept_without_its_memory_of_answers(tmp_path):
    from napari_biofm.images.segment.embedded import clicks, passes

    flow = np.zeros((2, 8, 8), np.float32)
    found = passes.Pass(flow, flow[0], None, np.ones((3, 2, 2), np.float16), (1.0, 1.0), (8, 8), 5.0)
    made = clicks.Prepared(np.ones((4, 4, 4), np.float16), np.ones((4, 4), np.int32), found)
    made.answers[("click",)] = clicks.Answer(np.ones((8, 8), bool), np.ones((8, 8), bool), 0.5)
    store = PassStore(tmp_path)
    assert keep_prepared("d" * 64, made, {}, store)
    got = load_prepared("d" * 64, store)
    assert isinstance(got, clicks.Prepared) and got.answers == {}
    assert np.array_equal(got.features, made.features) and got.features.dtype == np.float16
    assert (got.found.zoom, got.found.shape, got.found.diameter) == ((1.0, 1.0), (8, 8), 5.0)
    assert got.found.decoded is None


def test_a_damaged_or_strange_entry_is_computed_anew_and_nothing_of_it_is_run(tmp_path):
    store = PassStore(tmp_path)
    key = "b" * 64
    keep_prepared(key, prepared(), {}, store)
    kept = store.open(key, 1)
    arrays = kept.get(0)
    evil = json.loads(arrays["tree"].tobytes())
    evil["class"] = "os.system"
    for tree in (json.dumps(evil).encode(), b"\xff", b"{", b"[]", b"null"):
        kept.put(0, {**arrays, "tree": np.frombuffer(tree, np.uint8)})
        assert load_prepared(key, store) is None
    file = next(kept.folder.glob("tiles/*.npz"))
    file.write_bytes(file.read_bytes()[:-40])
    assert load_prepared(key, store) is None
    assert not keep_prepared("c" * 64, object(), {}, store)
    assert all(module.startswith("napari_biofm.images") for module, _ in CLASSES.values())


class CountingModel:
    name = "counting"
    weights_sha256 = "0" * 64
    capabilities = Capabilities(clicks=True)
    runs = 0

    def prepare(self, image):
        type(self).runs += 1
        yield Progress(1, 1, "encoded")
        return prepared()

    def predict(self, prepared, prompt):
        return np.ones((1, *prepared.shape), bool), np.ones(1, np.float32)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "passes"))
    monkeypatch.setattr(backends, "make_promptable", lambda name, device="auto": CountingModel())
    monkeypatch.setattr(CountingModel, "runs", 0)
    backends.forget_prepared()
    yield CountingModel
    backends.forget_prepared()


def test_an_image_is_encoded_once_also_over_sessions(model, tmp_path):
    image = np.arange(1200, dtype=np.uint8).reshape(30, 40)
    run_task(backends.prepare_image("first", "counting", image))
    backends.forget_prepared()  # as a new process has it
    run_task(backends.prepare_image("other name", "counting", image))
    assert model.runs == 1
    answer = backends.answer_prompt(
        "other name", "counting", Prompt(np.array([[5.0, 5.0]]), np.ones(1, bool))
    )
    assert answer.pieces[0].area == 1200
    run_task(backends.prepare_image("changed", "counting", image + 1))
    assert model.runs == 2
    assert prepared_key(image, CountingModel()) != prepared_key(image + 1, CountingModel())


def test_a_series_is_prepared_once_and_gone_on_with(model, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((30, 40), np.uint8))
    np.save(tmp_path / "b.npy", np.ones((30, 40), np.uint8))
    run_task(backends.precompute_file(str(tmp_path / "a.npy"), "counting"))
    backends.forget_prepared()
    for name in ("a.npy", "b.npy"):
        run_task(backends.precompute_file(str(tmp_path / name), "counting"))
    assert model.runs == 2, "a was kept from before"
