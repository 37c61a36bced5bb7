"""What is written is what is there, keyed by id, and comes back the same."""

import numpy as np
import pytest

from napari_biofm.cells.table.cell_table import make_table, text
from napari_biofm.cells.table.export import (
    class_codes,
    class_image,
    read_classes,
    read_h5ad,
    write_csv,
    write_h5ad,
)
from napari_biofm.types import CellsError


@pytest.fixture
def table():
    labels = np.kron(np.asarray([[1, 0, 7], [0, 4, 0]]), np.ones((6, 6), int)).astype(np.int32)
    made = make_table(labels, image=labels.astype(float), layer="n", provenance={"name": "x"})
    made.obs["class_by_hand"] = ["a", "", "b"]
    made.obs["predicted"] = ["a", "unknown", "b"]
    made.uns["classes"] = {"names": ["a", "b"], "colours": ["#ff0000", "#00ff00"]}
    return labels, made


def test_a_table_comes_back_from_its_file(table, tmp_path):
    _, made = table
    back = read_h5ad(write_h5ad(made, tmp_path / "t.h5ad"))
    assert list(back.obs_names) == list(made.obs_names)
    np.testing.assert_array_equal(back.X, made.X)
    for column in ("class_by_hand", "predicted", "layer", "group"):
        assert list(text(back, column)) == list(text(made, column))
    back.obs.loc["n:4", "class_by_hand"] = "a class nobody had"
    assert list(back.uns["classes"]["names"]) == ["a", "b"]
    assert made.obs["predicted"].dtype == object  # writing left the table as it was
    assert [p.name for p in tmp_path.iterdir()] == ["t.h5ad"]


def test_the_csv_has_a_line_per_cell_and_its_ids(table, tmp_path):
    lines = write_csv(table[1], tmp_path / "t.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[1].startswith("n:1,n,1,")


def test_a_class_image_says_of_every_pixel_what_the_table_says(table):
    labels, made = table
    image = class_image(labels, made, ["a", "b"])
    assert (image[labels == 1] == 1).all() and (image[labels == 7] == 2).all()
    assert (image[labels == 4] == 255).all() and (image[labels == 0] == 0).all()
    assert class_codes(made, ["a", "b"], "class_by_hand").tolist() == [1, 0, 2]


def test_labels_are_read_by_cell_id_or_label_and_unknown_ids_named(table, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("object_id,label\nn:1,x\n7,y\n")
    assert read_classes(table[1], path) == {"n:1": "x", "n:7": "y"}
    path.write_text("object_id,label\n1,x\n8,y\n")
    with pytest.raises(CellsError, match="1 ids are no cells of this layer: 8"):
        read_classes(table[1], path)


def test_what_is_no_table_is_named(tmp_path):
    import anndata

    (tmp_path / "x.h5ad").write_text("nothing")
    with pytest.raises(CellsError, match="cannot be read"):
        read_h5ad(tmp_path / "x.h5ad")
    anndata.AnnData(np.zeros((2, 2), np.float32)).write_h5ad(tmp_path / "y.h5ad")
    with pytest.raises(CellsError, match="no table of cells"):
        read_h5ad(tmp_path / "y.h5ad")
