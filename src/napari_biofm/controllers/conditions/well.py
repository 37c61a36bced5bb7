"""What one well of the grid shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LOW, HIGH = (68, 1, 84), (253, 231, 37)  # ends of the colours of the heat map


@dataclass(frozen=True)
class Well:
    """A cell of the grid: `text` of the column that is shown, `shade` from 0 to 1 or NaN, `tip` with all that is known."""

    text: str = ""
    shade: float = float("nan")
    tip: str = ""

    @property
    def colour(self) -> tuple[int, int, int] | None:
        """Red, green and blue of the heat map; None where the well has no value."""
        if not np.isfinite(self.shade):
            return None
        red, green, blue = (int(a + self.shade * (b - a)) for a, b in zip(LOW, HIGH, strict=True))
        return red, green, blue


def features_of(ids: Any, classes: Mapping[int, str]) -> dict[str, Any] | None:
    """Return the class of each label for napari's features, None where nothing was classified."""
    if not classes:
        return None
    return {"index": ids, "class": np.array([classes.get(int(i), "") for i in ids], object)}


def counts_of(classes: Mapping[int, str]) -> list[tuple[str, int]]:
    """Return the classes in order of their names, with the number of cells of each."""
    names = list(classes.values())
    return [(name, names.count(name)) for name in sorted(set(names))]
