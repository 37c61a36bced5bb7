"""Groups found without labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.cells.classify import clustering
from napari_biofm.cells.classify.clustering import METHODS, cluster
from napari_biofm.types import CellsError, run_task


def three_groups() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 2, 3], [60, 40, 20])
    centres = 8 * np.eye(3, 5)
    return (centres[truth - 1] + rng.normal(size=(120, 5))).astype(np.float32), truth


@pytest.mark.parametrize("method", METHODS)
def test_three_groups_are_found_the_largest_first_and_cells_without_vectors_belong_to_none(
    method: str,
) -> None:
    if method == clustering.LEIDEN:
        pytest.importorskip("leidenalg")
    points, truth = three_groups()
    points[7] = np.nan
    number = {"k-means": 3, "HDBSCAN": 10, "Leiden": 15}[method]
    found = run_task(cluster(points, method, number))
    assert found[7] == 0
    agreed = (found == truth)[np.arange(120) != 7]
    assert agreed.mean() > (0.9 if method == "HDBSCAN" else 0.99)  # HDBSCAN leaves some alone
    assert np.array_equal(found, run_task(cluster(points, method, number)))


def test_what_leiden_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "has_leiden", lambda: False)
    with pytest.raises(CellsError, match=r"napari-biofm\[leiden\]"):
        run_task(cluster(three_groups()[0], "Leiden", 5))
