"""Handcrafted measurements of cells: shape, intensity, texture and radial profile, one row per label.

This is the embedding of vectors that is always there, and the baseline every encoder has to beat. All of it
is done on the sorted list of foreground pixels, without a loop over cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.cells.table.label_pixels import PixelLists, divide, split_channels
from napari_biofm.types import Image, Labels, Vectors

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SCALES = (1.0, 2.0, 4.0)  # sigma of the difference-of-Gaussian bands, pixels
LAGS = (1, 2, 4)  # distance of the pixel pairs compared for texture, pixels
N_ANGLES = 16
Column = NDArray[np.float64]


def regionprops_vectors(image: Image | None, labels: Labels) -> Vectors:
    """Measure every labelled cell.

    Parameters
    ----------
    image : (Y, X), (Z, Y, X) or the same with channels last; None measures shapes only.
    labels : (Y, X) or (Z, Y, X) int; 0 is background.

    Returns
    -------
    (n_cells, n_measures) float32, rows in ascending order of label; columns as in `regionprops_names`.

    Raises
    ------
    CellsError
        If the image does not have the shape of the labels.
    """
    return measure(image, labels)[1].astype(np.float32)


def regionprops_names(image: Image | None, labels: Labels) -> list[str]:
    """Return the names of the columns of `regionprops_vectors` for this kind of input."""
    corner = tuple(slice(0, 2) for _ in labels.shape)
    tiny = np.ones(labels[corner].shape, np.int32)
    return list(_columns(None if image is None else image[corner], tiny, PixelLists(tiny)))


def measure(image: Image | None, labels: Labels) -> tuple[NDArray[np.int64], Column, list[str]]:
    """Return label values (n,), measures (n, m) float64 and their names."""
    pixels = PixelLists(labels)
    columns = _columns(image, labels, pixels)
    stack = np.stack(list(columns.values()), 1) if len(pixels.values) else np.zeros((0, len(columns)))
    return pixels.values, stack, list(columns)


def _columns(image: Image | None, labels: Labels, pixels: PixelLists) -> dict[str, Column]:
    depth = _depth(labels)
    columns = _shape(labels, pixels, depth.reshape(-1)[pixels.index])
    if image is not None:
        channels = split_channels(image, labels.shape)
        for i, channel in enumerate(channels):
            prefix = f"ch{i}_" if len(channels) > 1 else ""
            found = _intensity(channel, labels, pixels, depth)
            columns.update({prefix + name: column for name, column in found.items()})
    return columns


def _depth(labels: Labels) -> NDArray[np.float32]:
    """Distance of each foreground pixel to the border of its own cell (also to a touching one)."""
    inside = labels > 0
    for axis in range(labels.ndim):
        ahead = [slice(None)] * labels.ndim
        behind = [slice(None)] * labels.ndim
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        differs = labels[tuple(ahead)] != labels[tuple(behind)]
        inside[tuple(ahead)] &= ~differs
        inside[tuple(behind)] &= ~differs
    distance = scipy.ndimage.distance_transform_edt(np.pad(inside, 1))
    core = distance[tuple(slice(1, -1) for _ in labels.shape)]
    return np.where(labels > 0, core + 1.0, 0.0).astype(np.float32)


def _shape(labels: Labels, pixels: PixelLists, depth: NDArray[np.float32]) -> dict[str, Column]:
    ndim = labels.ndim
    area = pixels.count.astype(float)
    offsets = [c - pixels.spread(pixels.mean(c)) for c in pixels.coordinates]
    axes = _axes(offsets, None, pixels)
    border = pixels.sum((depth <= 1.0).astype(float))
    widths, circumscribed = _feret(offsets, pixels)
    box = np.prod([pixels.max(o) - pixels.min(o) + 1 for o in offsets], axis=0)
    shape = {
        "area": area,
        "log_area": np.log(np.maximum(area, 1)),
        "equivalent_diameter": area ** (1 / ndim),
        "border": border,
        "form_factor": divide(area ** ((ndim - 1) / ndim), border),
        "extent": divide(area, box),
        "feret_max": widths.max(0),
        "feret_min": widths.min(0),
        "feret_ratio": divide(widths.min(0), widths.max(0)),
        "depth_max": pixels.max(depth),
        "depth_mean": pixels.mean(depth),
        "roundness": divide(pixels.max(depth), axes[-1] + 0.5),
        "compactness": divide(sum(pixels.mean(o * o) for o in offsets), area ** (2 / ndim)),
    }
    if circumscribed is not None:
        shape["solidity"] = divide(area, circumscribed)
    shape |= {f"axis_{i}": axis for i, axis in enumerate(axes)}
    shape |= {f"axis_ratio_{i}": divide(axis, axes[0]) for i, axis in enumerate(axes) if i}
    return shape


def _axes(offsets: list[Column], weights: Column | None, pixels: PixelLists) -> Column:
    """Lengths of the axes of the ellipsoid with the same second moments, longest first, (ndim, n)."""
    n, ndim = len(pixels.values), len(offsets)
    total = pixels.count.astype(float) if weights is None else pixels.sum(weights)
    moments = np.zeros((n, ndim, ndim))
    for i in range(ndim):
        for j in range(i, ndim):
            product = offsets[i] * offsets[j] * (1.0 if weights is None else weights)
            moments[:, i, j] = moments[:, j, i] = divide(pixels.sum(product), total)
    moments[:, range(ndim), range(ndim)] += 1 / 12  # a pixel is a square, not a point
    finite = np.isfinite(moments).all((1, 2))
    lengths = np.full((n, ndim), np.nan)
    lengths[finite] = 4 * np.sqrt(np.maximum(np.linalg.eigvalsh(moments[finite]), 0))
    return np.asarray(lengths[:, ::-1].T)


def _feret(offsets: list[Column], pixels: PixelLists) -> tuple[Column, Column | None]:
    """Widths of each cell in many directions, and the area of the polygon around it in 2D."""
    if len(offsets) != 2:
        return np.stack([pixels.max(o) - pixels.min(o) + 1 for o in offsets]), None
    angles = np.arange(N_ANGLES) * np.pi / N_ANGLES
    high, low = [], []
    for angle in angles:
        c, s = np.cos(angle), np.sin(angle)
        along = c * offsets[0] + s * offsets[1]
        pad = (abs(c) + abs(s)) / 2
        high.append(pixels.max(along) + pad)
        low.append(pad - pixels.min(along))
    support = np.concatenate([high, low])  # the support function over a full turn
    step = np.pi / N_ANGLES
    neighbours = np.roll(support, 1, 0) + np.roll(support, -1, 0)
    edges = np.maximum((neighbours - 2 * support * np.cos(step)) / np.sin(step), 0)
    return np.asarray(high) + np.asarray(low), np.asarray((support * edges).sum(0) / 2)


def _intensity(
    channel: NDArray[Any], labels: Labels, pixels: PixelLists, depth: NDArray[np.float32]
) -> dict[str, Column]:
    values = channel.reshape(-1)[pixels.index].astype(np.float64)
    mean = pixels.mean(values)
    centred = values - pixels.spread(mean)
    variance = pixels.mean(centred**2)
    std = np.sqrt(variance)
    columns = {
        "intensity_mean": mean,
        "intensity_std": std,
        "intensity_cv": divide(std, np.abs(mean)),
        "intensity_sum": pixels.sum(values),
        "intensity_skew": divide(pixels.mean(centred**3), std**3),
        "intensity_kurtosis": divide(pixels.mean(centred**4), variance**2),
    }
    for q, column in zip(QUANTILES, pixels.quantiles(values, QUANTILES), strict=True):
        columns[f"intensity_q{round(100 * q)}"] = column
    columns |= _radial(values, mean, pixels, depth.reshape(-1)[pixels.index])
    columns |= _texture(channel, labels, pixels, std)
    return columns


def _radial(
    values: Column, mean: Column, pixels: PixelLists, depth: NDArray[np.float32]
) -> dict[str, Column]:
    """How intensity lies in the cell: border against core, off-centre mass, width of the mass."""
    relative = (depth - 0.5) / pixels.spread(np.maximum(pixels.max(depth), 1.0))
    columns: dict[str, Column] = {}
    for i, (low, high) in enumerate(((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.01))):
        ring = ((relative >= low) & (relative < high)).astype(float)
        in_ring = divide(pixels.sum(ring * values), pixels.sum(ring), otherwise=mean)
        columns[f"radial_{i}"] = divide(in_ring - mean, np.abs(mean))
    weights = values - pixels.spread(pixels.min(values))
    total = pixels.sum(weights)
    centres = [divide(pixels.sum(weights * c), total, otherwise=pixels.mean(c)) for c in pixels.coordinates]
    shift = sum((a - pixels.mean(c)) ** 2 for a, c in zip(centres, pixels.coordinates, strict=True))
    diameter = pixels.count ** (1 / len(centres))
    columns["mass_shift"] = np.sqrt(shift) / diameter
    offsets = [c - pixels.spread(a) for a, c in zip(centres, pixels.coordinates, strict=True)]
    axes = _axes(offsets, weights, pixels)
    columns["mass_width"] = axes[0] / diameter
    columns["mass_ratio"] = divide(axes[-1], axes[0])
    return columns


def _texture(channel: NDArray[Any], labels: Labels, pixels: PixelLists, std: Column) -> dict[str, Column]:
    """Band energies, gradient, and likeness of pixels some steps apart."""
    filled = np.nan_to_num(channel.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    columns: dict[str, Column] = {}
    smooth = filled
    for sigma in SCALES:
        smoother = scipy.ndimage.gaussian_filter(filled, sigma)
        band = (smooth - smoother).reshape(-1)[pixels.index].astype(float)
        columns[f"band_{sigma:g}_mean"] = divide(pixels.mean(band), std)
        columns[f"band_{sigma:g}_std"] = divide(pixels.std(band), std)
        if sigma == SCALES[0]:
            gradient = _slope(smoother).reshape(-1)[pixels.index].astype(float)
            columns["gradient_mean"] = pixels.mean(gradient)
            columns["gradient_std"] = pixels.std(gradient)
        smooth = smoother
    for lag in LAGS:
        columns[f"contrast_{lag}"] = divide(_contrast(filled, labels, pixels, lag), std**2)
    return columns


def _slope(smooth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the gradient, from central differences."""
    squared = np.zeros_like(smooth)
    for axis in range(smooth.ndim):
        if smooth.shape[axis] > 1:
            squared += np.gradient(smooth, axis=axis) ** 2
    return np.asarray(np.sqrt(squared))


def _contrast(filled: NDArray[np.float32], labels: Labels, pixels: PixelLists, lag: int) -> Column:
    """Mean squared difference of pixels `lag` apart within one cell, over the axes."""
    total = np.zeros(len(pixels.values))
    pairs = np.zeros(len(pixels.values))
    for axis in range(labels.ndim):
        if labels.shape[axis] <= lag:
            continue
        ahead = [slice(None)] * labels.ndim
        behind = [slice(None)] * labels.ndim
        ahead[axis], behind[axis] = slice(lag, None), slice(None, -lag)
        same = (labels[tuple(ahead)] == labels[tuple(behind)]) & (labels[tuple(ahead)] > 0)
        squared = np.zeros(labels.shape, np.float32)
        squared[tuple(ahead)] = (filled[tuple(ahead)] - filled[tuple(behind)]) ** 2 * same
        counted = np.zeros(labels.shape, np.float32)
        counted[tuple(ahead)] = same
        total += pixels.sum(squared.reshape(-1)[pixels.index].astype(float))
        pairs += pixels.sum(counted.reshape(-1)[pixels.index].astype(float))
    return divide(total, pairs)
