"""A set of many cells behaves like a set."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.selection import CellKey, CellSet

FEW = [CellKey("a", 3), CellKey("b", 1), CellKey("a", 1)]


def test_it_is_the_set_of_its_cells() -> None:
    cells = CellSet.of(FEW)
    assert cells == set(FEW) and set(FEW) == cells and cells == frozenset(FEW)
    assert cells != {FEW[0]} and cells != CellSet.of(FEW[:2])
    assert len(cells) == 3 and sorted(cells) == sorted(FEW)
    assert FEW[0] in cells and CellKey("a", 2) not in cells and CellKey("c", 1) not in cells
    assert hash(cells) == hash(CellSet.of(reversed(FEW)))
    assert cells.labels == {1, 3}
    assert not CellSet() and CellSet.of([]) == frozenset()


def test_sets_are_combined() -> None:
    cells = CellSet.of(FEW)
    more = {CellKey("a", 3), CellKey("a", 9)}
    assert cells ^ more == {CellKey("b", 1), CellKey("a", 1), CellKey("a", 9)}
    assert cells | more == {*FEW, *more} and cells & more == {CellKey("a", 3)}
    assert more - cells == {CellKey("a", 9)}
    assert isinstance(cells ^ more, CellSet)
    assert cells.without("a") == {CellKey("b", 1)}


def test_labels_of_a_layer_are_sorted_once_each() -> None:
    cells = CellSet({"a": np.asarray([5, 1, 5, 3]), "b": np.asarray([], int)})
    assert cells.labels_of("a").tolist() == [1, 3, 5] and len(cells) == 3
    assert cells.labels_of("b").tolist() == [] and cells.labels_of(None).tolist() == []


@pytest.mark.parametrize("label", [0, 7, 10**6])
def test_what_is_not_in_it_is_not_found(label: int) -> None:
    assert CellKey("a", label) not in CellSet({"a": np.arange(1, 7)})
