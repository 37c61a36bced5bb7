"""Frames that say nothing of the cells: without numbers, black, saturated, torn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.filters import running_percentile

NO_NUMBERS, BLACK, SATURATED, TORN = "no numbers", "black", "saturated", "torn"
_LEAST_FINITE = 0.5  # of the pixels that usually have numbers
_LEAST_PICTURE = 0.3  # of the usual picture's contrast
_CLIPPED = 0.25  # of the pixels at the movie's ceiling
_TORN = 0.04  # of the rows that are one value from end to end


@dataclass(eq=False)
class FrameFacts:
    """Numbers that tell a bad frame, one per frame.

    Attributes
    ----------
    finite : share of the usual pixels that have numbers.
    mean : of the frame.
    contrast : of the frame in the picture of the template, 1 where it is the template.
    highest, clipped : largest value, and the share of pixels that have it.
    flat : share of rows that are one value from end to end.
    weight : (pixels,) that gives the contrast of a frame, as a sum of products.
    valid : (pixels,) which ever have numbers.
    """

    finite: NDArray[np.float32]
    mean: NDArray[np.float32]
    contrast: NDArray[np.float32]
    highest: NDArray[np.float32]
    clipped: NDArray[np.float32]
    flat: NDArray[np.float32]
    weight: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @classmethod
    def of(cls, n_frames: int, template: NDArray[np.float32]) -> FrameFacts:
        """Return facts to be filled in, for a movie with this usual picture (pixels,), NaN where it has none."""
        valid = np.isfinite(template)
        centred = np.where(valid, template - template[valid].mean(dtype=np.float64), 0).astype(np.float32)
        power = float(np.square(centred, dtype=np.float64).sum())
        finite, mean, contrast, highest, clipped, flat = np.zeros((6, n_frames), np.float32)
        weight = (centred / max(power, 1e-30)).astype(np.float32)
        return cls(finite, mean, contrast, highest, clipped, flat, weight, valid)

    def look(
        self, start: int, block: NDArray[Any], pixels: NDArray[np.float32], finite: NDArray[np.bool_] | None
    ) -> None:
        """Note the facts of some frames.

        Parameters
        ----------
        start : number of the first.
        block : (frames, Y, X) as stored.
        pixels, finite : (frames, pixels) numbers, 0 where there is none, and where there are; None if everywhere.
        """
        span = slice(start, start + len(block))
        self.highest[span] = pixels.max(axis=1)
        self.clipped[span] = (pixels == self.highest[span, None]).mean(axis=1)
        self.flat[span] = _flat_rows(block)
        self.contrast[span] = pixels @ self.weight
        if finite is None and self.valid.all():
            self.finite[span] = 1
            self.mean[span] = pixels.mean(axis=1)
            return
        there = self.valid[None] if finite is None else finite & self.valid
        there = np.broadcast_to(there, pixels.shape)
        count = there.sum(axis=1)
        self.finite[span] = count / max(int(self.valid.sum()), 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.mean[span] = np.where(there, pixels, 0).sum(axis=1, dtype=np.float64) / count

    def bad(self) -> dict[int, str]:
        """Return bad frames and what is wrong with them."""
        usual = self.finite >= _LEAST_FINITE
        if not usual.any():
            return dict.fromkeys(range(len(usual)), NO_NUMBERS)
        level, spread = _level(np.where(usual, self.mean, np.nan))
        below = self.mean < level - np.maximum(8 * spread, 0.02 * np.abs(level))
        above = self.mean > level + 8 * spread
        ceiling = float(self.highest[usual].max())
        clipped = (self.highest >= ceiling) & (
            self.clipped > max(_CLIPPED, 3 * float(np.median(self.clipped)))
        )
        torn = self.flat > max(_TORN, 2 * float(np.median(self.flat[usual])))
        found: dict[int, str] = {}
        for name, these in (
            (TORN, torn & usual),
            (BLACK, usual & below & (self.contrast < _LEAST_PICTURE)),
            (SATURATED, usual & clipped & above),
            (NO_NUMBERS, ~usual),
        ):
            found.update(dict.fromkeys(np.flatnonzero(these).tolist(), name))
        return dict(sorted(found.items()))


def _level(mean: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], float]:
    """Return the usual brightness about each frame and its spread from frame to frame."""
    good = np.isfinite(mean)
    filled = np.interp(np.arange(len(mean)), np.flatnonzero(good), mean[good])
    level = running_percentile(filled, min(max(len(filled) // 4 * 2 + 1, 3), 601), 50.0).astype(np.float64)
    whole = float(np.median(filled))
    level = np.where(
        np.abs(level - whole) > 0.6 * abs(whole), whole, level
    )  # within a long run of bad frames
    spread = 1.4826 * float(np.median(np.abs(filled - level)))
    return level, max(spread, 1e-9)


def _flat_rows(block: NDArray[Any]) -> NDArray[np.float32]:
    """Return the share of rows (frames,) whose pixels are all alike."""
    n, height, width = block.shape
    if width < 4 or height < 4:
        return np.zeros(n, np.float32)
    ends = (block[:, :, 0] == block[:, :, -1]) & (block[:, :, 0] == block[:, :, width // 2])
    share = np.zeros(n, np.float32)
    for i in np.flatnonzero(ends.mean(axis=1) > _TORN):
        rows = block[i][ends[i]]
        share[i] = (rows == rows[:, :1]).all(axis=1).sum() / height
    return share


def frames_in_words(frames: list[int]) -> str:
    """Return numbers of frames with runs as spans, e.g. "3, 10-12"; some of very many."""
    spans: list[tuple[int, int]] = []
    for frame in frames:
        if spans and frame == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], frame)
        else:
            spans.append((frame, frame))
    words = [f"{a}" if a == b else f"{a}-{b}" for a, b in spans]
    return ", ".join(words[:8]) + (" ..." if len(words) > 8 else "")


def bad_in_words(found: dict[int, str], what: str) -> str:
    """Return a sentence that lists bad frames and what became of them; "" without any."""
    if not found:
        return ""
    kinds = dict.fromkeys(found.values())
    lists = (f"{kind}: {frames_in_words([f for f, k in found.items() if k == kind])}" for kind in kinds)
    done = {
        "exclude": "they are gaps in all traces (--bad-frames bridge draws lines over short ones)",
        "bridge": "gaps of up to a second were bridged by straight lines",
        "keep": "they were kept as they are",
    }[what]
    return f"{len(found)} bad frame{'s' if len(found) > 1 else ''} ({'; '.join(lists)}): {done}."
