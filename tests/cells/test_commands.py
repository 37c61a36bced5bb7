"""`cells fit` and `cells predict`: files in, files out, and what is wrong with them said."""

import csv
import json

import numpy as np
import pytest

from napari_biofm.cells.commands import fit, predict
from napari_biofm.cells.crops import crop_vectors_by_hand, cut_crops
from napari_biofm.cells.random_encoder import RandomConvEncoder
from napari_biofm.types import CellsError, run_task


class MeanEncoder:
    """A tiny encoder: mean and standard deviation of quarters."""

    name = "quarters"
    weights_sha256 = "c" * 64

    def crop_vectors(self, crops):
        parts = [crops[:, a::2, b::2].reshape(len(crops), -1) for a in (0, 1) for b in (0, 1)]
        return np.concatenate([np.stack([p.mean(1), p.std(1)], 1) for p in parts], 1).astype(np.float32)


@pytest.fixture
def crops(tmp_path):
    rng = np.random.default_rng(0)
    kinds = np.arange(60) % 2
    y, x = np.mgrid[:24, :24] - 11.5
    stack = np.stack([
        30 + 100 * ((y / 5) ** 2 + (x / (5 + 5 * k)) ** 2 < 1) + rng.normal(0, 4, (24, 24)) for k in kinds
    ]).astype(np.uint8)  # fmt: skip
    np.save(tmp_path / "crops.npy", stack)
    lines = [f"{i},{'long' if kinds[i] else 'round'},plate {i // 10}" for i in range(50)]
    (tmp_path / "labels.csv").write_text("object_id,label,group\n" + "\n".join(lines) + "\n")
    return tmp_path, kinds


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fit_then_predict_crops(crops):
    folder, kinds = crops
    encoder = MeanEncoder()
    done = run_task(fit(folder / "labels.csv", folder / "head", crops=folder / "crops.npy", encoder=encoder))
    scores = json.loads((folder / "head" / "scores.json").read_text())
    assert scores["macro_f1"] == done.report.model.macro_f1 > 0.9
    assert {"regionprops", "random-conv"} <= set(scores["baselines"])
    assert scores["model"]["left_out"] == "groups" and scores["learning_curve"]
    n = run_task(predict(folder / "head", folder / "pred.csv", crops=folder / "crops.npy", encoder=encoder))
    found = rows_of(folder / "pred.csv")
    assert n == 60 and list(found[0]) == ["object_id", "label", "probability"]
    assert [r["object_id"] for r in found] == [str(i) for i in range(60)]
    assert [r["label"] for r in found] == ["long" if k else "round" for k in kinds]
    assert all(0.5 <= float(r["probability"]) <= 1 for r in found)
    first = (folder / "pred.csv").read_bytes()
    run_task(predict(folder / "head", folder / "pred.csv", crops=folder / "crops.npy", encoder=encoder))
    assert (folder / "pred.csv").read_bytes() == first


def test_another_encoder_is_refused_and_nothing_is_written(crops):
    folder, _ = crops
    crops_file = folder / "crops.npy"
    run_task(
        fit(folder / "labels.csv", folder / "head", crops=crops_file, encoder=MeanEncoder(), curve=False)
    )
    other = MeanEncoder()
    other.weights_sha256 = "d" * 64
    with pytest.raises(CellsError, match="trained on 'quarters'"):
        run_task(predict(folder / "head", folder / "pred.csv", crops=crops_file, encoder=other))
    assert not (folder / "pred.csv").exists()


def test_images_with_masks_are_keyed_by_stem_and_label(tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    lines = []
    for n in range(4):
        mask = np.zeros((100, 100), np.uint16)
        for i in range(9):
            row, column = divmod(i, 3)
            width = 6 + 14 * (i % 2)
            mask[10 + 30 * row : 20 + 30 * row, 6 + 31 * column : 6 + 31 * column + width] = 3 * i + 2
            lines.append(f"f{n}:{3 * i + 2},{'wide' if i % 2 else 'narrow'}")
        image = 20 + 90 * (mask > 0) + rng.normal(0, 3, mask.shape)
        np.save(tmp_path / "images" / f"f{n}.npy", image.astype(np.float32))
        np.save(tmp_path / "masks" / f"f{n}_mask.npy", mask)
    (tmp_path / "labels.csv").write_text("object_id,label\n" + "\n".join(lines) + "\n")
    where = {"images": tmp_path / "images", "masks": tmp_path / "masks"}
    done = run_task(fit(tmp_path / "labels.csv", tmp_path / "head", **where, views=1, curve=False))
    assert done.report.model.left_out == "groups"  # images
    run_task(predict(tmp_path / "head", tmp_path / "pred.csv", **where))
    found = {r["object_id"]: r["label"] for r in rows_of(tmp_path / "pred.csv")}
    assert found == dict(line.split(",") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object_id,label\n0,a\n999,b\n", r"1 of 2 labelled ids are not in .*999"),
        ("object_id,label\n0,a\n0,b\n", "occurs twice"),
        ("id,class\n0,a\n", "needs the columns"),
        ("object_id,label\n0,\n", "no labelled cell"),
        ("object_id,label\n0,a\n1,a\n2,a\n", "two classes"),
        ("object_id,label\n0,a\n1,a\n2,b\n", "a: 2, b: 1"),
    ],
)
def test_labels_that_cannot_be_used_are_said(crops, text, message):
    folder, _ = crops
    (folder / "bad.csv").write_text(text)
    with pytest.raises(CellsError, match=message):
        run_task(fit(folder / "bad.csv", folder / "head", crops=folder / "crops.npy", encoder=MeanEncoder()))
    assert not (folder / "head").exists()


def test_files_that_are_not_there_or_no_crops_are_named(crops):
    folder, _ = crops
    with pytest.raises(CellsError, match=r"nowhere.tif does not exist"):
        run_task(fit(folder / "labels.csv", folder / "head", crops=folder / "nowhere.tif"))
    np.save(folder / "flat.npy", np.zeros((4, 4)))
    with pytest.raises(CellsError, match=r"shape \(1, 4\)"):
        run_task(fit(folder / "labels.csv", folder / "head", crops=folder / "flat.npy"))
    with pytest.raises(CellsError, match="either crops, or a folder"):
        run_task(fit(folder / "labels.csv", folder / "head"))


def test_a_crops_vector_does_not_depend_on_the_other_crops(crops):
    folder, _ = crops
    stack = np.load(folder / "crops.npy")
    for vectors in (crop_vectors_by_hand, RandomConvEncoder().crop_vectors):
        together, alone = vectors(stack[:7]), vectors(stack[3:4])
        np.testing.assert_allclose(together[3], alone[0], rtol=2e-3, atol=2e-3)


def test_crops_are_cut_around_cells_at_one_magnification():
    labels = np.zeros((60, 60), np.int32)
    labels[20:30, 30:40] = 5
    labels[50:58, 2:10] = 9
    crops = cut_crops(labels.astype(np.float32), labels, 32)
    assert crops.shape == (2, 32, 32)
    assert crops[0][16, 16] == 5 and crops[0][0, 0] == 0
    assert crops[1][16, 16] == 9
    assert cut_crops(labels, np.zeros_like(labels)).shape == (0, 64, 64)
