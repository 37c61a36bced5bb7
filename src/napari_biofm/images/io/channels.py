"""Which channels of an image are of use to a segmenter: empty ones, noise, and transmitted light beside fluorescence are not.

A network looks at all channels together; one that holds nothing, or another kind of light, spoils what it sees in the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 512  # pixels of the part that is looked at
BLOCKS = (4, 8, 16)  # pixels, sizes at which structure is looked for
STRUCTURE = 1.6  # times what independent noise would differ at one of these sizes
HEAVY_TAIL = 1.0  # excess kurtosis from which blocks are no noise, blurred or not
DARK, GREY = (
    0.2,
    0.25,
)  # median of a channel between its 1st and 99.8th percentile: fluorescence, transmitted light
NARROW = 0.3  # share of that range which half of the pixels of transmitted light fill at most
TRANSMITTED = re.compile(
    r"\b(bf|dic|phase|phc|ph\d?|trans\w*|brightfield|bright.field|tl|t-?pmt|pmt.?t)\b", re.I
)


@dataclass(frozen=True)
class ChannelChoice:
    """Which channels are used, and why the others are not.

    Attributes
    ----------
    kept : positions of the channels that are used, rising; at least one.
    dropped : position and reason of each of the others.
    """

    kept: tuple[int, ...]
    dropped: tuple[tuple[int, str], ...] = ()

    def describe(self, names: Sequence[str] = ()) -> str:
        """Return in words which channels were left out and used; empty where all were used.

        Parameters
        ----------
        names : of all channels; numbers where there are none.
        """
        if not self.dropped:
            return ""

        def call(k: int) -> str:
            return f"{k} ({names[k]})" if k < len(names) and names[k] != f"channel {k}" else str(k)

        out = ", ".join(f"{call(k)}: {why}" for k, why in self.dropped)
        used = " and ".join(call(k) for k in self.kept)
        return f"channel {out}; left out, channel {used} used"


def useful_channels(image: NDArray[Any], names: Sequence[str] = ()) -> ChannelChoice:
    """Choose the channels of an image that show something.

    Parameters
    ----------
    image : (..., Y, X, C); of a stack its middle plane is looked at.
    names : of the channels, where they are known; "DIC", "BF", "phase" and the like are transmitted light.

    Returns
    -------
    ChannelChoice
        Never without a channel: where none shows anything, all that are not constant are kept, or the first.
    """
    plane = np.asarray(image)
    while plane.ndim > 3:
        plane = plane[len(plane) // 2]
    step = max(1, min(plane.shape[:2]) // SIDE)
    cut = [slice((n - min(n, SIDE * step)) // 2, (n + min(n, SIDE * step)) // 2) for n in plane.shape[:2]]
    part = plane[cut[0], cut[1]] if step > 1 else plane
    reasons = {k: _reason(part[..., k]) for k in range(part.shape[-1])}
    seen = [k for k, why in reasons.items() if not why]
    if not seen:
        return ChannelChoice(tuple(k for k, why in reasons.items() if why != "empty") or (0,))
    if not _is_colour(plane):
        light = [k for k in seen if _is_transmitted(part[..., k], names[k] if k < len(names) else "")]
        dark = [k for k in seen if k not in light and _level(part[..., k])[0] < DARK]
        if dark:
            reasons |= dict.fromkeys(light, "transmitted light beside fluorescence")
    kept = tuple(k for k, why in reasons.items() if not why)
    return ChannelChoice(kept, tuple((k, why) for k, why in reasons.items() if why))


def with_useful_channels(
    image: NDArray[Any], spatial: int, names: Sequence[str] | None
) -> tuple[NDArray[Any], list[str]]:
    """Return an image with the channels that show something, and what was left out, in words.

    Parameters
    ----------
    image : with axes of space, and channels behind them where there are several.
    spatial : number of axes before the channels.
    names : as for `useful_channels`; None leaves the image as it is.
    """
    if names is None or image.ndim == spatial or image.shape[-1] < 2:
        return image, []
    choice = useful_channels(image, names)
    if not choice.dropped:
        return image, []
    kept = image[..., list(choice.kept)]
    return (kept[..., 0] if len(choice.kept) == 1 else kept), [choice.describe(names)]


def _is_colour(plane: NDArray[Any]) -> bool:
    """Whether three channels are red, green and blue of a camera rather than three dyes."""
    return plane.shape[-1] == 3 and plane.dtype == np.uint8


def _reason(channel: NDArray[Any]) -> str:
    values = channel.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any() or values[finite].min() == values[finite].max():
        return "empty"
    values = np.where(finite, values, np.median(values[finite]))
    return "" if _has_structure(values) else "noise"


def _has_structure(values: NDArray[np.float32]) -> bool:
    """Whether blocks differ from their neighbours by more than noise does, or by more than Gaussian noise would."""
    noise = float(np.std(np.diff(values, axis=1)) / np.sqrt(2))
    for side in BLOCKS:
        height, width = (n // side * side for n in values.shape)
        if min(height, width) < 4 * side:
            break
        means = values[:height, :width].reshape(height // side, side, width // side, side).mean((1, 3))
        across = np.diff(means, n=2, axis=1).ravel()  # shading is no structure
        spread = float(across.std())
        if spread <= 1e-9:
            continue
        kurtosis = float(np.mean(((across - across.mean()) / spread) ** 4) - 3)
        expected = noise * np.sqrt(6) / side
        chance = 2 * np.sqrt(24 / across.size)  # what the kurtosis of so few blocks may be off by
        blurred = 1.4826 * float(np.median(np.abs(across))) > STRUCTURE * expected
        if kurtosis > HEAVY_TAIL + chance and spread > STRUCTURE * expected:
            return True
        if blurred and spread > 4 * expected and abs(kurtosis) > 0.5 + chance:
            return True
    return False


def _level(channel: NDArray[Any]) -> tuple[float, float]:
    """Return where the median lies between the 1st and 99.8th percentile, and which share the middle half fills."""
    low, first, middle, third, high = np.nanpercentile(channel.astype(np.float32), (1, 25, 50, 75, 99.8))
    span = max(float(high - low), 1e-12)
    return float(middle - low) / span, float(third - first) / span


def _is_transmitted(channel: NDArray[Any], name: str) -> bool:
    if TRANSMITTED.search(name):
        return True
    level, filled = _level(channel)
    return level > GREY and filled < NARROW
