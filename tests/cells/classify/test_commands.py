"""`cells fit` and `cells predict`: files in, files out, and what is wrong with them said."""

import csv
import json

import numpy as np
import pytest

from napari_biofm.cells.classify.commands import fit, predict, regress
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.cells.embed.crops import crop_vectors_by_hand, cut_crops
from napari_biofm.cells.embed.random_encoder import RandomConvEncoder
from napari_biofm.cells.table.cell_table import BASELINE, make_table, vectors_of
from napari_biofm.cells.values.targets import read_targets
from napari_biofm.types import CellsError, run_task


class MeanEncoder:
    """A tiny encoder: mean and standard deviation of quarters."""

    name = "quarters"
    weights_sha256 = "c" * 64
    crop_parts = ()

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
        ("object_id,label\n0,a\n1,a\n2,a\n", "Two classes are needed to learn; labelled is only 'a'"),
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


def test_a_head_of_the_dock_is_applied_to_a_folder(tmp_path):
    """Trained on measures of masks in whole images, which crops do not have."""
    rng = np.random.default_rng(2)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    truth = {}
    for n in range(2):
        mask = np.zeros((60, 120), np.int32)
        for i in range(8):
            row, column = divmod(i, 4)
            width = 6 + 14 * (i % 2)
            mask[10 + 30 * row : 20 + 30 * row, 4 + 29 * column : 4 + 29 * column + width] = i + 1
            truth[f"g{n}:{i + 1}"] = "wide" if i % 2 else "narrow"
        image = (20 + 90 * (mask > 0) + rng.normal(0, 3, mask.shape)).astype(np.float32)
        np.save(tmp_path / "images" / f"g{n}.npy", image)
        np.save(tmp_path / "masks" / f"g{n}_mask.npy", mask)
    table = make_table(mask, image=image, layer="L")
    names = np.asarray([truth[f"g1:{label}"] for label in table.obs["label"]])
    head = make_head().fit(vectors_of(table), names)
    save_head(
        tmp_path / "head", SavedHead(head, (BASELINE,), {BASELINE: dict(table.uns["blocks"][BASELINE])})
    )
    where = {"images": tmp_path / "images", "masks": tmp_path / "masks"}
    assert run_task(predict(tmp_path / "head", tmp_path / "pred.csv", **where)) == 16
    assert {r["object_id"]: r["label"] for r in rows_of(tmp_path / "pred.csv")} == truth
    np.save(tmp_path / "crops.npy", np.zeros((3, 16, 16), np.float32))
    with pytest.raises(CellsError, match=r"measured on masks, but .*of single-cell crops"):
        run_task(predict(tmp_path / "head", tmp_path / "no.csv", crops=tmp_path / "crops.npy"))
    assert not (tmp_path / "no.csv").exists()


def test_values_are_learnt_scored_saved_and_predicted(crops):
    folder, kinds = crops
    rng = np.random.default_rng(3)
    told = kinds * 2.0 + 0.2 * rng.normal(size=60)
    lines = [f"{i},{told[i] if i % 5 else ''},{rng.normal()},plate {i // 10}" for i in range(50)]
    (folder / "genes.csv").write_text("object_id,told,noise,group\n" + "\n".join(lines) + "\n")
    where = {"crops": folder / "crops.npy", "encoder": MeanEncoder()}
    run_task(regress(folder / "genes.csv", folder / "head", **where))
    scores = json.loads((folder / "head" / "scores.json").read_text())
    assert scores["targets"] == ["told", "noise"] and scores["left_out"] == "groups"
    assert scores["r2"][0] > 0.8 and scores["p"][0] < 0.06 and scores["n_cells"] == [40, 50]
    assert scores["warnings"] and "'noise'" in scores["warnings"][0]
    assert set(scores["baselines"]) == {"regionprops", "random-conv"}
    run_task(predict(folder / "head", folder / "values.csv", **where))
    found = rows_of(folder / "values.csv")
    assert list(found[0]) == ["object_id", "told", "noise"]
    assert np.corrcoef([float(r["told"]) for r in found], told)[0, 1] > 0.9
    with pytest.raises(CellsError, match="predicts values"):
        _ = load_head(folder / "head").classifier


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object_id,gene\n0,1.5\n999,2\n", r"1 of 2 rows belong to no cell, the first is '999'"),
        ("object_id,gene\n0,high\n", r"line 2: 'high' in column 'gene' is no number"),
        ("object_id,gene\n0,1\n0,2\n", "'0' occurs twice"),
        ("gene\n1\n", "needs a column object_id"),
        ("object_id,label\n0,a\n", "no column of numbers"),
        ("object_id,gene\n0,1\n1,2\n2,3\n", "measured in 3 cells; ten"),
        ("object_id,gene\n" + "".join(f"{i},4\n" for i in range(20)), "'gene' has the same value"),
    ],
)
def test_targets_that_cannot_be_used_are_said(crops, text, message):
    folder, _ = crops
    (folder / "bad.csv").write_text(text)
    with pytest.raises(CellsError, match=message):
        run_task(
            regress(folder / "bad.csv", folder / "head", crops=folder / "crops.npy", encoder=MeanEncoder())
        )
    assert not (folder / "head").exists()


def test_targets_of_anndata_and_of_whole_wells(tmp_path):
    import anndata

    table = anndata.AnnData(np.asarray([[1.0, 2.0], [3.0, 4.0]]))
    table.obs_names, table.var_names = ["L:5", "L:7"], ["ACTB", "TP53"]
    table.write_h5ad(tmp_path / "genes.h5ad")
    found = read_targets(tmp_path / "genes.h5ad", ["TP53"]).for_cells(["L:7", "L:6", "L:5"], [""] * 3)
    np.testing.assert_array_equal(found, [[4.0], [np.nan], [2.0]])
    with pytest.raises(CellsError, match="no target 'MYC'; it has: ACTB, TP53"):
        read_targets(tmp_path / "genes.h5ad", ["MYC"])
    (tmp_path / "wells.csv").write_text("group,dose\nA1,0.5\nB1,2\n")
    wells = read_targets(tmp_path / "wells.csv").for_cells(["a", "b", "c"], ["B1", "A1", "B1"])
    np.testing.assert_array_equal(wells, [[2.0], [0.5], [2.0]])
