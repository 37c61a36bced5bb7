"""Standardising vectors: centre and scale per column, columns without information muted, outliers clipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLIP = 8.0  # standard deviations


@dataclass(frozen=True)
class Scaler:
    """mean, scale : (d,) float32; a scale of 0 mutes the column (constant in training)."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, vectors: NDArray[np.floating]) -> Scaler:
        """Measure columns of `vectors` (n, d), which must be finite."""
        mean = vectors.mean(0, dtype=np.float64)
        std = vectors.std(0, dtype=np.float64)
        constant = std <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        with np.errstate(divide="ignore"):
            scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, std))
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    @property
    def is_constant(self) -> bool:
        """Whether no column says anything."""
        return not self.scale.any()

    def apply(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return standardised vectors (n, d) float32; rows with NaN stay NaN."""
        scaled = np.asarray(vectors, np.float32) - self.mean
        scaled *= self.scale
        return np.clip(scaled, -CLIP, CLIP, out=scaled)
