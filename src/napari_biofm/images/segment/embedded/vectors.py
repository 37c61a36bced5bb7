"""Feature maps and single-cell crops -> one vector per cell, by a fixed recipe.

A cell's state shows in three ways: what the network learned to see (pooled maps), texture at several
scales (pooled
encoder levels), and plain facts that normalising the input removes: how large and how bright the cell is.
The vector
of a crop holds all three, in this order; that of a mask in a feature map holds the first and the pooled
input planes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded.input_planes import PLANES, to_planes
from napari_biofm.types import FeatureMap, ImageError, Labels, Vectors

if TYPE_CHECKING:
    from torch import Tensor

    from napari_biofm.images.segment.embedded.network import Network

Float = NDArray[np.float32]
SIDE = 64  # network pixels of the longest side of a crop
BATCH = 64
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LEVELS = 4  # encoder levels whose texture is pooled
FACTS = 18  # plain facts per channel, see `facts`


def pool_masks(features: FeatureMap, masks: Labels) -> Vectors:
    """Pool mean and spread of a feature map under every mask.

    Parameters
    ----------
    features : (C, h, w) map of `EmbeddedModel`.
    masks : (Y, X) labels of the same image.

    Returns
    -------
    (n, 2 C + 1) float32, rows in rising order of label: means, spreads, log2 of the area in pixels.

    Raises
    ------
    ImageError : if masks and map belong to images of different shape.
    """
    if tuple(masks.shape) != tuple(features.shape):
        raise ImageError(
            f"masks of shape {masks.shape} do not fit a feature map of an image {features.shape}"
        )
    present = np.unique(masks)
    present = present[present > 0]
    channels, height, width = features.data.shape
    if not len(present):
        return np.zeros((0, 2 * channels + 1), np.float32)
    index = np.searchsorted(present, masks)
    rows, columns = (features.positions(np.arange(n), axis) for axis, n in enumerate(masks.shape))
    inside = np.flatnonzero(masks.ravel())
    where = (rows[:, None] * width + columns).ravel()[inside]
    area = np.bincount(index.ravel()[inside], minlength=len(present)).astype(np.float64)
    from scipy.sparse import csr_matrix

    share = csr_matrix(
        (1.0 / area[index.ravel()[inside]], (index.ravel()[inside], where)),
        shape=(len(present), height * width),
    )
    flat = features.data.reshape(channels, -1).T.astype(np.float32)
    mean = share @ flat
    spread = np.sqrt(np.maximum(share @ flat**2 - mean**2, 0) + 1e-5)
    return np.concatenate([mean, spread, np.log2(area)[:, None]], axis=1).astype(np.float32)


def crop_vectors(network: Network, crops: NDArray[Any], device: str = "cpu") -> Vectors:
    """Compute vectors of crops that each show one cell in their middle.

    Parameters
    ----------
    crops : (N, Y, X) or (N, Y, X, C), any real dtype.

    Returns
    -------
    (N, d) float32; d depends on the model only.

    Raises
    ------
    ImageError : if the stack has another number of axes or no pixels.
    """
    import torch

    stack = np.asarray(crops)
    if stack.ndim not in (3, 4) or 0 in stack.shape[1:]:
        raise ImageError(f"crops of shape {stack.shape} are not (N, Y, X) or (N, Y, X, C)")
    pooled = []
    for start in range(0, len(stack), BATCH):
        some = stack[start : start + BATCH]
        views = np.stack([crop_view(crop) for crop in some])
        with torch.inference_mode():
            tensor = torch.from_numpy(views).to(device).contiguous(memory_format=torch.channels_last)
            learned = pool_network(network, tensor).float().cpu().numpy()
        pooled.append(np.concatenate([learned, np.stack([facts(crop) for crop in some])], axis=1))
    if not pooled:
        empty = np.zeros((1, *stack.shape[1:3]), np.float32)
        return crop_vectors(network, empty, device)[:0]
    return np.concatenate(pooled).astype(np.float32)


def part_widths(network: Network) -> tuple[int, int, int]:
    """Return how many columns of `crop_vectors` are learned maps, texture, and facts, in this order."""
    sizes = network.architecture
    return 3 * sizes.vector, 2 * sum(sizes.widths[:LEVELS]), PLANES * FACTS


def crop_view(crop: NDArray[Any]) -> Float:
    """Bring one crop to (3, 64, 64): its own contrast, longest side 64, edges continued."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    planes = torch.from_numpy(np.array(to_planes(crop, polarity=False)))[None]
    scale = SIDE / max(planes.shape[-2:])
    size = tuple(max(1, round(n * scale)) for n in planes.shape[-2:])
    view = F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=scale < 1)
    high, wide = SIDE - size[0], SIDE - size[1]
    padded = F.pad(view, (wide // 2, wide - wide // 2, high // 2, high - high // 2), mode="replicate")
    return np.asarray(padded[0].numpy())


def pool_network(network: Network, views: Tensor) -> Tensor:
    """(B, 3, 64, 64) views -> (B, d) learned and multi-scale parts of the vector."""
    import torch

    from napari_biofm.images.segment.embedded.network import pool_window

    levels = network.encode(views)
    parts = [pool_window(network.vectors(levels))]
    for level in levels[:LEVELS]:
        parts.append(pool_window(level)[:, : 2 * level.shape[1]])
    return torch.cat(parts, dim=1)


def facts(crop: NDArray[Any]) -> Float:
    """Size, brightness and coarse shape per channel, in the crop's own units; (3 * FACTS,) float32.

    Per channel: log of mean, spread, quantiles (offset by one unit), log integrated intensity over the
    background, foreground area in pixels and its mean, elongation, extent, entropy; channels beyond three
    are left out, missing ones repeat the first.
    """
    array = np.asarray(crop)
    stack = np.moveaxis(array.reshape(*array.shape[:2], -1), -1, 0)[:PLANES].astype(np.float64)
    stack = np.nan_to_num(stack, nan=0.0, posinf=0.0, neginf=0.0)
    rows = [_facts_of(channel) for channel in stack]
    return np.concatenate(rows + [rows[0]] * (PLANES - len(rows))).astype(np.float32)


def _facts_of(channel: NDArray[np.float64]) -> NDArray[np.float64]:
    edge = np.concatenate([channel[0], channel[-1], channel[:, 0], channel[:, -1]])
    ground = float(np.median(edge))
    signal = channel - ground
    quantiles = np.quantile(channel, QUANTILES)
    threshold = 0.5 * max(abs(float(np.quantile(signal, 0.99))), abs(float(np.quantile(signal, 0.01))), 1e-9)
    weight = np.abs(signal) * (np.abs(signal) > 0.2 * threshold)
    inside = np.abs(signal) > threshold
    area = max(int(inside.sum()), 1)
    y, x = np.mgrid[: channel.shape[0], : channel.shape[1]]
    total = weight.sum() + 1e-9
    my, mx = (weight * y).sum() / total, (weight * x).sum() / total
    cyy, cxx = (weight * (y - my) ** 2).sum() / total, (weight * (x - mx) ** 2).sum() / total
    cxy = (weight * (y - my) * (x - mx)).sum() / total
    root = np.sqrt(max((cyy - cxx) ** 2 / 4 + cxy**2, 0))
    long, short = np.sqrt(max((cyy + cxx) / 2 + root, 1e-9)), np.sqrt(max((cyy + cxx) / 2 - root, 1e-9))
    shares = np.histogram(channel, bins=24)[0] / channel.size
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    level = np.log1p(np.maximum(np.concatenate([quantiles, [channel.mean(), channel.std()]]), 0))
    mean_inside = float(signal[inside].mean()) if inside.any() else 0.0
    deviation = float(signal[inside].std()) if inside.any() else 0.0
    shape = [
        np.arcsinh(signal.sum() / 100.0),
        np.log1p(float(np.clip(signal, 0, None).sum())),
        np.log(area),
        np.sqrt(area),
        np.arcsinh(mean_inside),
        np.log1p(deviation),
        np.log(long),
        np.log(short),
        short / long,
        entropy,
    ]
    return np.concatenate([level, shape])
