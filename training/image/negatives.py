"""Crops in which nothing, or little, is a cell: noise, empty ground, out-of-focus light, dust, bars, hot pixels.

The contrast of an image without cells is stretched until its noise fills the range from 0 to 1, and that of a large
image with few cells nearly so. What a network sees then is drawn here, so that it learns to find nothing in it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded.input_planes import HIGH, LOW, PLANES
from training.image.augment import Crop, Float, Rng
from training.image.synthetic import smooth_noise

EMPTY = ("noise", "noise", "ground", "ground", "defocus", "dust")  # kinds of crops without a cell


def empty_crop(grounds: list[NDArray[Any]], size: int, rng: Rng) -> Crop:
    """Draw a crop without a cell, its contrast stretched as in use.

    Parameters
    ----------
    grounds : planes (P, Y, X) of real pictures without their cells, see `ground_of`.
    size : of the crop, network pixels.
    rng : source of chance.
    """
    kind = str(rng.choice(EMPTY))
    if kind == "ground" and grounds:
        picture = _cut(grounds[rng.integers(len(grounds))], size, rng)
    else:
        picture = _drawn(kind, size, rng)[None]
    low, high = np.percentile(picture, (LOW, HIGH))
    planes = (picture - low) / max(float(high - low), 1e-6)
    if rng.random() < 0.15:
        planes = 1.0 - planes
    planes = np.repeat(planes, PLANES, 0) if len(planes) == 1 else planes
    valid = np.ones((size, size), np.float32)
    if rng.random() < 0.3:  # the edge of the picture, as in other crops
        edge, side = int(rng.integers(4, size // 3)), int(rng.integers(4))
        np.rot90(valid, side)[:edge] = 0
    none = np.zeros((size, size), np.float32)
    planes = (np.clip(planes, -0.5, 2.0) * valid).astype(np.float32)
    return Crop(planes, none.astype(np.int32), np.stack([none, none]), none, valid, 22.0)


def _drawn(kind: str, size: int, rng: Rng) -> Float:
    """Draw a picture (size, size) without a cell; unscaled."""
    zoom = float(rng.choice([1.0, 1.0, 1.5, 2.0]))  # small cells, or what is taken for them, are enlarged
    n = int(np.ceil(size / zoom))
    grain: Float = np.zeros((n, n), np.float32)
    choice = rng.random()
    if choice < 0.4:
        grain = rng.poisson(10 ** rng.uniform(-0.7, 2.5), (n, n)).astype(np.float32)
    else:
        grain = rng.normal(0, 1, (n, n)).astype(np.float32)
    if rng.random() < 0.5:
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.4, 2.2)), np.float32)
    if rng.random() < 0.2:
        grain = np.asarray(cv2.medianBlur(grain, 3), np.float32)
    grain /= grain.std() + 1e-6
    if rng.random() < 0.2:  # rows or columns of a camera
        grain = grain + rng.normal(0, rng.uniform(0.1, 0.8), (n, 1)).astype(np.float32)
    if rng.random() < 0.3:
        grain = grain + rng.uniform(0.5, 3) * smooth_noise((n, n), n / 3, rng)
    if kind == "defocus":
        for sigma in rng.uniform(8, 40, 2):
            grain = grain * rng.uniform(0.02, 0.5) + smooth_noise((n, n), sigma, rng)
    if kind == "dust":
        _dust(grain, rng)
    if rng.random() < 0.2:  # hot pixels
        grain[rng.random((n, n)) < 10 ** rng.uniform(-4, -2)] += rng.uniform(3, 30)
    return np.asarray(cv2.resize(grain, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _dust(grain: Float, rng: Rng) -> None:
    """Put specks, rings and fibres on a picture, in place."""
    n = len(grain)
    layer = np.zeros_like(grain)
    for _ in range(rng.integers(1, 8)):
        centre = tuple(int(v) for v in rng.integers(0, n, 2))
        radius, level = int(rng.integers(1, 5)), float(rng.normal(0, 8))
        what = rng.random()
        if what < 0.5:
            cv2.circle(layer, centre, radius, level, -1)
        elif what < 0.75:
            cv2.circle(layer, centre, 2 * radius + 3, level, 1)
        else:
            end = tuple(int(v) for v in rng.integers(0, n, 2))
            cv2.line(layer, centre, end, level, 1)
    grain += cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 2.5))


def ground_of(planes: NDArray[Any], labels: NDArray[Any], rng: Rng) -> NDArray[np.float32] | None:
    """Return a picture with its cells covered by ground from elsewhere in it; None where there is too little ground.

    Parameters
    ----------
    planes : (P, Y, X).
    labels : (Y, X), 0 is ground.
    rng : source of chance.
    """
    reach = 2 * int(max(3, 0.15 * np.sqrt(np.bincount(labels.ravel())[1:].mean()))) + 1
    covered = cv2.dilate((labels > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    if covered.mean() > 0.7:
        return None
    out = planes.astype(np.float32).copy()
    left = covered.copy()
    for _ in range(60):
        shift = tuple(int(rng.integers(n)) for n in labels.shape)
        fits = left & ~np.roll(covered, shift, (0, 1))
        out[:, fits] = np.roll(planes, shift, (1, 2))[:, fits]
        left &= ~fits
        if not left.any():
            return out
    return None


def _cut(ground: NDArray[Any], size: int, rng: Rng) -> Float:
    """Cut and turn a part of a ground, enlarged by 1 to 2, as (P, size, size)."""
    zoom = rng.uniform(0.8, 2.0)
    side = int(min(max(16, size / zoom), *ground.shape[1:]))
    y, x = (int(rng.integers(0, n - side + 1)) for n in ground.shape[1:])
    part = np.rot90(ground[:, y : y + side, x : x + side], int(rng.integers(4)), (1, 2))
    return np.stack([cv2.resize(np.ascontiguousarray(p), (size, size)) for p in part])


def overstretch(planes: Float, labels: NDArray[Any], rng: Rng) -> Float:
    """Stretch the contrast of a crop with cells as that of a large image with few of them is stretched.

    Parameters
    ----------
    planes : (P, S, S) as the network sees them.
    labels : (S, S), 0 is ground; at least an eighth of the crop has to be, else nothing is done.
    rng : source of chance.
    """
    ground = planes[:, labels == 0]
    if ground.shape[1] < labels.size / 8:
        return planes
    low, high = np.percentile(ground, (LOW, HIGH))
    share = rng.uniform(0.3, 1.0)
    high = share * high + (1 - share) * max(float(planes.max()), high)
    stretched = (planes - low) / max(float(high - low), 1e-3)
    grain = rng.normal(0, rng.uniform(0.05, 0.25), planes.shape[1:])
    if rng.random() < 0.5:
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 1.5)), np.float64) * 2
    return np.clip(stretched + grain, -0.5, 2.0).astype(np.float32)


def fade(planes: Float, labels: NDArray[Any], rng: Rng) -> Float:
    """Let the cells of a crop stand little above noise: contrast at 1 to 4 standard deviations of a pixel's noise."""
    inside, ground = planes[:, labels > 0], planes[:, labels == 0]
    if not inside.size or ground.shape[1] < labels.size / 8:
        return planes
    contrast = abs(float(inside.mean() - ground.mean()))
    grain = rng.normal(0, contrast / rng.uniform(1, 4), planes.shape[1:]).astype(np.float32)
    noisy = planes + grain
    low, high = np.percentile(noisy, (LOW, HIGH))
    return np.clip((noisy - low) / max(float(high - low), 1e-3), -0.5, 2.0).astype(np.float32)


def litter(planes: Float, rng: Rng) -> Float:
    """Put a bar, letters or hot pixels on a crop; they belong to the ground, or to the cell they lie on."""
    out = planes.copy()
    if rng.random() < 0.5:
        y, x = rng.integers(0, out.shape[1] - 8), rng.integers(0, out.shape[2] - 24)
        high, wide = rng.integers(2, 8), rng.integers(16, out.shape[2] // 2)
        out[:, y : y + high, x : x + wide] = rng.choice([1.0, 1.5, 2.0])
        return out
    hot = rng.random(out.shape[1:]) < 10 ** rng.uniform(-4, -2.3)
    out[:, hot] = rng.uniform(1, 2)
    return out
