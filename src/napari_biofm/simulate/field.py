"""A field of cells: smooth, slightly irregular bodies that touch but do not overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

CLASSES = ("round", "elongated", "bright")


@dataclass(frozen=True)
class Field:
    """A simulated field.

    Attributes
    ----------
    image : (Y, X) or (Z, Y, X) uint16, as a camera with 12 bits would have it.
    masks : int32 of the same shape, labels 1..n.
    centres : (n, 2 or 3) float64, pixels.
    classes : (n,) of CLASSES: what each cell looks like, the truth for the classifier.
    """

    image: NDArray[np.uint16]
    masks: NDArray[np.int32]
    centres: NDArray[np.float64]
    classes: NDArray[np.str_]


def _place(
    rng: np.random.Generator, n: int, shape: tuple[int, ...], radius: float, crowding: float
) -> NDArray[np.float64]:
    """Draw centres one by one; each keeps (2 - crowding) radii from the others."""
    distance = radius * (2.0 - crowding)
    margin = np.minimum(np.asarray(shape) / 2 - 1, radius)
    centres: list[NDArray[np.float64]] = []
    for _ in range(60 * n):
        if len(centres) == n:
            break
        centre = rng.uniform(margin, np.asarray(shape) - margin)
        if all(np.linalg.norm(centre - other) > distance for other in centres):
            centres.append(centre)
    return np.asarray(centres, float).reshape(-1, len(shape))


def _body(
    rng: np.random.Generator,
    centre: NDArray[np.float64],
    shape: tuple[int, int],
    radius: float,
    stretch: float,
) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """Return the window of one cell and its normalised distance from the centre (< 1 inside)."""
    reach = int(np.ceil(1.6 * radius * stretch)) + 2
    start = np.maximum(np.floor(centre).astype(int) - reach, 0)
    stop = np.minimum(np.floor(centre).astype(int) + reach + 1, shape)
    y, x = np.mgrid[start[0] : stop[0], start[1] : stop[1]]
    angle = rng.uniform(0, np.pi)
    dy, dx = y - centre[0], x - centre[1]
    along = np.cos(angle) * dy + np.sin(angle) * dx
    across = -np.sin(angle) * dy + np.cos(angle) * dx
    polar = np.arctan2(across, along)
    wobble = sum(rng.normal(0, 0.04) * np.cos(k * polar + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4))
    distance = np.hypot(along / stretch, across * np.sqrt(stretch)) / (radius * (1 + wobble))
    return (slice(start[0], stop[0]), slice(start[1], stop[1])), distance


def simulate_field(
    shape: tuple[int, int] = (256, 256),
    n_cells: int = 40,
    radius: float = 9.0,
    seed: int = 0,
    crowding: float = 0.2,
) -> Field:
    """Simulate one fluorescence image of cell bodies of three kinds.

    Parameters
    ----------
    shape : (Y, X) of the image.
    n_cells : number wanted; fewer are placed when the field is full.
    radius : mean radius, pixels.
    seed : the same seed gives the same field.
    crowding : 0 keeps cells apart, 0.6 makes most of them touch.

    Returns
    -------
    Field
        With 2D arrays.
    """
    rng = np.random.default_rng(seed)
    centres = _place(rng, n_cells, shape, radius, crowding)
    classes = np.array(CLASSES)[rng.integers(0, len(CLASSES), len(centres))]
    masks = np.zeros(shape, np.int32)
    nearest = np.full(shape, np.inf)
    light = np.zeros(shape)
    for label, (centre, kind) in enumerate(zip(centres, classes, strict=True), start=1):
        stretch = rng.uniform(1.5, 1.8) if kind == "elongated" else rng.uniform(1.0, 1.12)
        size = radius * rng.uniform(0.85, 1.1)
        window, distance = _body(rng, centre, shape, size, stretch)
        mine = (distance < 1) & (distance < nearest[window])
        masks[window][mine] = label
        nearest[window][mine] = distance[mine]
        level = rng.uniform(900, 1200) if kind == "bright" else rng.uniform(350, 550)
        texture = scipy.ndimage.gaussian_filter(rng.normal(0, 1, distance.shape), 1.5)
        texture /= texture.std() + 1e-9
        nucleus = 1 - 0.35 * np.exp(-((distance / 0.45) ** 2))
        light[window][mine] = (level * nucleus * (1 + 0.12 * texture))[mine]
    image = _camera(rng, scipy.ndimage.gaussian_filter(light, 0.8), offset=120.0)
    return Field(image, masks, centres, classes)


def simulate_stack(
    shape: tuple[int, int, int] = (16, 128, 128),
    n_cells: int = 20,
    radius: float = 8.0,
    z_spacing: float = 2.0,
    seed: int = 0,
) -> Field:
    """Simulate a z-stack of ellipsoidal nuclei.

    Parameters
    ----------
    shape : (Z, Y, X).
    n_cells : number wanted.
    radius : mean radius in lateral pixels.
    z_spacing : distance of planes, in lateral pixels (anisotropy).
    seed : the same seed gives the same stack.
    """
    rng = np.random.default_rng(seed)
    scale = np.array([z_spacing, 1.0, 1.0])
    centres = _place(rng, n_cells, tuple(int(s) for s in np.asarray(shape) * scale), radius, 0.1) / scale
    masks = np.zeros(shape, np.int32)
    light = np.zeros(shape)
    grid = np.moveaxis(np.mgrid[: shape[0], : shape[1], : shape[2]], 0, -1)
    nearest = np.full(shape, np.inf)
    for label, centre in enumerate(centres, start=1):
        axes = radius * rng.uniform(0.8, 1.2, 3)
        distance = np.sqrt((((grid - centre) * scale / axes) ** 2).sum(-1))
        mine = (distance < 1) & (distance < nearest)
        masks[mine] = label
        nearest[mine] = distance[mine]
        light[mine] = rng.uniform(400, 1100) * (1 - 0.3 * distance[mine] ** 2)
    image = _camera(rng, scipy.ndimage.gaussian_filter(light, (1.2, 0.9, 0.9)), offset=110.0)
    return Field(image, masks, centres, np.full(len(centres), "round"))


def _camera(rng: np.random.Generator, light: NDArray[np.float64], offset: float) -> NDArray[np.uint16]:
    """Turn expected photons into counts: shot noise, read noise, an uneven lamp."""
    y, x = (np.linspace(-1, 1, n) for n in light.shape[-2:])
    lamp = 1 - 0.15 * (y[:, None] ** 2 + x[None, :] ** 2)
    counts = rng.poisson(np.maximum(light * lamp + 40.0, 0)) + rng.normal(offset, 4.0, light.shape)
    return np.clip(counts, 0, 4095).astype(np.uint16)
