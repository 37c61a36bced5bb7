"""What one well of the grid shows."""

from __future__ import annotations

from dataclasses import dataclass

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
