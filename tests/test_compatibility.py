"""Private parts of libraries that we touch are where we expect them; a release that moved them fails here first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyabf
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from napari_biofm.cells.classify.sklearn_compat import boosted_trees, boosting_baseline
from napari_biofm.cells.classify.trees import flatten_boosting, sum_of_leaves
from napari_biofm.signals.readers import pyabf_compat
from napari_biofm.simulate import write_abf
from napari_biofm.types import CellsError, RecordingError

ABF2 = Path(__file__).parent / "fixtures" / "recordings"


def test_every_private_part_of_pyabf_that_is_read_is_there(tmp_path: Path) -> None:
    first = write_abf(tmp_path / "one.abf", [np.sin(np.arange(2000) / 50)], ["Vm"], ["mV"], 10_000.0)
    second = next(path for path in sorted(ABF2.glob("*.abf")) if path.read_bytes()[:4] == b"ABF2")
    for path in (first, second):
        header = pyabf.ABF(str(path), loadData=False)
        for name in pyabf_compat.PRIVATE[header.abfVersion["major"]]:
            assert getattr(header, name) is not None, f"{path.name}: {name}"
        assert pyabf_compat.sample_dtype(header) in (np.dtype(np.int16), np.dtype(np.float32))


def test_a_part_that_moved_is_named_with_the_release_to_install() -> None:
    class Moved:
        abfVersion = {"major": 2}  # noqa: N815 (pyabf's own name)

    with pytest.raises(RecordingError, match=r"pyabf .* keeps '_protocolSection' elsewhere .* install pyabf"):
        pyabf_compat.protocol_section(Moved())


def test_boosted_trees_read_from_scikit_learn_give_its_own_answers() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 5)).astype(np.float32)
    classes = (features[:, 0] + features[:, 1] ** 2 > 0.5).astype(int) + (features[:, 2] > 1)
    boosting = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(features, classes)
    assert len(boosted_trees(boosting)) == 10
    assert boosting_baseline(boosting).shape == (3,)
    trees = flatten_boosting(boosting, 3)
    logits = sum_of_leaves(trees, features) + trees["baseline"]
    np.testing.assert_allclose(logits, boosting.decision_function(features), atol=1e-4)


def test_trees_that_moved_are_told_with_what_to_do() -> None:
    with pytest.raises(CellsError, match="choose another kind of classifier"):
        boosted_trees(object())
