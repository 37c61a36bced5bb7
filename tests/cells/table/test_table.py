"""The table of cells: one row per label, embeddings, and updates that touch only what changed."""

import numpy as np
import pytest

from napari_biofm.cells.table import update as update_module
from napari_biofm.cells.table.cell_table import (
    add_embedding,
    make_table,
    part_widths,
    text,
    vectors_of,
)
from napari_biofm.cells.table.measure import regionprops_names, regionprops_vectors
from napari_biofm.cells.table.update import changed_labels, update_table
from napari_biofm.types import CellsError


@pytest.fixture
def field():
    """Return a labels image of 16 rectangles, four of them touching, and an image."""
    labels = np.zeros((80, 96), np.int32)
    for i in range(16):
        row, column = divmod(i, 4)
        labels[2 + 19 * row : 2 + 19 * row + 10 + row, 2 + 23 * column : 14 + 23 * column] = i + 1
    labels[2:12, 14:25] = 20
    image = np.random.default_rng(0).normal(100, 10, labels.shape).astype(np.float32)
    return labels, image


def test_a_row_per_cell_with_area_centroid_and_intensity(field):
    labels, image = field
    table = make_table(labels, image=image, layer="nuclei", groups="plate 1")
    assert list(table.obs["label"]) == [*range(1, 17), 20]
    assert table.obs_names[0] == "nuclei:1" and table.obs["cell_id"].iloc[0] == "nuclei:1"
    row = table.obs.loc["nuclei:20"]
    assert row["area"] == (labels == 20).sum()
    assert row["mean_intensity"] == pytest.approx(image[labels == 20].mean(), rel=1e-5)
    assert (row["centroid-0"], row["centroid-1"]) == (6.5, 19.0)
    assert set(table.obs["group"]) == {"plate 1"}
    assert list(text(table, "class_by_hand")) == [""] * 17
    assert table.uns["encoder"]["name"] == "regionprops"


def test_measures_agree_with_scikit_image(field):
    measure = pytest.importorskip("skimage.measure")
    labels, image = field
    vectors, names = regionprops_vectors(image, labels), regionprops_names(image, labels)
    for row, region in zip(vectors, measure.regionprops(labels, image), strict=True):
        found = dict(zip(names, row, strict=True))
        assert found["area"] == region.area
        assert found["axis_0"] == pytest.approx(region.axis_major_length, rel=0.01)
        assert found["axis_1"] == pytest.approx(region.axis_minor_length, rel=0.01)
        assert found["intensity_std"] == pytest.approx(image[labels == region.label].std(), rel=1e-4)
        assert found["intensity_q50"] == pytest.approx(np.median(image[labels == region.label]), rel=0.02)
        assert found["solidity"] == pytest.approx(1.0, abs=0.06)


def test_other_vectors_become_x_and_the_baseline_stays(field):
    labels, image = field
    vectors = np.arange(17 * 5, dtype=np.float32).reshape(17, 5)
    source = {"name": "enc", "weights_sha256": "ab"}
    table = make_table(labels, image=image, vectors=vectors, vector_source="enc", provenance=source)
    assert np.array_equal(table.X, vectors)
    assert set(table.obsm) == {"enc", "regionprops"}
    assert table.uns["encoder"]["weights_sha256"] == "ab"
    both = vectors_of(table, ["enc", "regionprops"])
    assert both.shape == (17, 5 + table.obsm["regionprops"].shape[1])
    add_embedding(table, "trace", np.ones((17, 3), np.float32), {"name": "physio"})
    assert vectors_of(table, "trace").shape == (17, 3)


def test_an_edit_measures_only_the_cells_it_touched(field, monkeypatch):
    labels, image = field
    before = make_table(labels, image=image, layer="n", groups="a")
    before.obs.loc["n:2", "class_by_hand"] = "round"
    before.obs.loc["n:9", "class_by_hand"] = "flat"
    edited = labels.copy()
    edited[edited == 1] = 0
    edited[2:5, 25:30] = 2
    edited[26:34, 87:95] = 40
    measured = []
    real = update_module.measure
    monkeypatch.setattr(
        update_module, "measure", lambda i, m: measured.append(set(np.unique(m)) - {0}) or real(i, m)
    )
    after = update_table(before, edited, [1, 2, 40], image=image)
    assert measured == [{2, 40}]
    monkeypatch.undo()
    afresh = make_table(edited, image=image, layer="n", groups="a")
    assert list(after.obs_names) == list(afresh.obs_names)
    assert np.allclose(after.X, afresh.X, rtol=1e-4, atol=1e-4)
    assert np.allclose(after.obs["centroid-1"], afresh.obs["centroid-1"])
    assert (
        after.obs.loc["n:2", "class_by_hand"] == "round" and after.obs.loc["n:9", "class_by_hand"] == "flat"
    )
    assert after.obs.loc["n:40", "group"] == "a"
    assert before.n_obs == 17


def test_vectors_that_were_not_computed_again_are_nan_not_stale(field):
    labels, image = field
    table = make_table(labels, image=image, vectors=np.ones((17, 4), np.float32), vector_source="enc")
    edited = labels.copy()
    edited[edited == 3] = 0
    edited[60:64, 60:64] = 3
    after = update_table(table, edited, [3], image=image)
    assert np.isnan(after.X[2]).all() and np.isfinite(after.X[[0, 1, 3]]).all()
    given = update_table(table, edited, [3], image=image, vectors={"enc": np.full((1, 4), 7, np.float32)})
    assert (given.X[2] == 7).all()


def test_volumes_and_several_channels(field):
    labels, image = field
    volume = np.stack([labels, labels, np.zeros_like(labels)])
    colour = np.stack([np.stack([image] * 3)] * 2, -1)
    table = make_table(volume, image=colour)
    assert table.obs["centroid-0"].iloc[0] == 0.5
    assert "ch1_intensity_mean" in regionprops_names(colour, volume)
    assert np.isfinite(table.X).all()


def test_no_cells_is_a_table_without_rows():
    table = make_table(np.zeros((8, 8), np.int32), image=np.zeros((8, 8)))
    assert table.n_obs == 0 and "class_by_hand" in table.obs


def test_what_does_not_fit_is_named(field):
    labels, image = field
    with pytest.raises(CellsError, match=r"shape \(3, 4\) for 17 cells"):
        make_table(labels, vectors=np.zeros((3, 4), np.float32), vector_source="enc")
    with pytest.raises(CellsError, match="labels"):
        make_table(labels, image=image[:-1])
    with pytest.raises(CellsError, match="no vectors 'other'"):
        vectors_of(make_table(labels), "other")


def test_masks_that_were_replaced_are_compared_with_the_table(field):
    labels, image = field
    table = make_table(labels, image=image)
    assert len(changed_labels(table, labels)) == 0
    other = labels.copy()
    other[other == 4] = 0
    other[60:62, 60:62] = 33
    other[3, 3] = 0
    assert changed_labels(table, other).tolist() == sorted({1, 4, 33} | {int(labels[60, 60])} - {0})


def test_features_of_a_trace_stand_beside_vectors_and_a_quiet_cell_is_still_described(field):
    labels, image = field
    table = make_table(labels, image=image)
    traces = np.arange(3.0 * table.n_obs, dtype=np.float32).reshape(-1, 3)
    traces[1, 2] = np.nan  # too few events for an interval
    traces[2] = np.nan  # no trace
    add_embedding(table, "traces", traces, {"name": "traces"})
    both = vectors_of(table, ["regionprops", "traces"])
    assert both.shape == (table.n_obs, table.obsm["regionprops"].shape[1] + 3)
    assert both[1, -1] == np.median(np.delete(traces[:, 2], [1, 2]))
    assert np.isnan(both[2, -3:]).all() and np.isfinite(np.delete(both, 2, 0)).all()
    assert part_widths(table, ["regionprops", "traces"]) == [both.shape[1] - 3, 3]
