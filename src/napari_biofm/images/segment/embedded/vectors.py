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

from napari_biofm.images.segment.embedded.input_planes import PLANES, to_planes_each
from napari_biofm.models.device import memory_format
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
BINS = 24  # of the histogram that entropy is read from


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
        with torch.inference_mode():
            views = torch.from_numpy(crop_views(some))
            tensor = views.to(device).contiguous(memory_format=memory_format(device))
            learned = pool_network(network, tensor).float().cpu().numpy()
        pooled.append(np.concatenate([learned, facts(some)], axis=1))
    if not pooled:
        empty = np.zeros((1, *stack.shape[1:3]), np.float32)
        return crop_vectors(network, empty, device)[:0]
    return np.concatenate(pooled).astype(np.float32)


def part_widths(network: Network) -> tuple[int, int, int]:
    """Return how many columns of `crop_vectors` are learned maps, texture, and facts, in this order."""
    sizes = network.architecture
    return 3 * sizes.vector, 2 * sum(sizes.widths[:LEVELS]), PLANES * FACTS


def crop_views(crops: NDArray[Any]) -> Float:
    """Bring crops of one size to (N, 3, 64, 64): each its own contrast, longest side 64, edges continued.

    Parameters
    ----------
    crops : (N, Y, X) or (N, Y, X, C), any real dtype.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812

    planes = torch.from_numpy(to_planes_each(crops))
    scale = SIDE / max(planes.shape[-2:])
    size = tuple(max(1, round(n * scale)) for n in planes.shape[-2:])
    views = F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=scale < 1)
    high, wide = SIDE - size[0], SIDE - size[1]
    padded = F.pad(views, (wide // 2, wide - wide // 2, high // 2, high - high // 2), mode="replicate")
    return np.asarray(padded.numpy())


def pool_network(network: Network, views: Tensor) -> Tensor:
    """(B, 3, 64, 64) views -> (B, d) learned and multi-scale parts of the vector."""
    import torch

    from napari_biofm.images.segment.embedded.network import pool_window

    levels = network.encode(views)
    parts = [pool_window(network.vectors(levels))]
    for level in levels[:LEVELS]:
        parts.append(pool_window(level)[:, : 2 * level.shape[1]])
    return torch.cat(parts, dim=1)


def facts(crops: NDArray[Any]) -> Float:
    """Size, brightness and coarse shape per channel, in the crops' own units; (N, 3 * FACTS) float32.

    Per channel: log of mean, spread, quantiles (offset by one unit), log integrated intensity over the
    background, foreground area in pixels and its mean, elongation, extent, entropy; channels beyond three
    are left out, missing ones repeat the first.

    Parameters
    ----------
    crops : (N, Y, X) or (N, Y, X, C), any real dtype.
    """
    array = np.asarray(crops)
    stack = np.moveaxis(array.reshape(*array.shape[:3], -1), -1, 1)[:, :PLANES].astype(np.float64)
    stack = np.nan_to_num(stack, nan=0.0, posinf=0.0, neginf=0.0)
    n, channels = stack.shape[:2]
    found = _facts_of(stack.reshape(n * channels, *stack.shape[2:])).reshape(n, channels, FACTS)
    missing = np.repeat(found[:, :1], PLANES - channels, axis=1)
    return np.concatenate([found, missing], axis=1).reshape(n, PLANES * FACTS).astype(np.float32)


def _facts_of(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Facts of planes (N, Y, X), all at once: (N, FACTS)."""
    n, height, width = planes.shape
    edge = np.concatenate([planes[:, 0], planes[:, -1], planes[:, :, 0], planes[:, :, -1]], axis=1)
    flat = planes.reshape(n, -1)
    ground = np.median(edge, axis=1)
    low, *quantiles = np.quantile(flat, (0.01, *QUANTILES), axis=1)
    signal = flat - ground[:, None]
    size = np.abs(signal)
    highest = np.maximum(np.abs(quantiles[-1] - ground), np.abs(low - ground))
    threshold = 0.5 * np.maximum(highest, 1e-9)
    weight = np.where(size > 0.2 * threshold[:, None], size, 0.0)
    inside = size > threshold[:, None]
    count = inside.sum(1)
    long, short = _axes_of(weight.reshape(n, height, width))
    level = np.log1p(np.maximum(np.stack([*quantiles, flat.mean(1), flat.std(1)], axis=1), 0))
    there = np.maximum(count, 1)
    mean_inside = np.where(inside, signal, 0.0).sum(1) / there
    left = np.where(inside, signal - mean_inside[:, None], 0.0)
    shape = [
        np.arcsinh(signal.sum(1) / 100.0),
        np.log1p(np.maximum(signal, 0).sum(1)),
        np.log(there),
        np.sqrt(there),
        np.arcsinh(mean_inside),
        np.log1p(np.sqrt((left**2).sum(1) / there)),
        np.log(long),
        np.log(short),
        short / long,
        _entropy(flat),
    ]
    return np.concatenate([level, np.stack(shape, axis=1)], axis=1)


def _axes_of(weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard deviations (N,) of weights (N, Y, X) along their long and their short axis, pixels."""
    total = weight.sum((1, 2)) + 1e-9
    rows, columns = weight.sum(2), weight.sum(1)
    y, x = np.arange(rows.shape[1], dtype=float), np.arange(columns.shape[1], dtype=float)
    dy, dx = y - (rows @ y / total)[:, None], x - (columns @ x / total)[:, None]
    cyy, cxx = (rows * dy**2).sum(1) / total, (columns * dx**2).sum(1) / total
    cxy = (np.einsum("nyx,nx->ny", weight, dx) * dy).sum(1) / total
    root = np.sqrt(np.maximum((cyy - cxx) ** 2 / 4 + cxy**2, 0))
    middle = (cyy + cxx) / 2
    return np.sqrt(np.maximum(middle + root, 1e-9)), np.sqrt(np.maximum(middle - root, 1e-9))


def _entropy(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy (N,) of the histogram of each row (N, P) in BINS bins between its extremes, binned as NumPy does."""
    n, pixels = flat.shape
    low, high = flat.min(1), flat.max(1)
    constant = high == low
    low, high = np.where(constant, low - 0.5, low), np.where(constant, high + 0.5, high)
    edges = np.linspace(low, high, BINS + 1, axis=1)
    at = ((flat - low[:, None]) / (high - low)[:, None] * BINS).astype(np.intp)
    at[at == BINS] -= 1
    at[flat < np.take_along_axis(edges, at, axis=1)] -= 1  # rounding put these one bin too high, or too low
    at[(flat >= np.take_along_axis(edges, at + 1, axis=1)) & (at < BINS - 1)] += 1
    counts = np.bincount((at + BINS * np.arange(n)[:, None]).ravel(), minlength=n * BINS).reshape(n, BINS)
    shares = counts / pixels
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(1))
