"""A click tool without a model: connected level sets around the click, the one with the sharpest outline.

For a click, the image is flooded from the clicked pixel downwards (and upwards, and by likeness of colour);
every level gives one connected region, nested in the next (a branch of the component tree: Salembier et al.,
IEEE Trans. Image Processing 7:555, 1998). The region whose outline has the largest contrast is the answer.
Good for bright or dark blobs on an even ground, weak on texture and touching cells; it needs no weights, no
preparation and a few milliseconds. It is the fallback while no model is loaded, and says so by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numba import njit
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Piece
from napari_biofm.images.prompt.correction import Answer, box_slices, corrected, points_of
from napari_biofm.types import Capabilities, Image, ImageError, Progress, Prompt, Task

LEVELS = 256
HALF = (48, 110, 240)  # half sizes of the windows tried around a click, pixels
NOISE = 6.0  # contrasts below this many standard deviations of the noise count less
LARGEST_SHARE = 0.8  # of its window that a region may fill
SMALLEST = 12  # pixels of the smallest region that is an object


@dataclass(frozen=True)
class Plane:
    """An image kept as it is (it may be lazy); windows of it are read at each click.

    Attributes
    ----------
    data : (Y, X) or (Y, X, C).
    """

    data: Any

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.data.shape[:2]
        return int(height), int(width)

    def window(self, rows: slice, columns: slice) -> tuple[NDArray[np.float32], float]:
        """Return (Y, X, C) float32, smoothed by one pixel against noise, and the noise it had before."""
        part = np.nan_to_num(np.asarray(self.data[rows, columns]).astype(np.float32))
        part = part[..., None] if part.ndim == 2 else part
        steps = np.abs(np.diff(part.mean(axis=2), axis=1))
        noise = float(np.median(steps)) * 1.4826 / np.sqrt(2) if steps.size else 0.0
        return scipy.ndimage.gaussian_filter(part, (1.0, 1.0, 0.0)).astype(np.float32), noise


@njit(cache=True)  # type: ignore[untyped-decorator]
def _flood(values: Any, seeds: Any) -> Any:
    """Best level at which every pixel hangs together with the seeds: (Y, X) int16, -1 where never."""
    height, width = values.shape
    level = np.full((height, width), -1, np.int16)
    head = np.full(LEVELS, -1, np.int64)
    following = np.full(height * width, -1, np.int64)
    top = 0
    for k in range(len(seeds)):
        y, x = seeds[k, 0], seeds[k, 1]
        if level[y, x] < 0:
            v = values[y, x]
            level[y, x] = v
            following[y * width + x] = head[v]
            head[v] = y * width + x
            top = max(top, v)
    while top >= 0:
        at = head[top]
        if at < 0:
            top -= 1
            continue
        head[top] = following[at]
        y, x = at // width, at % width
        for step in range(4):
            ny = y + (1 if step == 0 else -1 if step == 1 else 0)
            nx = x + (1 if step == 2 else -1 if step == 3 else 0)
            if 0 <= ny < height and 0 <= nx < width and level[ny, nx] < 0:
                v = min(top, values[ny, nx])
                level[ny, nx] = v
                following[ny * width + nx] = head[v]
                head[v] = ny * width + nx
    return level


@njit(cache=True)  # type: ignore[untyped-decorator]
def _profile(level: Any, values: Any) -> Any:
    """Per level t: area, outline length, summed contrast of the outline, and pixels on the window's edge of
    {level >= t}.
    """
    height, width = level.shape
    out = np.zeros((4, LEVELS + 1), np.float64)
    for y in range(height):
        for x in range(width):
            a = level[y, x]
            if a < 0:
                continue
            out[0, a] += 1
            if y == 0 or x == 0 or y == height - 1 or x == width - 1:
                out[3, a] += 1
            for step in range(2):
                ny, nx = (y + 1, x) if step == 0 else (y, x + 1)
                if ny >= height or nx >= width:
                    continue
                b = level[ny, nx]
                high, low = max(a, b), min(a, b)
                if high > low:
                    change = abs(float(values[y, x]) - float(values[ny, nx]))
                    out[1, high] += 1
                    out[2, high] += change
                    if low >= 0:
                        out[1, low] -= 1
                        out[2, low] -= change
    for t in range(LEVELS - 1, -1, -1):
        for k in range(4):
            out[k, t] += out[k, t + 1]
    return out


class LevelSets:
    """Promptable without a model; see `types.Promptable`."""

    name = "level sets (no model)"
    weights_sha256 = ""
    capabilities = Capabilities(clicks=True)

    def prepare(self, image: Image) -> Task[Plane]:
        """Keep the image; nothing is computed."""
        yield Progress(1, 1, "ready")
        if np.ndim(image) not in (2, 3):
            raise ImageError(f"Clicks need an image (Y, X) or (Y, X, C), not one of shape {np.shape(image)}.")
        return Plane(image)

    def predict(self, prepared: Plane, prompt: Prompt) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (n, Y, X), best first, and a score in 0..1 from the contrast of their outlines."""
        return self.answer(prepared, prompt).full(prepared.shape)

    def answer(self, prepared: Plane, prompt: Prompt, start: Piece | None = None) -> Answer:
        """Return the cropped answer; costs do not depend on the size of the image.

        Parameters
        ----------
        start : the mask to correct, cropped; the same as `prompt.mask`, for large images.
        """
        if start is None and prompt.mask is not None:
            start = Piece.of(prompt.mask)
        positives, negatives = points_of(prompt, prepared.shape, start)

        def around(point: NDArray[np.float64]) -> Piece:
            found = _regions(prepared, point[None], negatives)
            return found[0][1] if found else Piece.of(np.zeros((1, 1), bool))

        if start:
            firsts = [(0.5, start)]
        elif prompt.box is not None:
            firsts = _in_box(prepared, prompt.box)
        else:
            firsts = _regions(prepared, positives[:1], negatives)
        pieces = [(s, corrected(p, positives, negatives, around, prepared.shape)) for s, p in firsts]
        kept: list[tuple[float, Piece]] = []
        for score, piece in pieces:
            if piece and all(piece.overlap(other) < 0.9 for _, other in kept):
                kept.append((score, piece))
        return Answer(tuple(p for _, p in kept[:3]), tuple(s for s, _ in kept[:3]))


def _regions(
    plane: Plane, seeds: NDArray[np.float64], negatives: NDArray[np.float64]
) -> list[tuple[float, Piece]]:
    """Return score and region of the best level of each polarity, best first; windows grow until one fits."""
    found: list[tuple[float, Piece]] = []
    height, width = plane.shape
    for half in HALF:
        y, x = (round(float(c)) for c in seeds[0])
        rows = slice(max(0, y - half), min(height, y + half + 1))
        columns = slice(max(0, x - half), min(width, x + half + 1))
        corner = np.array([rows.start, columns.start])
        found = _in_window(plane, rows, columns, seeds - corner, negatives - corner)
        whole = rows.stop - rows.start == height and columns.stop - columns.start == width
        if whole or (found and found[0][0] > 0.25):
            break
    return found


def _in_window(
    plane: Plane, rows: slice, columns: slice, seeds: NDArray[np.float64], negatives: NDArray[np.float64]
) -> list[tuple[float, Piece]]:
    pixels, noise = plane.window(rows, columns)
    size = np.array(pixels.shape[:2])
    starts = np.clip(np.rint(seeds), 0, size - 1).astype(np.int64)
    away = np.rint(negatives).astype(np.int64)
    away = away[((away >= 0) & (away < size)).all(axis=1)]
    inner = (
        rows.start > 0,
        columns.start > 0,
        rows.stop < plane.shape[0],
        columns.stop < plane.shape[1],
    )
    found = []
    for values in _maps(pixels, noise, starts):
        level = _flood(values, starts)
        best = _best_level(level, values, away, any(inner))
        if best is not None:
            score, t = best
            mask = scipy.ndimage.binary_fill_holes(level >= t)
            if mask.mean() > LARGEST_SHARE:
                continue  # the ground around cells, not a cell
            found.append((score, Piece.of(mask, (rows.start, columns.start))))
    return sorted(found, key=lambda item: -item[0])


def _maps(pixels: NDArray[np.float32], noise: float, starts: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Return what is flooded: brightness, darkness, likeness to the colour under the click; 0..255."""
    grey = pixels.mean(axis=2)
    low, high = np.percentile(grey, (0.5, 99.5))
    span = max(float(high - low), NOISE * noise, 1e-9)
    bright = np.clip((grey - low) / span * 255, 0, 255)
    colour = pixels[starts[:, 0], starts[:, 1]].mean(axis=0)
    unlike = np.linalg.norm(pixels - colour, axis=2) / np.sqrt(pixels.shape[2]) / span * 255
    return [m.astype(np.uint8) for m in (bright, 255 - bright, 255 - np.clip(unlike, 0, 255))]


def _best_level(level: Any, values: Any, away: NDArray[np.int64], bounded: bool) -> tuple[float, int] | None:
    """Return score and level of the region with the sharpest outline that holds no negative click."""
    area, outline, contrast, edge = _profile(level, values)[:, :LEVELS]
    with np.errstate(all="ignore"):
        mean = np.where(outline > 0, contrast / np.maximum(outline, 1), 0)
        round_ = np.clip(4 * np.pi * area / np.maximum(outline * np.pi / 4, 1) ** 2, 0, 1)
    score = mean * np.sqrt(round_) * (area + 1.0) ** 0.15 * np.clip(area / (4 * SMALLEST), 0, 1)
    score[area < SMALLEST] = 0
    score[area > LARGEST_SHARE * level.size] = 0
    if bounded:
        score *= np.clip(1 - 4 * edge / np.maximum(outline, 1), 0.02, 1)
    if len(away):
        refused = int(level[away[:, 0], away[:, 1]].max())
        if (score[refused + 1 :] > 0).any():
            score[: refused + 1] = 0
    t = int(score.argmax())
    if score[t] <= 0:
        return None
    return float(1 - np.exp(-score[t] / 12)), t


def _in_box(plane: Plane, box: tuple[float, float, float, float]) -> list[tuple[float, Piece]]:
    """Return regions that fill a box: seeds are the middle of the box, the level is the one that fits the
    box best.
    """
    rows, columns = box_slices(box, plane.shape)
    pixels, noise = plane.window(rows, columns)
    size = np.array(pixels.shape[:2])
    middle = np.argwhere(np.ones(np.maximum(size // 4, 1), bool)) + size * 3 // 8
    middle = np.minimum(middle, size - 1)
    found = []
    for values in _maps(pixels, noise, middle):
        typical = np.median(values[middle[:, 0], middle[:, 1]])
        near = np.abs(values[middle[:, 0], middle[:, 1]].astype(float) - typical) <= 32
        level = _flood(values, middle[near])
        area, outline, contrast, edge = _profile(level, values)[:, :LEVELS]
        mean = contrast / np.maximum(outline, 1)
        fill = area / level.size
        score = mean * np.exp(-(((fill - np.pi / 4) / 0.3) ** 2))
        score *= np.clip(2 - 2 * edge / (2 * sum(level.shape) - 4), 0.02, 1)  # not the ground around the cell
        t = int(score.argmax())
        mask = scipy.ndimage.binary_fill_holes(level >= t)
        found.append((float(1 - np.exp(-score[t] / 12)), Piece.of(mask, (rows.start, columns.start))))
    return sorted(found, key=lambda item: -item[0])


def warm_up() -> None:
    """Compile (or load) the two loops, so that the first click does not wait for that."""
    values = np.zeros((4, 4), np.uint8)
    _profile(_flood(values, np.zeros((1, 2), np.int64)), values)
