"""Heads learn classes from few labelled cells and say when they are not sure."""

import numpy as np
import pytest

from napari_biofm.cells.classify.heads import Head, LogisticHead, PartFits, decide, encode, write_predictions
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.types import CellsError


def clouds(n=200, d=12, k=3, spread=1.0, seed=0):
    """Return n vectors from k Gaussian clouds, and the names of their classes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(k, d)) * 2
    codes = np.arange(n) % k
    vectors = (centres[codes] + spread * rng.normal(size=(n, d))).astype(np.float32)
    return vectors, np.asarray([f"class {c}" for c in codes])


def test_the_default_head_separates_clouds_and_its_probabilities_add_up():
    x, y = clouds()
    head = LogisticHead().fit(x, y)
    unseen, truth = clouds(seed=5)
    found = head.predict_proba(unseen)
    assert isinstance(head, Head)
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    assert (decide(found, head.classes) == truth).mean() > 0.97


def test_probabilities_are_calibrated_on_clouds_that_overlap():
    x, y = clouds(600, d=2, spread=2.5)
    unseen, truth = clouds(4000, d=2, spread=2.5, seed=9)
    found = LogisticHead().fit(x, y).predict_proba(unseen)
    right = decide(found, ("class 0", "class 1", "class 2")) == truth
    assert abs(found.max(1).mean() - right.mean()) < 0.05


def test_below_the_chosen_confidence_a_cell_is_unknown_and_without_vectors_it_is_nothing():
    p = np.asarray([[0.9, 0.1], [0.55, 0.45], [np.nan, np.nan]], np.float32)
    assert list(decide(p, ("a", "b"), 0.6)) == ["a", "unknown", ""]


def test_a_rare_class_is_not_swallowed_by_a_frequent_one():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (970, 4)), rng.normal(1.5, 1, (30, 4))]).astype(np.float32)
    y = np.asarray(["often"] * 970 + ["rare"] * 30)
    found = decide(LogisticHead().fit(x, y).predict_proba(x), ("often", "rare"))
    assert (found[970:] == "rare").mean() > 0.8


def test_state_makes_the_same_head_again():
    x, y = clouds()
    head = LogisticHead().fit(x, y)
    again = LogisticHead.restore(*head.state())
    assert np.array_equal(again.predict_proba(x), head.predict_proba(x))


def test_the_table_is_predicted_from_its_labels_by_hand():
    labels = np.kron(np.arange(1, 31).reshape(5, 6), np.ones((6, 6), int)).astype(np.int32)
    x, y = clouds(30)
    table = make_table(labels, vectors=x, vector_source="enc", layer="n")
    table.obs.iloc[:12, table.obs.columns.get_loc("class_by_hand")] = y[:12]
    write_predictions(table, LogisticHead().fit(x[:12], y[:12]), x, 0.3)
    assert (table.obs["predicted"].to_numpy() == y).mean() > 0.9
    assert table.obs["probability"].between(0, 1).all()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 2)), ["a", "a", "a"], "only 'a'"),
        (np.zeros((0, 2)), [], "labelled is none"),
        (np.ones((4, 2)), ["a", "b", "a", "b"], "same vector"),
        (np.full((4, 2), np.nan), ["a", "b", "a", "b"], "finite vectors"),
    ],
)
def test_what_cannot_be_learnt_from_is_said(x, y, message):
    with pytest.raises(CellsError, match=message):
        encode(x.astype(np.float32), y)


def test_rows_of_nan_are_left_out_of_training_and_a_single_cell_is_a_class():
    x, y = clouds(40)
    x[3] = np.nan
    y[5] = "alone"
    head = LogisticHead().fit(x, y)
    assert "alone" in head.classes
    found = head.predict_proba(x)
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, 0)).all()


def test_vectors_of_another_width_are_refused():
    head = LogisticHead().fit(*clouds())
    with pytest.raises(CellsError, match="12 columns"):
        head.predict_proba(np.zeros((2, 5), np.float32))


def test_parts_fitted_in_one_company_are_not_fitted_again_in_another():
    rng = np.random.default_rng(0)
    codes = np.arange(120) % 3
    names = np.asarray(["a", "b", "c"])[codes]
    x = (np.eye(3)[codes] @ rng.normal(size=(3, 30)) + rng.normal(size=(120, 30))).astype(np.float32)
    groups = list(np.arange(120) // 10)
    fits = PartFits()
    LogisticHead(parts=(18,), fits=fits).fit(x[:, :18], names, groups)
    shared = LogisticHead(parts=(18, 12), fits=fits).fit(x, names, groups)
    alone = LogisticHead(parts=(18, 12)).fit(x, names, groups)
    assert len(fits._fits) == 2
    assert shared.chosen_l2 == alone.chosen_l2
    np.testing.assert_allclose(shared.predict_proba(x), alone.predict_proba(x), atol=1e-4)
    np.testing.assert_allclose(
        shared.again().fit(x, names, groups).predict_proba(x), alone.predict_proba(x), atol=1e-4
    )
    LogisticHead(parts=(18,), fits=fits).fit(x[:, :18], np.roll(names, 1), groups)
    assert len(fits._fits) == 5  # both again with the penalties chosen, and one of other labels
