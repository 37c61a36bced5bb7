"""Random crops of pictures and of single cells, as the network is to see them. Numpy and OpenCV, a
generator as seed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded.input_planes import PLANES, to_planes
from training.image.data import Picture

Float = NDArray[np.float32]
Rng = np.random.Generator


class Crop(NamedTuple):
    """One training crop of S x S network pixels.

    planes (3, S, S); labels (S, S) int32; flow (2, S, S); log_diameter (S, S), 0 outside cells;
    valid (S, S) float32, 0 outside the picture; diameter, what the picture's median object measures here.
    """

    planes: Float
    labels: NDArray[np.int32]
    flow: Float
    log_diameter: Float
    valid: Float
    diameter: float


def crop_picture(picture: Picture, size: int, diameter: float, rng: Rng) -> Crop:
    """Cut a randomly turned and flipped crop in which the median object is `diameter` pixels wide."""
    factor = diameter / picture.diameter
    angle = rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.normal(0, 0.06, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([1.0, -1.0 if rng.random() < 0.5 else 1.0])
    forward = factor * (np.diag(stretch) @ turn @ flip)  # source (x, y) -> crop (x, y)
    centre = _centre(picture, size / factor, rng)
    half = 0.75 * size / factor + 3
    y0, x0 = (max(0, int(c - half)) for c in centre)
    y1, x1 = (min(n, int(c + half) + 1) for c, n in zip(centre, picture.labels.shape, strict=True))
    shift = np.array([size / 2, size / 2]) - forward @ np.array([centre[1] - x0, centre[0] - y0])
    matrix = np.column_stack([forward, shift])

    def warp(array: Any, mode: int) -> Any:
        return cv2.warpAffine(np.ascontiguousarray(array), matrix, (size, size), flags=mode, borderValue=0)

    part = picture.planes[:, y0:y1, x0:x1].astype(np.float32)
    if factor < 0.7:
        part = np.stack([cv2.GaussianBlur(p, (0, 0), 0.42 / factor - 0.3) for p in part])
    planes = np.stack([warp(p, cv2.INTER_LINEAR) for p in part])
    labels = warp(picture.labels[y0:y1, x0:x1].astype(np.float32), cv2.INTER_NEAREST).astype(np.int32)
    valid = warp(np.ones((y1 - y0, x1 - x0), np.float32), cv2.INTER_NEAREST)
    fy, fx = (warp(f.astype(np.float32), cv2.INTER_NEAREST) for f in picture.flow[:, y0:y1, x0:x1])
    gx, gy = forward[0, 0] * fx + forward[0, 1] * fy, forward[1, 0] * fx + forward[1, 1] * fy
    norm = np.sqrt(gx * gx + gy * gy)
    flow = np.stack([gy, gx]) / np.maximum(norm, 1e-6)
    log_diameter = np.log2(np.maximum(picture.diameters * factor, 1.0))[labels] * (labels > 0)
    return Crop(planes, labels, flow.astype(np.float32), log_diameter.astype(np.float32), valid, diameter)


def _centre(picture: Picture, span: float, rng: Rng) -> tuple[float, float]:
    """Choose a centre: seven times in ten near an object, every other one of these near any object, however
    small; one crop in four may lie up to a third outside the picture, as pictures have edges.
    """
    inside = 0.8 if rng.random() < 0.75 else 0.35
    bounds = []
    for n in picture.labels.shape:
        margin = min(0.5 * span, 0.5 * n)
        bounds.append((margin * inside, n - margin * inside))
    if rng.random() < 0.7:
        where = np.flatnonzero(picture.labels)
        if rng.random() < 0.5:
            y, x = _any_object(picture, rng)
        else:
            y, x = divmod(int(where[rng.integers(len(where))]), picture.labels.shape[1])
        spread = 0.25 * span
        down, right = y + rng.uniform(-spread, spread), x + rng.uniform(-spread, spread)
        return float(np.clip(down, *bounds[0])), float(np.clip(right, *bounds[1]))
    return float(rng.uniform(*bounds[0])), float(rng.uniform(*bounds[1]))


def _any_object(picture: Picture, rng: Rng) -> tuple[int, int]:
    """Choose a pixel of an object, every object as likely as the next."""
    chosen = rng.choice(np.flatnonzero(picture.diameters[1:])) + 1
    where = np.flatnonzero(picture.labels == chosen)
    y, x = divmod(int(where[rng.integers(len(where))]), picture.labels.shape[1])
    return y, x


def disturb(planes: NDArray[np.floating], rng: Rng) -> Float:
    """Change gain, contrast, sharpness, noise, light, polarity and channels; (P, S, S) -> (3, S, S)."""
    if len(planes) == PLANES and rng.random() < 0.25:
        mix = rng.dirichlet(np.ones(PLANES))
        planes = np.tensordot(mix, planes, 1)[None]
    if len(planes) == PLANES:
        planes = planes * np.exp(rng.normal(0, 0.15, (PLANES, 1, 1))) + rng.normal(0, 0.05, (PLANES, 1, 1))
        if rng.random() < 0.25:
            planes = planes[rng.permutation(PLANES)]
    planes = np.sign(planes) * np.abs(planes) ** np.exp(rng.normal(0, 0.25))
    planes = planes * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.05)
    if rng.random() < 0.25:
        sigma = rng.uniform(0.4, 1.6)
        planes = np.stack([cv2.GaussianBlur(p.astype(np.float32), (0, 0), sigma) for p in planes])
    if rng.random() < 0.25:
        ramp = np.linspace(-0.5, 0.5, planes.shape[-1])
        tilt = rng.normal(0, 0.3, 2)
        planes = planes * (1 + tilt[0] * ramp[:, None] + tilt[1] * ramp) + rng.normal(0, 0.15) * ramp[:, None]
    if rng.random() < 0.4:
        planes = planes + rng.normal(0, rng.uniform(0.01, 0.1), planes.shape)
    if rng.random() < 0.08:
        planes = 1.0 - planes
    if len(planes) == 1:
        planes = np.repeat(planes, PLANES, axis=0)
    return np.clip(planes, -0.5, 2.0).astype(np.float32)


def training_crop(picture: Picture, size: int, usual: float, wide: bool, rng: Rng) -> Crop:
    """Cut and disturb one crop whose median object is about `usual` pixels wide; `wide` ones have any diameter
    around it, at 22 from 6 to 90 pixels, and teach the scale.
    """
    octaves = rng.uniform(-1.8, 1.95) if wide else rng.uniform(-0.55, 0.65)
    crop = crop_picture(picture, size, usual * 2.0**octaves, rng)
    return crop._replace(planes=disturb(crop.planes, rng) * crop.valid)


def cell_view(crop: NDArray[Any], size: int, rng: Rng | None) -> Float:
    """Bring a single-cell crop to (3, size, size); with a generator, in a random view of the same cell."""
    planes = to_planes(crop, polarity=False)
    scale = size / max(planes.shape[1:])
    angle = 0.0
    matrix = np.eye(2) * scale
    shift = np.zeros(2)
    if rng is not None:
        angle = rng.uniform(0, 2 * np.pi)
        flip = -1.0 if rng.random() < 0.5 else 1.0
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = scale * np.exp(rng.normal(0, 0.07)) * turn @ np.diag([flip, 1.0])
        shift = rng.normal(0, 0.03 * size, 2)
    centre = (np.array([planes.shape[2], planes.shape[1]]) - 1) / 2
    offset = np.full(2, (size - 1) / 2) + shift - matrix @ centre
    affine = np.column_stack([matrix, offset])
    view = np.stack(
        [
            cv2.warpAffine(p, affine, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for p in planes
        ]
    )
    if rng is not None:
        view = view * np.exp(rng.normal(0, 0.15)) + rng.normal(0, 0.03)
        view = np.sign(view) * np.abs(view) ** np.exp(rng.normal(0, 0.12))
        if rng.random() < 0.3:
            view = np.stack(
                [cv2.GaussianBlur(p, (0, 0), rng.uniform(0.3, 0.9)) for p in view.astype(np.float32)]
            )
        if rng.random() < 0.4:
            view = view + rng.normal(0, rng.uniform(0.005, 0.05), view.shape)
    return np.clip(view, -0.5, 2.0).astype(np.float32)


def mosaic(views: list[Float]) -> Float:
    """Lay four views (3, s, s) out as one picture (3, 2 s, 2 s)."""
    return np.concatenate([np.concatenate(views[:2], axis=2), np.concatenate(views[2:], axis=2)], axis=1)
