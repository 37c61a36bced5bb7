"""Cellpose-SAM learns from corrected masks: as a job that tells its steps, stops, goes on, and is scored."""

import json

import numpy as np
import pytest
import tifffile

from napari_biofm.images.segment import cellpose_api
from napari_biofm.images.train import finetuning
from napari_biofm.images.train.examples import (
    Example,
    check_examples,
    cut_single,
    hold_back,
    read_examples,
    share_origin,
)
from napari_biofm.images.train.finetuning import TuningSettings, tune_job
from napari_biofm.models import store
from napari_biofm.types import EngineError, ImageError, ModelError, run_task

SETTINGS = TuningSettings(epochs=10, learning_rate=1e-3, batch=2)


@pytest.fixture
def examples():
    """Three pictures of one to four discs, (96, 96), with their masks."""
    y, x = np.mgrid[:96, :96]
    made = []
    for number in range(3):
        masks = np.zeros((96, 96), np.int32)
        for label, (cy, cx) in enumerate(((24, 24), (24, 70), (70, 24), (70, 70)), 1):
            masks[(y - cy) ** 2 + (x - cx - number) ** 2 < 12**2] = label
        made.append(Example((masks > 0).astype(np.float32) * 100 + number, masks, f"field {number}"))
    return made


@pytest.fixture
def base(small_vit, cpsam_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path / "models"))
    return str(cpsam_weights)


def drained(task):
    steps = []
    while True:
        try:
            steps.append(next(task))
        except StopIteration as stop:
            return steps, stop.value


def test_a_taught_model_is_new_named_scored_and_chosen_by_its_name(base, examples, tmp_path):
    steps, tuned = drained(tune_job(examples, "mine", base, SETTINGS, "cpu"))
    messages = " ".join(step.message for step in steps)
    assert "score before" in messages and "epoch 10 of 10" in messages and "score after" in messages
    own = store.imported_models()["mine"]
    assert own.path == tuned.path and own.family == "cellpose-sam"
    record = json.loads(own.path.with_name(own.path.name + ".json").read_text())
    assert record["sha256"] == store.sha256_of(own.path) == own.sha256
    report = own.about
    assert report["held_back"] == ["field 2"] and report["learnt_from"] == ["field 0", "field 1"]
    assert len(report["loss"]) == 10 and report["loss"][-1] < report["loss"][0]
    assert 0 <= report["before"]["ap50"] <= 1 and 0 <= report["after"]["ap"] <= 1
    assert "before" in tuned.describe() and "after" in tuned.describe()
    assert list((tmp_path / "models" / "tuning").iterdir()) == []  # nothing unfinished is left
    from napari_biofm.images.segment.catalogue import make_model
    from napari_biofm.models.checkpoints import open_checkpoint

    assert make_model("mine", "cpu").weights_sha256 == own.sha256
    new, old = open_checkpoint(own.path).state, open_checkpoint(base).state
    assert set(new) == set(old)
    assert not np.allclose(new["out.weight"], old["out.weight"])
    assert np.allclose(new["W2"], old["W2"])  # fixed in Cellpose, too


def test_a_stopped_run_goes_on_where_it_was(base, examples, tmp_path, monkeypatch):
    task = tune_job(examples, "mine", base, SETTINGS, "cpu")
    while "epoch 4" not in next(task).message:
        pass
    task.close()
    (work,) = (tmp_path / "models" / "tuning").iterdir()
    state = json.loads((work / "state.json").read_text())
    assert 3 <= state["epochs"] < 10 and (work / "weights.safetensors").is_file()
    assert store.imported_models() == {}
    monkeypatch.setattr(finetuning, "WARM_UP", 1)
    steps, _ = drained(tune_job(examples, "mine", base, SETTINGS, "cpu"))
    assert not any("score before" in step.message for step in steps)
    firsts = [step.message for step in steps if step.message.startswith("epoch")]
    assert firsts[0].startswith(f"epoch {state['epochs'] + 1} of 10")


def test_without_memory_the_batch_is_halved_and_then_it_is_said(base, examples, monkeypatch):
    real, batches = cellpose_api.train, []

    def little_memory(net, images, masks, epochs, rate, decay, batch, *rest):
        batches.append(batch)
        if batch > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(net, images, masks, epochs, rate, decay, batch, *rest)

    monkeypatch.setattr(cellpose_api, "train", little_memory)
    tuned = run_task(tune_job(examples, "mine", base, SETTINGS, "cpu"))
    assert batches == [2, 1]
    assert "1 crop(s) at once" in tuned.report["notes"][0]

    def none(*_):
        raise MemoryError

    monkeypatch.setattr(cellpose_api, "train", none)
    with pytest.raises(EngineError, match="not enough memory"):
        run_task(tune_job(examples, "other", base, SETTINGS, "cpu"))


def test_what_cannot_be_taught_is_said_before_any_work(base, examples, sam_weights):
    with pytest.raises(ModelError, match="at least 10"):
        run_task(tune_job(examples, "mine", base, TuningSettings(epochs=3)))
    for name in ("cpsam", "../mine", ""):
        with pytest.raises(ModelError, match="name"):
            run_task(tune_job(examples, name, base, SETTINGS))
    with pytest.raises(ImageError, match="no example"):
        run_task(tune_job([], "mine", base, SETTINGS))
    with pytest.raises(ModelError, match="not cellpose-sam"):
        run_task(tune_job(examples, "mine", str(sam_weights), SETTINGS, "cpu"))


def test_some_are_always_kept_back(examples):
    assert [e.held_back for e in hold_back(examples)] == [False, False, True]
    many = hold_back([examples[0]] * 12, 0.25)
    assert sum(e.held_back for e in many) == 3 and not many[0].held_back
    head, tail = cut_single(check_examples(examples[:1]))
    assert not head.held_back and tail.held_back
    assert share_origin([head, tail]) and not share_origin(hold_back(examples))
    assert head.image.shape[:2] == (72, 96) and tail.image.shape[:2] == (24, 96)


@pytest.mark.parametrize(
    ("image", "masks", "said"),
    [
        (np.ones((40, 40)), np.ones((40, 41), int), "must be equal"),
        (np.ones((40, 40)), np.zeros((40, 40), int), "no cell"),
        # whole numbers of any type are labels
        (np.ones((40, 40)), np.full((40, 40), 0.5), "no whole number"),
        (np.ones((8, 40)), np.ones((8, 40), int), "at least"),
    ],
)
def test_examples_that_teach_nothing_are_refused_by_name(image, masks, said):
    with pytest.raises(ImageError, match=said) as caught:
        check_examples([Example(image, masks, "the culprit")])
    assert "the culprit" in str(caught.value)


def test_the_command_line_teaches_from_a_folder(base, examples, tmp_path, capsys):
    from napari_biofm.cli import main

    folder = tmp_path / "fields"
    (folder / "labels").mkdir(parents=True)
    for number, example in enumerate(examples[:2]):
        tifffile.imwrite(folder / f"f{number}.tif", example.image.astype(np.uint16))
        tifffile.imwrite(folder / "labels" / f"f{number}_labels.tif", example.masks.astype(np.uint16))
    tifffile.imwrite(folder / "without.tif", examples[2].image)
    assert [e.name for e in read_examples(folder)] == ["f0.tif", "f1.tif"]
    call = ["train", "cellpose", str(folder), "--name", "mine", "--base", base, "--epochs", "10"]
    assert main([*call, "--device", "cpu", "--out", str(tmp_path / "r.json")]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["held_back"] == ["f1.tif"] and report["path"] == capsys.readouterr().out.strip()
    assert main([*call, "--device", "cpu"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*call[:2], str(tmp_path / "models"), "--name", "x"]) == 1
    assert "has masks" in capsys.readouterr().err
