"""Fields without a cell, or with few and faint ones, for `empty.py`: drawn, and cut from real pictures.

Real parts come from DSB 2018 and BBBC039 (CC0-1.0) and Usiigaci (MIT), which are read where they lie.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy import ndimage as ndi

Rng = np.random.Generator


@dataclass(frozen=True)
class Field:
    """An image and the cells that are in it.

    Attributes
    ----------
    kind, name : what it shows.
    image : (Y, X) or (Y, X, 3).
    truth : (Y, X) labels; all 0 where there is no cell.
    """

    kind: str
    name: str
    image: NDArray[Any]
    truth: NDArray[np.int32]


def empty(kind: str, name: str, image: NDArray[Any]) -> Field:
    """Return a field without a cell."""
    return Field(kind, name, image, np.zeros(image.shape[:2], np.int32))


def smooth(shape: tuple[int, int], sigma: float, rng: Rng) -> NDArray[np.float64]:
    """Return noise of mean 0 and standard deviation 1, blurred by `sigma` pixels."""
    field = ndi.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def noise(side: int, seed: int = 0) -> Iterator[Field]:
    """Draw photon noise, read noise, noise of a camera, and noise that was blurred, compressed or enlarged."""
    rng, shape = np.random.default_rng(seed), (side, side)
    for photons in (0.3, 3, 30, 300):
        yield empty("photon noise", f"{photons} photons", rng.poisson(photons, shape).astype(np.uint16))
    yield empty("read noise", "normal", rng.normal(100, 5, shape).astype(np.uint16))
    camera = rng.normal(100, 2.5, shape) + rng.normal(0, 1, (1, side)) + rng.normal(0, 0.7, (side, 1))
    camera[rng.random(shape) < 2e-4] += 400
    yield empty("camera noise", "columns, rows, hot pixels", camera.astype(np.uint16))
    rows = np.linspace(-1, 1, side)
    shade = 1 - 0.35 * (rows[:, None] ** 2 + rows**2)
    yield empty("camera noise", "vignette", rng.poisson(200 * shade).astype(np.uint16))
    for sigma in (0.8, 1.5, 3.0):
        blurred = smooth(shape, sigma, rng)
        yield empty("blurred noise", f"sigma {sigma} px", (1000 + 60 * blurred).astype(np.uint16))
    eight = np.clip(12 + 3 * smooth(shape, 0.5, rng), 0, 255).astype(np.uint8)
    yield empty("compressed noise", "JPEG 75", _jpeg(eight))
    half = rng.poisson(8, (side // 2, side // 2)).astype(np.float32)
    yield empty("enlarged noise", "twice", np.asarray(ndi.zoom(half, 2, order=1)))
    colours = 235 + 4 * np.stack([smooth(shape, 0.7, rng) for _ in range(3)], -1)
    yield empty("bright ground", "colour camera", np.clip(colours, 0, 255).astype(np.uint8))
    bright = 0.6 + 0.08 * smooth(shape, side / 5, rng) + 0.015 * rng.standard_normal(shape)
    yield empty("bright ground", "uneven", (np.clip(bright, 0, 1) * 4095).astype(np.uint16))


def _jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream))


def litter(side: int, seed: int = 0) -> Iterator[Field]:
    """Draw dust, fibres, bubbles, and light from out of focus."""
    rng, shape = np.random.default_rng(seed + 1), (side, side)
    for k in range(2):
        glow = np.sum([smooth(shape, sigma, rng) for sigma in (25, 45, 70)], axis=0)
        light = 400 + 90 * (glow - glow.min())
        yield empty("out of focus", f"glow {k}", rng.poisson(light).astype(np.uint16))
    for name, level, ground in (("dust on dark", 60, 100), ("dust on bright", -1500, 9000)):
        picture = np.full(shape, float(ground))
        for _ in range(25):
            y, x = rng.integers(4, side - 4, 2)
            radius = rng.uniform(0.6, 2.2)
            yy, xx = np.ogrid[:side, :side]
            picture += (
                level * rng.uniform(0.3, 1.5) * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 2 / radius**2)
            )
        yield empty("dust", name, rng.poisson(picture).astype(np.uint16))
    picture = np.full(shape, 100.0)
    for _ in range(6):
        start, angle = rng.uniform(0, side, 2), rng.uniform(0, np.pi)
        along = np.arange(-80, 80, 0.5)
        bend = angle + along * rng.normal(0, 0.006)
        y, x = start[0] + along * np.sin(bend), start[1] + along * np.cos(bend)
        inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
        picture[y[inside].astype(int), x[inside].astype(int)] += 260
    yield empty("dust", "fibres", rng.poisson(ndi.gaussian_filter(picture, 1.0)).astype(np.uint16))


def _pairs(data: Path) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    for name in ("bbbc039", "dsb2018", "usiigaci_phc"):
        for stem in pd.read_csv(data / name / "index.csv")["stem"]:
            if not (data / name / f"{stem}_mask.tif").exists():
                continue  # of the part that is kept back
            image = tifffile.imread(data / name / f"{stem}.tif")
            yield f"{name}/{stem}", image, tifffile.imread(data / name / f"{stem}_mask.tif")


def empty_parts(data: Path, most: int, least: int = 64, margin: int = 8) -> Iterator[Field]:
    """Cut squares without an annotated cell, `margin` pixels away from all, from real pictures; one a picture.

    Parameters
    ----------
    data : folder of the sets.
    most : number of parts of each set, the largest ones.
    least : side of the smallest, pixels.
    margin : distance kept from cells, pixels.
    """
    found: dict[str, list[Field]] = {}
    for name, image, masks in _pairs(data):
        depth = ndi.distance_transform_cdt(np.pad(masks == 0, 1), "chessboard")[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        reach = int(depth[y, x]) - margin
        if 2 * reach < least:
            continue
        part = np.ascontiguousarray(image[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach])
        found.setdefault(name.split("/")[0], []).append(empty("real, empty", name, part))
    for fields in found.values():
        yield from sorted(fields, key=lambda f: -f.image.size)[:most]


def few_cells(data: Path, side: int, seed: int = 0) -> Iterator[Field]:
    """Put 0, 1, 3 and 10 real nuclei of BBBC039 on a large field of camera noise."""
    rng = np.random.default_rng(seed + 2)
    pairs = [p for _, p in zip(range(6), _pairs(data), strict=False)]
    for count in (0, 1, 3, 10):
        ground = np.full((side, side), 160.0)
        truth = np.zeros((side, side), np.int32)
        while truth.max() < count:
            _, image, masks = pairs[rng.integers(len(pairs))]
            label = int(rng.choice(np.unique(masks)[1:]))
            window = ndi.find_objects((masks == label).astype(np.int32))[0]
            inside = masks[window] == label
            y, x = (int(rng.integers(20, side - n - 20)) for n in inside.shape)
            place = slice(y, y + inside.shape[0]), slice(x, x + inside.shape[1])
            if inside.sum() < 150 or truth[place].any():
                continue
            level = image[window].astype(float) - np.percentile(image, 5)
            ground[place][inside] += np.maximum(level[inside], 0) * 800 / max(float(level[inside].mean()), 1)
            truth[place][inside] = truth.max() + 1
        picture = rng.poisson(ndi.gaussian_filter(ground, 0.8)) + rng.normal(0, 3, ground.shape)
        yield Field(
            "few cells", f"{count} nuclei, {side} px", np.clip(picture, 0, None).astype(np.uint16), truth
        )


def faint(data: Path, most: int, seed: int = 0) -> Iterator[Field]:
    """Let real fluorescent nuclei fade until they stand 1.5 to 3 standard deviations of a pixel's noise above the ground.

    Parameters
    ----------
    data : folder of the sets.
    most : number of fields of each set.
    seed : of the noise.
    """
    taken: dict[str, int] = {}
    for name, image, masks in _pairs(data):
        which = name.split("/")[0]
        if which == "usiigaci_phc" or image.ndim != 2 or masks.max() < 8 or taken.get(which, 0) >= most:
            continue
        taken[which] = number = taken.get(which, 0) + 1
        rng = np.random.default_rng((seed, number))
        ground = float(np.median(image[masks == 0]))
        contrast = float(np.median(image[masks > 0])) - ground
        if contrast <= 0:
            taken[which] -= 1
            continue
        snr = (3.0, 2.0, 1.5)[number % 3]
        signal = 10 * snr * (image - ground) / contrast
        picture = 200 + np.clip(signal, -100, 60 * snr) + rng.normal(0, 10, image.shape)
        labels = np.searchsorted(np.unique(masks), masks).astype(np.int32)
        yield Field("faint", f"{name} at {snr} sd", np.clip(picture, 0, None).astype(np.uint16), labels)
