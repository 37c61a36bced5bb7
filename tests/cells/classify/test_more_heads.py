"""Every head learns, saves without pickle, comes back the same, and refuses vectors of another encoder."""

import json

import numpy as np
import pytest
import sklearn

from napari_biofm.cells.classify.more_heads import HEADS, make_head
from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.types import CellsError

SOURCE = {"enc": {"name": "enc", "weights_sha256": "a" * 64}}


def clouds(n=150, d=8, k=3, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(k, d)) * 2
    codes = np.arange(n) % k
    return (centres[codes] + rng.normal(size=(n, d))).astype(np.float32), np.asarray(list("abc"))[codes]


@pytest.mark.parametrize("name", sorted(HEADS))
def test_it_learns_and_a_saved_one_says_the_same(name, tmp_path, monkeypatch):
    monkeypatch.setattr(HEADS["forest"], "n_trees", 20)
    monkeypatch.setattr(HEADS["network"], "epochs", 30)
    x, y = clouds()
    x[4] = np.nan
    head = make_head(name).fit(x, y, [str(i // 10) for i in range(150)])
    unseen, truth = clouds(90, seed=3)
    found = head.predict_proba(unseen)
    assert (np.asarray(head.classes)[found.argmax(1)] == truth).mean() > 0.9
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)
    assert np.isnan(head.predict_proba(x)[4]).all()
    save_head(tmp_path / "head", SavedHead(head, ("enc",), SOURCE, {"n_labels": 150}))
    again = load_head(tmp_path / "head")
    np.testing.assert_array_equal(again.head.predict_proba(unseen), found)
    assert again.details["n_labels"] == 150
    assert sorted(p.name for p in (tmp_path / "head").iterdir()) == ["head.json", "head.safetensors"]


@pytest.mark.parametrize("name", ["forest", "boosting"])
@pytest.mark.parametrize("classes", [2, 3])
def test_walking_the_stored_trees_agrees_with_scikit_learn(name, classes):
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    from napari_biofm.cells.classify.trees import flatten_boosting, flatten_forest, sum_of_leaves

    x, y = clouds(120, k=classes)
    codes = np.unique(y, return_inverse=True)[1]
    if name == "forest":
        model = RandomForestClassifier(10, random_state=0).fit(x, codes)
        found = sum_of_leaves(flatten_forest(model, classes), x) / 10
        np.testing.assert_allclose(found, model.predict_proba(x), atol=1e-6)
    else:
        model = HistGradientBoostingClassifier(max_iter=5).fit(x, codes)
        flat = flatten_boosting(model, classes)
        logits = sum_of_leaves(flat, x) + flat["baseline"]
        likely = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(likely, model.predict_proba(x), atol=1e-6)


@pytest.mark.skipif(
    tuple(int(n) for n in sklearn.__version__.split(".")[:2]) < (1, 9),
    reason="scikit-learn before 1.9 cuts at quantiles without weights",
)
def test_trees_grown_on_numbers_of_bins_are_those_grown_on_values():
    from sklearn.ensemble import HistGradientBoostingClassifier

    from napari_biofm.cells.classify.trees import bins_of, cuts_between_bins, flatten_boosting, sum_of_leaves

    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 6)).astype(np.float32)
    x[:, 0], x[:, 1] = np.round(3 * x[:, 0]), 1.0  # few values, and one
    codes = (x[:, 2] + 0.5 * rng.normal(size=700) > 1).astype(int) + (x[:, 3] > 0.3)
    weight = rng.uniform(0.5, 2.0, 700)
    plain = HistGradientBoostingClassifier(max_iter=8, early_stopping=False, random_state=0)
    binned = HistGradientBoostingClassifier(max_iter=8, early_stopping=False, random_state=0)
    cuts = cuts_between_bins(x, weight)
    trees = [
        flatten_boosting(plain.fit(x, codes, sample_weight=weight), 3),
        flatten_boosting(binned.fit(bins_of(x, cuts), codes, sample_weight=weight), 3, cuts),
    ]
    new = rng.normal(size=(500, 6)).astype(np.float32)
    np.testing.assert_array_equal(*(sum_of_leaves(grown, new) for grown in trees))


def test_vectors_of_another_encoder_are_refused():
    head = make_head().fit(*clouds())
    saved = SavedHead(head, ("enc",), SOURCE)
    assert saved.match({"other": {"name": "x"}, "called otherwise": SOURCE["enc"]}) == ["called otherwise"]
    with pytest.raises(CellsError, match=r"weights aaaaaaaaaaaa.*bbbb"):
        saved.match({"enc": {"name": "enc", "weights_sha256": "b" * 64}})
    with pytest.raises(CellsError, match=r"needs the vectors 'enc'.*there are: other"):
        saved.match({"other": {}})


def test_vectors_of_crops_and_of_a_map_are_not_taken_for_each_other():
    weights = {"name": "enc", "weights_sha256": "a" * 64}
    saved = SavedHead(
        make_head().fit(*clouds()), ("enc",), {"enc": {**weights, "recipe": "crops", "views": 4}}
    )
    there = {"enc": {**weights, "recipe": "map"}}
    assert saved.missing(there) == ["enc"]
    with pytest.raises(CellsError, match=r"of single-cell crops, but .*map of the whole image.*do not mix"):
        saved.match(there)
    there["enc crops"] = {**weights, "recipe": "crops", "views": 4}
    assert saved.match(there) == ["enc crops"] and not saved.missing(there)


def test_a_head_of_parts_lets_few_telling_columns_speak_among_many():
    rng = np.random.default_rng(0)
    codes = np.arange(300) % 3
    names = np.asarray(["a", "b", "c"])[codes]
    telling = np.eye(3)[codes] * 1.5 + rng.normal(size=(300, 3))
    x = np.concatenate([rng.normal(size=(300, 400)), telling], 1).astype(np.float32)
    fit, test = slice(0, 150), slice(150, 300)

    def right(head):
        return (np.asarray(head.classes)[head.predict_proba(x[test]).argmax(1)] == names[test]).mean()

    parts = make_head(parts=(400, 3)).fit(x[fit], names[fit])
    assert right(parts) > right(make_head().fit(x[fit], names[fit])) + 0.05
    assert parts.shares[1] > 5 * parts.shares[0]
    again = type(parts).restore(*parts.state())
    np.testing.assert_array_equal(again.predict_proba(x), parts.predict_proba(x))
    with pytest.raises(CellsError, match="do not make up vectors of 403"):
        make_head(parts=(400, 4)).fit(x, names)


def test_what_is_no_head_is_named(tmp_path):
    with pytest.raises(CellsError, match=r"head.safetensors and head.json not found"):
        load_head(tmp_path)
    save_head(tmp_path / "head", SavedHead(make_head().fit(*clouds()), ("enc",), SOURCE))
    manifest = json.loads((tmp_path / "head" / "head.json").read_text())
    (tmp_path / "head" / "head.json").write_text(json.dumps({**manifest, "head": "sorcery"}))
    with pytest.raises(CellsError, match="newer napari-biofm"):
        load_head(tmp_path / "head")
    (tmp_path / "head" / "head.json").write_text("{")
    with pytest.raises(CellsError, match="damaged"):
        load_head(tmp_path / "head")
    with pytest.raises(CellsError, match="There is no head 'oracle'"):
        make_head("oracle")


def test_a_failed_save_leaves_the_former_head(tmp_path, monkeypatch):
    head = make_head().fit(*clouds())
    save_head(tmp_path / "head", SavedHead(head, ("enc",), SOURCE, {"n": 1}))
    with pytest.raises(TypeError):
        save_head(tmp_path / "head", SavedHead(head, ("enc",), SOURCE, {"n": object()}))
    assert load_head(tmp_path / "head").details == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["head"]
