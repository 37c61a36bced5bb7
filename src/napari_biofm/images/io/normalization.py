"""What an image has to be before a network sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.checks import check_image
from napari_biofm.types import ImageError


def as_channels(image: NDArray[Any], channels: Sequence[int] | None = None) -> NDArray[np.float32]:
    """Return a copy as (Y, X, C) float32 with one to three channels.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) of any real dtype; see `check_image` for NaN and infinities.
    channels : which channels, at most three; the first three by default.

    Raises
    ------
    ImageError
        For other shapes or dtypes, or channels that are not there.
    """
    pixels = check_image(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3:
        raise ImageError(
            f"an image of shape {np.shape(image)} cannot be used as it is; give (Y, X) or "
            f"(Y, X, channels), or choose one plane of the stack"
        )
    there = pixels.shape[-1]
    wanted = list(range(min(3, there))) if channels is None else list(channels)
    if not 1 <= len(wanted) <= 3 or not all(0 <= c < there for c in wanted):
        raise ImageError(
            f"channels {wanted} were asked for, the image has 0 to {there - 1}; choose one to three"
        )
    return np.array(pixels[..., wanted], np.float32)


def contrast_limits(pixels: NDArray[Any], percentiles: tuple[float, float]) -> NDArray[np.float64]:
    """Return two percentiles of each channel of (..., C), as (C, 2) intensities.

    Parameters
    ----------
    pixels : channels last, finite.
    percentiles : lower and upper.
    """
    flat = pixels.reshape(-1, pixels.shape[-1])
    return np.asarray(np.percentile(flat, percentiles, axis=0).T, np.float64)


def as_rgb8(
    image: NDArray[Any],
    channels: Sequence[int] | None = None,
    percentiles: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Return an image as (Y, X, 3) uint8, the way Segment Anything was trained.

    One channel is shown in grey; a second and third become green and blue.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C) of any real dtype.
    channels : as for `as_channels`.
    percentiles : that become 0 and 255; by default 8-bit images keep their values, and others are stretched from their
        0.1 to their 99.9 percentile.
    """
    keep = percentiles is None and np.asarray(image).dtype == np.uint8
    pixels = as_channels(image, channels)
    if not keep:
        low, high = contrast_limits(pixels, percentiles or (0.1, 99.9)).T
        pixels = np.clip((pixels - low) / np.maximum(high - low, 1e-12), 0, 1) * 255
    rgb = np.zeros((*pixels.shape[:2], 3), np.uint8)
    rgb[..., : pixels.shape[-1]] = np.rint(pixels)
    if pixels.shape[-1] == 1:
        rgb[...] = rgb[..., :1]
    return rgb


def is_blank(image: NDArray[Any]) -> bool:
    """Say whether every channel is constant, so that there is nothing to find."""
    pixels = np.asarray(image)
    flat = pixels.reshape(-1, 1) if pixels.ndim == 2 else pixels.reshape(-1, pixels.shape[-1])
    return bool((flat.min(0) == flat.max(0)).all())
