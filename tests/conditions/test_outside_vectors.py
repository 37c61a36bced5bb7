"""Vectors from outside: read from every kind of file alike, joined by id, and taught from few labels."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.cli import main
from napari_biofm.conditions.outside import read_vectors
from napari_biofm.types import ConditionsError

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
IDS = ["A1", "A2", "B1", "B2"]


def _files(folder: Path) -> list[tuple[Path, Path | None]]:
    rows = pd.DataFrame(VALUES, columns=["x", "y", "z"])
    rows.insert(0, "well", IDS)
    rows.to_csv(folder / "v.csv", index=False)
    rows.to_csv(folder / "v.tsv", index=False, sep="\t")
    rows.to_parquet(folder / "v.parquet", index=False)
    np.save(folder / "v.npy", VALUES)
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    table = anndata.AnnData(VALUES, obs=pd.DataFrame(index=IDS))
    table.obsm["model"] = VALUES
    table.write_h5ad(folder / "v.h5ad")
    return [(folder / f"v.{e}", folder / "ids.txt" if e == "npy" else None) for e in ("csv", "tsv", "parquet", "npy", "h5ad")]  # fmt: skip


def test_every_kind_of_file_gives_the_same_vectors(tmp_path: Path) -> None:
    for path, ids in _files(tmp_path):
        found = read_vectors(path, ids)
        assert found.ids == tuple(IDS), path
        np.testing.assert_array_equal(found.values, VALUES)
    np.testing.assert_array_equal(read_vectors(tmp_path / "v.h5ad", key="model").values, VALUES)


def test_wells_join_in_any_spelling_and_what_does_not_fit_is_told(tmp_path: Path) -> None:
    _files(tmp_path)
    rows = pd.DataFrame({"well": ["B-02", "A01", "A01", "C03"]})
    found, notes = biofm.join_vectors(rows, tmp_path / "v.csv", "well")
    np.testing.assert_array_equal(found[:3], VALUES[[3, 0, 0]])
    assert np.isnan(found[3]).all()
    assert notes == ["1 rows have no vector: C03", "2 vectors belong to no row: A2, B1"]


def test_cells_get_an_embedding_that_the_classifier_takes(tmp_path: Path) -> None:
    labels = np.zeros((60, 60), np.int32)
    for i in range(30):
        labels[2 * i : 2 * i + 1, 3:9] = i + 1
    cells = make_table(labels, layer="nuclei")
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.3, (30, 5)).astype(np.float32)
    values[15:, 0] += 3
    np.save(tmp_path / "mine.npy", values)
    (tmp_path / "ids.txt").write_text("\n".join(str(i + 1) for i in range(30)))
    biofm.join_vectors(cells, tmp_path / "mine.npy", "label", ids=tmp_path / "ids.txt")
    known = ["a" if i < 15 else "b" for i in range(30)]
    head = biofm.fit_classifier(cells, known, embeddings=["mine"])
    assert head.scores is not None and head.scores.model.macro_f1 > 0.95
    assert list(biofm.predict(head, cells)[0]) == known


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,x\na,1\na,2\n", "'a' stands in rows 1 and 2"),
        ("id,x\na,one\n", "only numbers"),
        ("id,x\n,1\n", "row 1: there is no id"),
    ],
)
def test_bad_tables_are_refused_with_row_and_reason(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "v.csv").write_text(content)
    with pytest.raises(ConditionsError, match=words):
        read_vectors(tmp_path / "v.csv")


def test_arrays_of_objects_and_wrong_ids_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.save(tmp_path / "v.npy", VALUES)
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(ConditionsError, match="Object arrays cannot be loaded"):
        read_vectors(tmp_path / "o.npy", tmp_path / "ids.txt")
    with pytest.raises(ConditionsError, match="has 2 ids, v.npy 4 rows"):
        read_vectors(tmp_path / "v.npy", tmp_path / "ids.txt")
    with pytest.raises(ConditionsError, match="one id a line"):
        read_vectors(tmp_path / "v.npy")
    for name in ("v.parquet", "v.h5ad"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(ConditionsError, match="cannot be read"):
            read_vectors(tmp_path / name)
    (tmp_path / "v.pkl").write_bytes(b"x")
    with pytest.raises(ConditionsError, match=r"\.pkl: vectors are read from"):
        read_vectors(tmp_path / "v.pkl")


def test_a_head_on_few_labels_is_scored_on_sites_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 2, 40)
    values = rng.normal(0, 1, (40, 6)).astype(np.float32)
    values[:, 0] += 5 * group
    names = [f"s{i}" for i in range(40)]
    pd.DataFrame(values).assign(subject=names).to_csv(tmp_path / "v.csv", index=False)
    pd.DataFrame(rng.normal(0, 1, (40, 3))).assign(subject=names).to_csv(tmp_path / "noise.csv", index=False)
    truth = np.array(["control", "patient"], object)[group]
    told = [t if i < 30 else "" for i, t in enumerate(truth)]
    rows = pd.DataFrame({"subject": names, "site": [f"site{i % 4}" for i in range(40)], "class": told})
    rows.to_csv(tmp_path / "subjects.csv", index=False)
    call = [
        "vectors",
        str(tmp_path / "subjects.csv"),
        "--vectors",
        str(tmp_path / "v.csv"),
        "--key",
        "subject",
    ]
    call += ["--by", "subject", "--label", "class", "--groups", "site", "--out", str(tmp_path / "out.csv")]
    assert main(call) == 0
    assert "on groups left out" in capsys.readouterr().err
    out = pd.read_csv(tmp_path / "out.csv")
    assert (out["predicted"][30:] == truth[30:]).mean() >= 0.9
    head = biofm.few_label_head(
        values, told, list(rows["site"]), rng.normal(0, 1, (40, 3)).astype(np.float32)
    )
    assert head.score > 0.9 and head.baseline is not None and head.baseline < 0.75
    y = values[:, 1] * 2 + 1
    numbers = biofm.few_label_head(values, [f"{v:.4f}" for v in y], list(rows["site"]))
    assert numbers.probability is None and numbers.score > 0.9
    np.testing.assert_allclose(numbers.predicted, y, atol=0.3)
