"""Scores leave whole groups out, say when they are optimistic, and put baselines beside the model."""

import numpy as np
import pytest

from napari_biofm.cells.classify.scores import cross_validate, macro_f1, make_report
from napari_biofm.cells.table.folds import make_folds
from napari_biofm.cells.values.regression import RegressionHead, score_regression
from napari_biofm.types import CellsError, run_task


def plates(n=240, seed=0):
    """Return vectors whose first columns tell the class and whose others tell the plate."""
    rng = np.random.default_rng(seed)
    codes, plate = np.arange(n) % 3, np.arange(n) // 30
    signal = np.eye(3)[codes] * 2 + rng.normal(size=(n, 3))
    drift = rng.normal(size=(8, 4))[plate] * 3
    vectors = np.concatenate([signal, drift + 0.1 * rng.normal(size=(n, 4))], 1).astype(np.float32)
    return vectors, np.asarray(["a", "b", "c"])[codes], [f"plate {p}" for p in plate]


def test_folds_keep_groups_together_and_cover_every_cell():
    codes = np.arange(200) % 4
    groups = [f"g{i // 9}" for i in range(200)]
    folds = make_folds(codes, groups, 5)
    assert len(folds) == 5
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested.tolist()) == list(range(200))
    for train, test in folds:
        assert not {groups[i] for i in train} & {groups[i] for i in test}
        assert len(np.unique(codes[test])) == 4
        assert 20 < len(test) < 60


def test_macro_f1_weighs_classes_alike():
    assert macro_f1(np.asarray([[90, 0], [10, 0]])) == pytest.approx((2 * 90 / 190) / 2)


def test_the_score_agrees_with_scikit_learn_and_lies_in_its_interval():
    metrics = pytest.importorskip("sklearn.metrics")
    x, y, groups = plates()
    score, predicted = run_task(cross_validate(x, y, groups))
    assert score.macro_f1 == pytest.approx(metrics.f1_score(y, predicted.astype(str), average="macro"))
    assert score.low < score.macro_f1 < score.high
    assert score.left_out == "groups" and score.n_groups == 8
    assert np.asarray(score.confusion).sum() == 240


def test_a_model_that_does_not_beat_the_baseline_is_called_so():
    x, y, groups = plates()
    noise = np.random.default_rng(5).normal(size=(240, 6)).astype(np.float32)
    report = run_task(make_report(noise, y, groups, {"regionprops": x}, name="noise"))
    assert any("do not beat the baseline 'regionprops'" in words for words in report.warnings)
    better = run_task(make_report(x, y, groups, {"regionprops": noise}))
    assert better.warnings == []
    assert better.baselines["regionprops"].macro_f1 < 0.5 < better.model.macro_f1
    easy = np.eye(3, dtype=np.float32)[np.unique(y, return_inverse=True)[1]]
    tied = run_task(make_report(easy, y, groups, {"regionprops": easy.copy()}, name="easy"))
    assert [w for w in tied.warnings if "both make no mistake" in w] and "do not beat" not in str(
        tied.warnings
    )
    curve = better.learning_curve
    assert curve[0]["n_labels"] < curve[-1]["n_labels"]
    assert curve[0]["macro_f1"] < curve[-1]["macro_f1"] + 0.05


def test_a_random_split_is_said_to_be_optimistic_and_small_classes_are_named():
    x, y, _ = plates(60)
    y = y.copy()
    y[:56][y[:56] == "c"] = "a"
    report = run_task(make_report(x, y, None, curve=False))
    assert report.model.left_out == "random cells"
    assert "Optimistic" in report.warnings[0]
    assert any("Class 'c' has" in words for words in report.warnings)


def test_too_few_labels_are_counted_out():
    with pytest.raises(CellsError, match=r"a: 3, b: 1"):
        run_task(cross_validate(np.eye(4, dtype=np.float32), ["a", "a", "a", "b"]))


def test_regression_finds_what_is_there_and_says_what_is_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 10)).astype(np.float32)
    told = x[:, :2] @ [1.0, -2.0] + 0.5 * rng.normal(size=200)
    untold = rng.normal(size=200)
    values = np.stack([told, untold], 1)
    values[::7, 0] = np.nan
    score = run_task(score_regression(x, values, ["told", "untold"], [str(i // 20) for i in range(200)]))
    assert score.r2[0] > 0.8 and score.chance[0] < 0.1 and score.p[0] < 0.06
    assert score.r2[1] < 0.1
    assert len(score.warnings) == 1 and "'untold'" in score.warnings[0]
    head = RegressionHead().fit(x, values, ["told", "untold"])
    again = RegressionHead.restore(*head.state())
    np.testing.assert_array_equal(again.predict(x), head.predict(x))
    assert np.corrcoef(head.predict(x)[:, 0], told)[0, 1] > 0.9


def test_a_value_per_well_is_permuted_by_well():
    rng = np.random.default_rng(1)
    wells = [str(i // 20) for i in range(200)]
    x = rng.normal(size=(200, 5)).astype(np.float32)
    level = np.repeat(rng.normal(size=10), 20)
    score = run_task(score_regression(x, level, ["gene"], wells))
    assert score.p[0] > 0.05 and score.warnings
