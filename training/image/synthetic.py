"""Synthetic microscopy: cells of known outline under several microscopes.

A scene is drawn in two steps: outlines (implicit functions, so that neighbours meet without overlap) and
rendering
(what a microscope makes of them). Deterministic for a seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

KINDS = ("nuclei", "cells", "bacteria", "neurons")
MODALITIES = ("fluorescence", "phase", "brightfield", "histology")
Float = NDArray[np.float32]
Rng = np.random.Generator


def smooth_noise(shape: tuple[int, int], sigma: float, rng: Rng) -> Float:
    """Gaussian noise blurred by `sigma`, mean 0, standard deviation 1; (Y, X) float32."""
    field = ndi.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma, mode="wrap")
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def _centres(n: int, size: int, spacing: float, clustered: bool, rng: Rng) -> Float:
    """Up to `n` points at least `spacing` apart, some of them in clusters; (n, 2)."""
    points: list[Any] = []
    hubs = rng.uniform(0, size, (max(1, n // 12), 2))
    for _ in range(n * 8):
        if len(points) == n:
            break
        p = (
            hubs[rng.integers(len(hubs))] + rng.normal(0, 2.5 * spacing, 2)
            if clustered
            else rng.uniform(0, size, 2)
        )
        if all(np.hypot(*(p - q)) > spacing for q in points):
            points.append(p)
    return np.array(points, np.float32).reshape(-1, 2)


def _outline(kind: str, y: Any, x: Any, radius: float, rng: Rng) -> Any:
    """Implicit function of one cell at offsets (y, x) from its centre; below 1 is inside."""
    angle = rng.uniform(0, np.pi)
    u, v = y * np.cos(angle) + x * np.sin(angle), -y * np.sin(angle) + x * np.cos(angle)
    if kind == "bacteria":
        length, bend = radius * rng.uniform(0.8, 2.6), rng.normal(0, 0.15) / radius
        v = v + bend * u * u
        beyond = np.maximum(np.abs(u) - length, 0)
        return np.hypot(beyond, v) / (0.62 * radius)
    stretch = np.exp(rng.normal(0, 0.45 if kind == "cells" else 0.18))
    u, v = u / radius / np.sqrt(stretch), v / radius * np.sqrt(stretch)
    theta, wobble = np.arctan2(v, u), 1.0
    strength = {"nuclei": 0.05, "cells": 0.16, "neurons": 0.06}[kind]
    for k in range(2, 7):
        wobble = wobble + rng.normal(0, strength) * np.cos(k * theta + rng.uniform(0, 6.3)) / (k - 1) ** 0.5
    return np.hypot(u, v) / np.maximum(wobble, 0.35)


def outlines(kind: str, size: int, radius: float, rng: Rng) -> NDArray[np.int32]:
    """Draw (size, size) int32 labels of cells of about `radius` pixels."""
    crowd = rng.uniform(0.1, 0.9) if kind != "neurons" else rng.uniform(0.05, 0.4)
    n = int(np.clip(crowd * size**2 / (np.pi * radius**2), 1, 250))
    points = _centres(n, size, radius * rng.uniform(0.9, 1.7), rng.random() < 0.5, rng)
    best, labels = np.full((size, size), 1.0, np.float32), np.zeros((size, size), np.int32)
    for index, (cy, cx) in enumerate(points, 1):
        r = radius * np.exp(rng.normal(0, 0.18))
        reach = int(3.6 * r) + 2
        y0, x0 = max(0, int(cy) - reach), max(0, int(cx) - reach)
        y1, x1 = min(size, int(cy) + reach), min(size, int(cx) + reach)
        if y1 <= y0 or x1 <= x0:
            continue
        yy, xx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        value = _outline(kind, yy - cy, xx - cx, r, rng)
        nearer = value < best[y0:y1, x0:x1]
        best[y0:y1, x0:x1][nearer] = value[nearer]
        labels[y0:y1, x0:x1][nearer] = index
    return _tidy(labels)


def _tidy(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Keep the largest piece of every cell, drop slivers, number compactly."""
    out, n = np.zeros_like(labels), 0
    for index, box in enumerate(ndi.find_objects(labels), 1):
        if box is None:
            continue
        pieces, count = ndi.label(labels[box] == index)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if count and sizes.max() >= 20:
            n += 1
            out[box][pieces == 1 + sizes.argmax()] = n
    return out


def render(labels: NDArray[np.int32], modality: str, radius: float, rng: Rng, kind: str = "nuclei") -> Float:
    """Show outlines as a microscope would: (Y, X) or, for histology, (Y, X, 3) float32 of about 0 to 1."""
    shape, inside = labels.shape, (labels > 0).astype(np.float32)
    n = int(labels.max())
    level = np.concatenate([[0], np.exp(rng.normal(0, 0.35, n))]).astype(np.float32)[labels]
    texture = smooth_noise(shape, rng.uniform(0.08, 0.3) * radius, rng)
    psf = rng.uniform(0.4, 0.14 * radius + 0.6)
    depth = np.minimum(ndi.distance_transform_edt(labels > 0), 0.5 * radius).astype(np.float32) / (
        0.5 * radius
    )
    if modality == "fluorescence":
        body = level * (1 + rng.uniform(0.05, 0.35) * texture) * (0.5 + 0.5 * depth ** rng.uniform(0.1, 1))
        if kind == "neurons" or rng.random() < 0.15:
            body = body * (1 - rng.uniform(0.2, 0.7) * (depth > 0.8))
            body = body + rng.uniform(0, 0.4) * (np.abs(smooth_noise(shape, 1.2 * radius, rng)) < 0.06)
        picture = ndi.gaussian_filter(body, psf) + 0.25 * rng.random() * ndi.gaussian_filter(
            inside, 1.5 * radius
        )
    elif modality == "phase":
        edge = inside - ndi.gaussian_filter(inside, rng.uniform(0.15, 0.5) * radius)
        body = -rng.uniform(0.1, 0.6) * edge * inside - rng.uniform(0.6, 1.5) * edge * (1 - inside)
        picture = ndi.gaussian_filter(body + (0.06 + 0.1 * inside) * texture * rng.uniform(0.3, 1.2), psf)
        picture = picture + rng.uniform(-0.25, 0.25) * ndi.gaussian_filter(inside, psf)
    elif modality == "brightfield":
        rim = ndi.gaussian_laplace(inside, rng.uniform(0.8, 0.12 * radius + 0.9))
        picture = 1 - rng.uniform(0.3, 1) * rim / (np.abs(rim).max() + 1e-6) - 0.15 * rng.random() * level
        picture = picture + (0.02 + 0.05 * inside) * texture
    else:
        return _histology(labels, level, texture, psf, radius, rng)
    return _camera(picture, rng)


def _histology(labels: Any, level: Any, texture: Any, psf: float, radius: float, rng: Rng) -> Float:
    shape = labels.shape
    stroma = np.clip(
        0.5 + 0.35 * smooth_noise(shape, 2.5 * radius, rng) + 0.2 * smooth_noise(shape, 2, rng), 0, 2
    )
    nuclei = ndi.gaussian_filter((labels > 0) * (0.6 + 0.4 * level) * (1 + 0.3 * texture), psf)
    blue = np.array([0.65, 0.70, 0.29]) + rng.normal(0, 0.06, 3)
    pink = np.array([0.10, 0.95, 0.25]) + rng.normal(0, 0.08, 3)
    density = nuclei[..., None] * blue * rng.uniform(0.6, 1.6) + stroma[..., None] * pink * rng.uniform(
        0.1, 0.8
    )
    picture = np.exp(-np.clip(density, 0, 4)) + rng.normal(0, rng.uniform(0.005, 0.03), (*shape, 3))
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def _camera(picture: Any, rng: Rng) -> Float:
    """Uneven light, debris, shot and read noise."""
    shape = picture.shape
    picture = picture - picture.min()
    picture = picture / (picture.max() + 1e-6)
    picture = picture * (
        1 + rng.uniform(0, 0.3) * np.clip(smooth_noise(shape, shape[0] / 3, rng), -2, 2) * 0.5
    )
    for _ in range(rng.integers(0, 8)):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        picture[y : y + rng.integers(1, 4), x : x + rng.integers(1, 4)] += rng.normal(0.3, 0.4)
    photons = 10 ** rng.uniform(1.4, 3.5)
    picture = rng.poisson(np.clip(picture + rng.uniform(0, 0.3), 0, 4) * photons) / photons
    return np.asarray(picture + rng.normal(0, rng.uniform(0, 0.03), shape), np.float32)


def scene(seed: int, size: int = 256) -> tuple[Float, NDArray[np.int32], str]:
    """Draw one picture of random kind and modality.

    Returns
    -------
    image (size, size[, 3]) float32, labels (size, size) int32, and "kind/modality".
    """
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(KINDS, p=[0.35, 0.35, 0.2, 0.1]))
    odds = {"nuclei": [0.5, 0, 0.1, 0.4], "cells": [0.25, 0.6, 0.15, 0], "bacteria": [0.4, 0.5, 0.1, 0]}
    modality = str(rng.choice(MODALITIES, p=odds.get(kind, [0.8, 0.1, 0.1, 0])))
    radius = float(rng.uniform(7, 18)) * (0.6 if kind == "bacteria" else 1.0)
    labels = outlines(kind, size, radius, rng)
    return render(labels, modality, radius, rng, kind), labels, f"{kind}/{modality}"
