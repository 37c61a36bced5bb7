"""The live head: the same answers as a fit from scratch, and cells ranked for labelling."""

import numpy as np
import pytest

from napari_biofm.cells.classify.active_learning import find_similar, label_next, largest, outlier_scores
from napari_biofm.cells.classify.heads import decide
from napari_biofm.cells.classify.live import LiveHead, prepare
from napari_biofm.cells.classify.projection import pca, umap
from napari_biofm.types import CellsError, run_task


def cells(n=600, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    centres = rng.normal(size=(3, 20)) * 2
    return (centres[codes] + rng.normal(size=(n, 20))).astype(np.float32), codes


def test_a_few_labels_classify_all_and_a_click_changes_little():
    x, codes = cells()
    head = LiveHead(prepare(x))
    labels = np.full(600, -1)
    labels[:9] = codes[:9]
    first = head.refit(labels)
    assert (first.code == codes).mean() > 0.95
    labels[9:12] = codes[9:12]
    warm = head.refit(labels)
    cold = LiveHead(head.prepared).refit(labels)
    np.testing.assert_allclose(warm.probabilities, cold.probabilities, atol=0.03)


def test_one_class_gives_no_prediction_and_rows_of_nan_are_nothing():
    x, _ = cells()
    x[7] = np.nan
    head = LiveHead(prepare(x))
    labels = np.full(600, -1)
    labels[0] = 0
    assert head.refit(labels) is None
    labels[1] = 1
    found = head.refit(labels)
    assert found.code[7] == -1 and np.isnan(found.probability[7])
    assert set(np.delete(found.code, 7)) <= {0, 1}


def test_tuning_calibrates_on_left_out_cells():
    rng = np.random.default_rng(2)
    codes = np.arange(900) % 2
    x = (codes[:, None] * 0.8 + rng.normal(size=(900, 3))).astype(np.float32)
    head = LiveHead(prepare(x))
    labels = np.where(np.arange(900) < 200, codes, -1)
    head.tune(labels)
    found = head.refit(labels)
    right = (found.code == codes)[200:]
    assert abs(found.probability[200:].mean() - right.mean()) < 0.06


def test_the_saved_form_says_the_same_of_plain_vectors():
    x, codes = cells()
    live = LiveHead(prepare(x))
    labels = np.where(np.arange(600) < 30, codes, -1)
    found = live.refit(labels)
    head = live.as_head(["zebra", "ant", "mole"])
    assert head.classes == ("ant", "mole", "zebra")
    names = np.asarray(["zebra", "ant", "mole"])[found.code]
    assert (decide(head.predict_proba(x), head.classes) == names).mean() > 0.995


def test_vectors_that_say_nothing_are_refused():
    with pytest.raises(CellsError, match="same vector"):
        prepare(np.ones((10, 4), np.float32))
    with pytest.raises(CellsError, match="finite"):
        prepare(np.full((10, 4), np.nan, np.float32))


def test_the_oddest_cell_is_ranked_first():
    x, _ = cells()
    x[123] += 30
    prepared = prepare(x)
    scores = outlier_scores(prepared.features, prepared.finite)
    assert scores.argmax() == 123 and scores[123] == 1.0


def test_similar_cells_are_of_the_same_kind():
    x, codes = cells()
    found = find_similar(prepare(x).features, [4], 50)
    assert len(found) == 50 and 4 not in found
    assert (codes[found] == codes[4]).mean() > 0.95
    with pytest.raises(CellsError, match="Choose a cell"):
        find_similar(x, [])


def test_the_likest_cells_are_those_of_all_cosines():
    x, _ = cells(5000)
    rows = np.array([3, 70, 900])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    likeness = (unit @ unit[rows].T).max(1)
    likeness[rows] = -1
    np.testing.assert_array_equal(find_similar(x, rows, 20), np.argsort(-likeness, kind="stable")[:20])
    assert len(find_similar(x, np.arange(4000), 50)) == 50  # a lasso's worth: a sample of them is compared


def test_the_largest_come_first_and_equal_ones_in_their_order():
    values = np.random.default_rng(0).integers(0, 30, 1000).astype(float)
    for n in (1, 10, 400, 1000, 2000):
        np.testing.assert_array_equal(largest(values, n), np.argsort(-values, kind="stable")[:n])


def test_label_next_asks_about_the_border_between_classes_and_spreads_out():
    rng = np.random.default_rng(0)
    position = rng.uniform(-3, 3, 400)
    x = np.stack([position, rng.normal(size=400) * 0.3], 1).astype(np.float32)
    prepared = prepare(x)
    labels = np.full(400, -1)
    labels[position.argmin()], labels[position.argmax()] = 0, 1
    found = LiveHead(prepared).refit(labels)
    asked = label_next(prepared.features, labels >= 0, found.probabilities, None, 10)
    assert len(set(asked.tolist())) == 10
    assert np.abs(position[asked]).mean() < 1.2
    assert not (labels[asked] >= 0).any()
    at_first = label_next(prepared.features, np.zeros(400, bool), None, None, 10)
    assert np.ptp(position[at_first]) > 3


def test_labels_teach_faster_when_the_queue_chooses_them():
    x, codes = cells(900, seed=4)
    prepared = prepare(x)
    labels = np.full(900, -1)
    for row in label_next(prepared.features, np.zeros(900, bool), None, None, 6):
        labels[row] = codes[row]
    assert len(set(labels[labels >= 0])) == 3


def test_pca_at_once_agrees_with_an_exact_one():
    x, _ = cells()
    standard = (x - x.mean(0)) / x.std(0)
    u, s, _ = np.linalg.svd(standard, full_matrices=False)
    exact, quick = u[:, :2] * s[:2], pca(prepare(x).features)
    assert quick.shape == (600, 2)
    for i in range(2):
        assert abs(np.corrcoef(exact[:, i], quick[:, i])[0, 1]) > 0.999


@pytest.mark.slow
def test_umap_keeps_clouds_apart_and_leaves_out_what_has_no_vectors():
    pytest.importorskip("umap")
    x, codes = cells(120)
    x[5] = np.nan
    found = run_task(umap(x))
    assert found.shape == (120, 2) and np.isnan(found[5]).all()
    kept = np.delete(np.arange(120), 5)
    centres = np.stack([found[kept][codes[kept] == c].mean(0) for c in range(3)])
    nearest = ((found[kept][:, None] - centres) ** 2).sum(2).argmin(1)
    assert (nearest == codes[kept]).mean() > 0.95


def test_without_umap_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("napari_biofm.cells.classify.projection.has_umap", lambda: False)
    with pytest.raises(CellsError, match=r"pip install 'napari-biofm\[umap\]'"):
        run_task(umap(np.zeros((9, 2), np.float32)))
