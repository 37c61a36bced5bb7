"""Any image -> three comparable input planes. Numpy only.

The network sees three planes whatever the file holds. What differs between microscopes (bit depth, offset,
gain,
dark or bright ground, channel count) is taken out here, by the same steps in training and in use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Image, ImageError

PLANES = 3
LOW, HIGH = 1.0, 99.8  # percentiles brought to 0 and 1
_SAMPLE = 1 << 18  # pixels looked at to find percentiles


def to_planes(
    image: Image, polarity: bool = True, percentiles: tuple[float, float] = (LOW, HIGH)
) -> NDArray[np.float32]:
    """Bring an image to three planes of about 0 to 1.

    Channels without contrast are dropped (an alpha channel, an empty dye); of more than three the three of
    highest
    contrast stay, in their order; of two, their mean is added; a single one is repeated. A picture whose
    intensities
    lean to the bright side (brightfield, H&E, an inverted fluorescence picture) is inverted, so that cells
    are mostly
    bright on dark.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), any real dtype; NaN and infinity count as background.
    polarity : whether to invert pictures on a bright ground.
    percentiles : of each channel that become 0 and 1.

    Returns
    -------
    (3, Y, X) float32, clipped to -0.5 .. 2.

    Raises
    ------
    ImageError : if the image has no pixels, another number of axes, or values that are not real numbers.
    """
    channels = _channels(image)
    step = max(1, int(np.sqrt(channels.shape[1] * channels.shape[2] / _SAMPLE)))
    sample = channels[:, ::step, ::step].reshape(len(channels), -1)
    low, high = np.percentile(sample, percentiles, axis=1).astype(np.float64)
    flat = high <= low
    if flat.any():  # few bright pixels on a constant ground: percentiles meet, extremes do not
        low[flat], high[flat] = channels[flat].min((1, 2)), channels[flat].max((1, 2))
    keep = np.flatnonzero(high > low)
    if not len(keep):
        return np.zeros((PLANES, *channels.shape[1:]), np.float32)
    if len(keep) > PLANES:
        noise = np.abs(np.diff(sample[keep], axis=1)).mean(1) + 1e-12
        contrast = sample[keep].std(1) / noise
        keep = np.sort(keep[np.argsort(-contrast, kind="stable")[:PLANES]])
    scaled = (channels[keep] - low[keep, None, None]) / (high - low)[keep, None, None]
    scaled = np.clip(scaled, -0.5, 2.0).astype(np.float32)
    if polarity and leans_bright(scaled[:, ::step, ::step]):
        scaled = 1.0 - scaled
    if len(scaled) == 1:
        return np.broadcast_to(
            scaled, (PLANES, *scaled.shape[1:])
        )  # a view: three planes for the price of one
    if len(scaled) == 2:
        return np.concatenate([scaled, scaled.mean(0, keepdims=True)])
    return np.ascontiguousarray(scaled)


def to_planes_each(crops: NDArray[Any]) -> NDArray[np.float32]:
    """Bring every crop of a stack to three planes as `to_planes` does without polarity, all at once.

    Parameters
    ----------
    crops : (N, Y, X) or (N, Y, X, C), any real dtype; small enough that every pixel is looked at.

    Returns
    -------
    (N, 3, Y, X) float32.
    """
    stack = np.asarray(crops)
    planes = np.zeros((len(stack), PLANES, *stack.shape[1:3]), np.float32)
    channels = np.moveaxis(stack.reshape(*stack.shape[:3], -1), -1, 1)
    n_channels = channels.shape[1]
    usual = np.zeros(len(stack), bool)
    if stack.dtype.kind in "bui" and n_channels <= PLANES and stack[0].size:
        pixels = channels.astype(np.float32)
        flat = pixels.reshape(len(stack), n_channels, -1)
        low, high = np.percentile(flat, (LOW, HIGH), axis=2).astype(np.float64)
        usual = (high > low).all(1)
        span = np.where(high > low, high - low, 1.0)
        scaled = (pixels - low[..., None, None]) / span[..., None, None]
        planes[:, :n_channels] = np.clip(scaled, -0.5, 2.0)
        if n_channels == 1:
            planes[:, 1:] = planes[:, :1]
        elif n_channels == 2:
            planes[:, 2] = planes[:, :2].mean(1)
    for i in np.flatnonzero(~usual):  # channels to drop, numbers that are none
        planes[i] = to_planes(stack[i], polarity=False)
    return planes


def leans_bright(planes: NDArray[np.floating[Any]]) -> bool:
    """Whether the intensities of `planes` (P, Y, X) have a longer tail towards dark than towards bright."""
    grey = planes.mean(0, dtype=np.float64)
    centred = np.clip(grey, 0, 1) - np.clip(grey, 0, 1).mean()
    return bool((centred**3).mean() < -0.02 * (centred**2).mean() ** 1.5)


def _channels(image: Image) -> NDArray[np.float32]:
    """(Y, X) or (Y, X, C) of any real dtype -> (C, Y, X) float32 without NaN or infinity."""
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise ImageError(f"image of dtype {array.dtype} is not made of real numbers; convert it first")
    if array.ndim not in (2, 3):
        raise ImageError(f"image of shape {array.shape} has {array.ndim} axes; give (Y, X) or (Y, X, C)")
    if array.size == 0:
        raise ImageError(f"image of shape {array.shape} has no pixels")
    stack = np.moveaxis(array.reshape(*array.shape[:2], -1), -1, 0)
    if array.dtype.kind != "f":
        return stack.astype(np.float32)
    limit = np.float64(1e30)
    finite = np.isfinite(stack)
    stack = np.clip(np.where(finite, stack, np.nan), -limit, limit)
    with np.errstate(all="ignore"):
        fill = [np.nanmin(c) if f.any() else 0.0 for c, f in zip(stack, finite, strict=True)]
    for channel, value in zip(stack, fill, strict=True):
        channel[np.isnan(channel)] = value
    return stack.astype(np.float32)
