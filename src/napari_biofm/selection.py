"""Cells by their ids: one, and a set of them that costs as much for 100,000 cells as for ten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class CellKey(NamedTuple):
    """The id of a cell: its label value and the unique id of the Labels layer it lives in."""

    layer: str
    label: int


class CellSet(Set[CellKey]):
    """Immutable set of cells, kept as one sorted array of labels per layer.

    A frozenset of 100,000 `CellKey` takes a fifth of a second to make, in one breath, and as long to let go of.

    Parameters
    ----------
    labels : label values by the unique id of their layer, in any order.
    """

    __slots__ = ("_labels",)

    def __init__(self, labels: Mapping[str, NDArray[np.integer]] | None = None) -> None:
        arrays = {layer: _ascending(values) for layer, values in (labels or {}).items()}
        self._labels = {layer: arrays[layer] for layer in sorted(arrays) if len(arrays[layer])}

    @classmethod
    def of(cls, cells: Iterable[CellKey]) -> CellSet:
        """Return the set of these cells."""
        if isinstance(cells, CellSet):
            return cells
        labels: dict[str, list[int]] = {}
        for layer, label in cells:
            labels.setdefault(layer, []).append(label)
        return cls({layer: np.asarray(values, np.int64) for layer, values in labels.items()})

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> CellSet:  # type: ignore[override]
        return cls.of(it)

    def labels_of(self, layer: str | None) -> NDArray[np.int64]:
        """Return the labels of the cells of one layer, ascending (n,)."""
        return self._labels.get(layer or "", np.zeros(0, np.int64))

    @property
    def labels(self) -> set[int]:
        """Labels of all cells, whatever their layer."""
        return {label for values in self._labels.values() for label in values.tolist()}

    def without(self, layer: str) -> CellSet:
        """Return the cells of all other layers."""
        return CellSet({name: values for name, values in self._labels.items() if name != layer})

    def __len__(self) -> int:
        return sum(map(len, self._labels.values()))

    def __iter__(self) -> Iterator[CellKey]:
        for layer, values in self._labels.items():
            for label in values.tolist():
                yield CellKey(layer, label)

    def __contains__(self, cell: Any) -> bool:
        layer, label = cell
        values = self.labels_of(layer)
        at = int(np.searchsorted(values, label))
        return at < len(values) and int(values[at]) == label

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CellSet):
            return super().__eq__(other)
        theirs = other._labels
        return self._labels.keys() == theirs.keys() and all(
            np.array_equal(values, theirs[layer]) for layer, values in self._labels.items()
        )

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"CellSet({ {layer: values.tolist() for layer, values in self._labels.items()} })"


def _ascending(values: NDArray[np.integer]) -> NDArray[np.int64]:
    labels = np.asarray(values, np.int64)
    return labels if (np.diff(labels) > 0).all() else np.unique(labels)
