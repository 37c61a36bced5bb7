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


@dataclass(frozen=True)
class Rotation:
    """Principal axes of standardised vectors.

    Attributes
    ----------
    axes : (d, r) float32, orthonormal columns, largest variance first.
    variances : (r,) float32, mean squares along them.
    """

    axes: NDArray[np.float32]
    variances: NDArray[np.float32]

    @classmethod
    def fit(cls, features: NDArray[np.float32], keep: float = 0.9995, limit: int = 768) -> Rotation:
        """Find the axes that hold the share `keep` of the variance, `limit` at most."""
        n, d = features.shape
        if n >= d:
            variances, axes = np.linalg.eigh(features.T @ features / np.float32(n))
            variances, axes = variances[::-1], axes[:, ::-1]
        else:
            variances, of_rows = np.linalg.eigh(features @ features.T / np.float32(n))
            variances, of_rows = variances[::-1], of_rows[:, ::-1]
            lengths = np.sqrt(np.maximum(variances * n, 1e-12))
            axes = features.T @ (of_rows / lengths)
        variances = np.maximum(variances, 0)
        share = np.cumsum(variances) / max(float(variances.sum()), 1e-12)
        valid = int((variances > 1e-6 * variances[0]).sum())
        r = max(1, min(int(np.searchsorted(share, keep)) + 1, limit, valid))
        return cls(np.ascontiguousarray(axes[:, :r], np.float32), variances[:r].astype(np.float32))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features (n, d) along the axes, (n, r)."""
        return np.asarray(features @ self.axes)
