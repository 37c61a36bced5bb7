"""An untrained network: what any trained encoder has to beat (arXiv 2603.13377)."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.embed.crops import check_crops
from napari_biofm.types import Vectors

WIDTHS = (48, 96, 192)
SIZES = (5, 5, 5)
FLOOR = 0.002  # of a crop's maximum: where the log scale begins
BATCH = 16  # crops at a time: their maps then stay in the cache


class RandomConvEncoder:
    """Three convolutions with fixed random weights, ReLU, mean and standard deviation of each map.

    Each crop is seen twice: as it is, and with its intensities on a log scale (faint texture counts).

    Filters have zero mean and there are no biases: a brighter background changes nothing, and a crop's
    vector does not depend on the other crops.

    Attributes
    ----------
    name : "random-conv".
    weights_sha256 : hash of what makes the weights; they are drawn, not stored.
    """

    name = "random-conv"
    crop_parts: tuple[int, ...] = ()

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.weights_sha256 = hashlib.sha256(
            f"random-conv {WIDTHS} {SIZES} {FLOOR} {seed}".encode()
        ).hexdigest()

    def crop_vectors(self, crops: NDArray[Any]) -> Vectors:
        """Return (N, d) float32 for crops (N, Y, X[, C])."""
        import torch

        stack = check_crops(crops)
        n, channels = len(stack), stack.shape[-1]
        with torch.inference_mode():
            filters = self._filters(channels)
            parts = []
            for start in range(0, n, BATCH):
                batch = torch.from_numpy(stack[start : start + BATCH]).permute(0, 3, 1, 2)
                views = [self._forward(batch, filters), self._forward(_log_scale(batch), filters)]
                parts.append(np.concatenate(views, 1))
        return np.concatenate(parts) if parts else np.zeros((0, 4 * sum(WIDTHS)), np.float32)

    def _filters(self, channels: int) -> list[Any]:
        import torch

        rng = np.random.default_rng(self.seed)
        filters = []
        for width, size in zip(WIDTHS, SIZES, strict=True):
            drawn = rng.normal(0, np.sqrt(2 / (size**2 * channels)), (width, channels, size, size))
            filters.append(torch.from_numpy((drawn - drawn.mean((2, 3), keepdims=True)).astype(np.float32)))
            channels = width
        return filters

    def _forward(self, maps: Any, filters: list[Any]) -> NDArray[np.float32]:
        import torch
        from torch.nn import functional

        pooled = []
        for weights in filters:
            half = weights.shape[-1] // 2
            padded = functional.pad(maps, (half, half, half, half), mode="replicate")
            maps = functional.relu(functional.conv2d(padded, weights))
            if min(maps.shape[2:]) >= 4:
                maps = functional.avg_pool2d(maps, 2)
            pooled += [maps.mean((2, 3)), maps.std((2, 3))]
        return np.asarray(torch.cat(pooled, 1), np.float32)


def _log_scale(batch: Any) -> Any:
    """Return log(1 + x / floor), the floor being a share of each crop's own maximum."""
    import torch

    floor = FLOOR * batch.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return torch.log1p(batch.clamp(min=0) / floor)
