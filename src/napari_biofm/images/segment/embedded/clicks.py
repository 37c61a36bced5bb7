"""Clicks, boxes and earlier masks -> a mask, from the features of one pass. A few milliseconds each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded.passes import Pass
from napari_biofm.images.segment.flows import flow_basins
from napari_biofm.types import ImageError, Prompt

if TYPE_CHECKING:
    from napari_biofm.images.segment.embedded.network import Network

Float = NDArray[np.float32]
WINDOW = 96  # network pixels around a prompt
LARGEST_WINDOW = 512
REMEMBERED = 64  # answers kept, so that one more click costs one turn of the decoder
BUMP = 2.0  # standard deviation of a click's bump, in decoder pixels
BASIN_THRESHOLD = -1.0  # logit down to which a pixel belongs to a basin


class Answer(NamedTuple):
    """Mask and flow basin at image size, and the IoU expected of the mask."""

    mask: NDArray[np.bool_]
    basin: NDArray[np.bool_]
    score: float


@dataclass(frozen=True)
class Prepared:
    """What is kept of an image between clicks, on the network's canvas.

    Attributes
    ----------
    features : (C + 3, H/2, W/2) float16: decoder features, flow, cell probability (squashed).
    basins : (H/2, W/2) int32 basin of every position, 0 for none.
    found : the pass it was made from, its outline only.
    answers : the last answers by their prompt.
    """

    features: NDArray[np.float16]
    basins: NDArray[np.int32]
    found: Pass
    answers: dict[tuple[Any, ...], Answer] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, found: Pass) -> Prepared:
        """Derive basins and decoder input from a pass that kept its decoded features."""
        assert found.decoded is not None
        channels, height, width = found.decoded.shape
        features = np.empty((channels + 3, height, width), np.float16)
        features[:channels] = found.decoded
        for k, plane in enumerate((*found.flow, np.tanh(found.cell_prob / 4)), channels):
            features[k] = plane.reshape(height, 2, width, 2).mean((1, 3))
        return cls(features, basins_of(found.flow, found.cell_prob), found.outline())


def basins_of(flow: Float, cell_prob: Float) -> NDArray[np.int32]:
    """Flow basins on the canvas (2, H, W), at the decoder's stride of 2: (H/2, W/2) int32."""
    return np.ascontiguousarray(flow_basins(flow, cell_prob, BASIN_THRESHOLD)[0][::2, ::2])


def prompt_planes(
    shape: tuple[int, int],
    points: NDArray[Any],
    positive: NDArray[Any],
    box: NDArray[Any] | None,
    mask: Float | None,
    basins: NDArray[Any],
) -> Float:
    """Draw a prompt as planes, all in decoder pixels of one window.

    Parameters
    ----------
    shape : (h, w) of the window. points : (n, 2) y, x. positive : (n,) bool. box : (4,) y0, x0, y1, x1
        or None.
    mask : (h, w) 0..1 of an earlier answer, or None. basins : (h, w) basin labels.

    Returns
    -------
    (6, h, w) float32: positive bumps, negative bumps, box, earlier mask, basins under the positive points,
    and
    whether there is an earlier mask.
    """
    planes = np.zeros((6, *shape), np.float32)
    rows, columns = np.arange(shape[0], dtype=np.float32), np.arange(shape[1], dtype=np.float32)
    for (y, x), good in zip(points, positive, strict=True):
        bump = np.exp(-((rows - y) ** 2) / (2 * BUMP**2))[:, None] * np.exp(
            -((columns - x) ** 2) / (2 * BUMP**2)
        )
        plane = planes[0 if good else 1]
        np.maximum(plane, bump, out=plane)
    if box is not None:
        y0, x0, y1, x1 = box
        planes[2] = ((rows >= y0 - 0.5) & (rows < y1))[:, None] & ((columns >= x0 - 0.5) & (columns < x1))
    if mask is not None:
        planes[3], planes[5] = mask, 1.0
    planes[4] = _basins_under(points, positive, box, basins)
    return planes


def _basins_under(
    points: NDArray[Any], positive: NDArray[Any], box: Any, basins: NDArray[Any]
) -> NDArray[np.bool_]:
    """Union of the basins under positive points less those under negative ones; without points, that of
    the box.
    """
    chosen: set[int] = set()
    refused: set[int] = set()
    for (y, x), good in zip(points, positive, strict=True):
        at = (
            int(np.clip(round(float(y)), 0, basins.shape[0] - 1)),
            int(np.clip(round(float(x)), 0, basins.shape[1] - 1)),
        )
        (chosen if good else refused).add(int(basins[at]))
    if not len(points) and box is not None:
        y0, x0, y1, x1 = (int(max(0, round(float(v)))) for v in box)
        inside = basins[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        total, held = np.bincount(basins.ravel()), np.bincount(inside.ravel())
        total = total[: len(held)]
        chosen = {int(k) for k in np.flatnonzero(held > 0.5 * np.maximum(total, 1)) if k}
    return np.isin(basins, sorted(chosen - refused - {0}))


def predict(
    network: Network, prepared: Prepared, prompt: Prompt, device: str = "cpu"
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Answer one prompt; see `EmbeddedModel.predict`.

    Several points are answered in turn, each as a correction of the mask before: a correction changes the
    piece around its point and nothing else. Earlier turns are remembered.
    """
    points = np.asarray(prompt.points, np.float64).reshape(-1, 2)
    positive = np.asarray(prompt.positive, bool).reshape(-1)
    _check(prompt, points, positive, prepared.found.shape)
    mask = None if prompt.mask is None else np.asarray(prompt.mask, bool)
    if mask is not None and not len(points):
        answer, basin, score = _answer(network, prepared, points, positive, prompt.box, mask, device)
    else:
        answer, basin, score = _in_turn(network, prepared, points, positive, prompt.box, mask, device)
    if not basin.any():
        return answer[None], np.array([score], np.float32)
    return np.stack([answer, basin]), np.array([score, 0.9 * score], np.float32)


def _in_turn(
    network: Network,
    prepared: Prepared,
    points: NDArray[Any],
    positive: NDArray[Any],
    box: Any,
    mask: NDArray[np.bool_] | None,
    device: str,
) -> Answer:
    """Answer the points one after the other; without a mask or box, negative ones before the first positive
    one go with it. A point that the mask already obeys is looked at only when it is the last.
    """
    n = len(points)
    first = 1 if mask is not None else min(n, 1)
    if mask is None and box is None:
        first = int(np.flatnonzero(positive)[0]) + 1
    start = None if mask is None else hashlib.sha256(np.packbits(mask).tobytes()).digest()
    frame = None if box is None else tuple(float(v) for v in box)
    answer: Answer | None = None if mask is None else Answer(mask, np.zeros_like(mask), 0.0)
    for k in range(first, n + 1):
        if (
            mask is not None
            and answer is not None
            and k < n
            and _agrees(answer.mask, points[k - 1], positive[k - 1])
        ):
            continue
        key = (start, points[:k].tobytes(), positive[:k].tobytes(), frame)
        known = prepared.answers.pop(key, None)
        if known is None:
            given = None if answer is None or not answer.mask.any() else answer.mask
            known = _answer(network, prepared, points[:k], positive[:k], box, given, device)
            if answer is not None:
                sign = bool(positive[k - 1])
                corrected = _corrected(answer.mask, known.mask, points[k - 1], sign, prepared.found)
                known = known._replace(mask=corrected)
        prepared.answers[key] = answer = known
    while len(prepared.answers) > REMEMBERED:
        del prepared.answers[next(iter(prepared.answers))]
    assert answer is not None
    return answer


def _agrees(mask: NDArray[np.bool_], point: NDArray[Any], positive: Any) -> bool:
    y, x = (int(np.clip(np.floor(v), 0, n - 1)) for v, n in zip(point, mask.shape, strict=True))
    return bool(mask[y, x]) == bool(positive)


def _corrected(
    before: NDArray[np.bool_], after: NDArray[np.bool_], point: NDArray[Any], positive: bool, found: Pass
) -> NDArray[np.bool_]:
    """Take from `after` the changed piece under `point`; where it changed nothing, a disc around it."""
    y, x = (int(np.clip(np.floor(v), 0, n - 1)) for v, n in zip(point, before.shape, strict=True))
    out = before.copy()
    if bool(before[y, x]) != positive and bool(after[y, x]) == positive:
        y0, x0, y1, x1 = _extent(before | after).astype(int)
        window = slice(y0, y1), slice(x0, x1)
        changed = (after[window] & ~before[window]) if positive else (before[window] & ~after[window])
        changed &= _within_reach(before[window], y - y0, x - x0)
        pieces = scipy.ndimage.label(changed)[0]
        out[window][pieces == pieces[y - y0, x - x0]] = positive
    elif bool(before[y, x]) != positive:
        radius = max(1.0, 2.0 / min(found.zoom))
        reach = int(np.ceil(radius))
        rows, columns = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
        yy = np.arange(rows.start, min(rows.stop, out.shape[0]))[:, None]
        xx = np.arange(columns.start, min(columns.stop, out.shape[1]))
        out[rows, columns][(yy - y) ** 2 + (xx - x) ** 2 <= radius**2] = positive
    return out


def _within_reach(before: NDArray[np.bool_], y: int, x: int) -> NDArray[np.bool_]:
    """Positions a correction at (y, x) speaks for: the farther from the mask's edge it lies, the more."""
    there = np.argwhere(before != before[y, x])
    if not len(there):
        return np.ones(before.shape, bool)
    depth = np.sqrt(((there - [y, x]) ** 2).sum(1).min())
    rows, columns = np.ogrid[: before.shape[0], : before.shape[1]]
    near: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 <= (3 * depth + 2) ** 2
    return near


def _answer(
    network: Network,
    prepared: Prepared,
    points: NDArray[Any],
    positive: NDArray[Any],
    box: Any,
    mask: NDArray[Any] | None,
    device: str,
) -> Answer:
    """Run the decoder once."""
    import torch

    found = prepared.found
    to_decoder = np.array(found.zoom) / 2
    spots = (points + 0.5) * to_decoder - 0.5
    frame = None if box is None else np.array(box, np.float64) * np.tile(to_decoder, 2)
    extent = None if mask is None else _extent(mask) * np.tile(to_decoder, 2)
    top, left, size = _window(spots, frame, extent, prepared.basins.shape)
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    corner = np.array([top, left])
    planes = prompt_planes(
        size,
        spots - corner,
        positive,
        None if frame is None else frame - np.tile(corner, 2),
        None if mask is None else _sample(mask, rows, columns, to_decoder),
        prepared.basins[rows, columns],
    )
    features = np.concatenate(
        [prepared.features[:, rows, columns].astype(np.float32), np.ones((1, *size), np.float32)]
    )
    with torch.inference_mode():
        logits, quality = network.mask_decoder(
            *(torch.from_numpy(a)[None].to(device) for a in (features, planes))
        )
    score = float(torch.sigmoid(quality)[0])
    clicked = np.floor(points[positive]).astype(int)
    answer = _onto_image(logits[0, 0].float().cpu().numpy(), (2 * top, 2 * left), found, clicked)
    basin = _onto_image(np.kron(planes[4] * 8 - 4, np.ones((2, 2))), (2 * top, 2 * left), found, clicked)
    return Answer(answer, basin, score)


def _check(prompt: Prompt, points: NDArray[Any], positive: NDArray[Any], shape: tuple[int, int]) -> None:
    if len(points) != len(positive):
        raise ImageError(f"{len(points)} points but {len(positive)} signs; give one sign per point")
    if not np.isfinite(points).all():
        raise ImageError("a point of the prompt is not finite; give y, x in pixels of the image")
    if not positive.any() and prompt.box is None and (prompt.mask is None or not np.any(prompt.mask)):
        raise ImageError("the prompt has no positive point, box or mask; click inside the object")
    if prompt.mask is not None and np.shape(prompt.mask) != shape:
        raise ImageError(f"the prompt's mask has shape {np.shape(prompt.mask)}, the image {shape}")
    if prompt.box is not None:
        y0, x0, y1, x1 = prompt.box
        if not (np.isfinite(prompt.box).all() and y1 > y0 and x1 > x0):
            raise ImageError(f"box {prompt.box} is empty; give (y0, x0, y1, x1) with y1 > y0 and x1 > x0")


def _extent(mask: NDArray[Any]) -> NDArray[np.float64]:
    """Bounding box y0, x0, y1, x1 of a mask; of the whole picture if it is empty."""
    rows, columns = np.flatnonzero(np.any(mask, axis=1)), np.flatnonzero(np.any(mask, axis=0))
    if not len(rows):
        return np.array([0, 0, *np.shape(mask)], np.float64)
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], np.float64)


def _sample(mask: NDArray[Any], rows: slice, columns: slice, to_decoder: NDArray[np.float64]) -> Float:
    """Read an image-sized mask at the decoder positions of a window."""
    index = []
    for part, ratio, n in zip((rows, columns), to_decoder, mask.shape, strict=True):
        at = ((np.arange(part.start, part.stop) + 0.5) / ratio).astype(int)
        index.append((np.minimum(at, n - 1), at < n))
    (y, y_in), (x, x_in) = index
    seen: Float = (np.asarray(mask, bool)[y[:, None], x] & y_in[:, None] & x_in).astype(np.float32)
    return seen


def _window(
    points: NDArray[Any], box: Any, extent: Any, shape: tuple[int, ...]
) -> tuple[int, int, tuple[int, int]]:
    """Place a window (a multiple of 16 decoder pixels wide) around everything the prompt names."""
    spots = [points] if len(points) else []
    spots += [np.asarray(corners).reshape(2, 2) for corners in (box, extent) if corners is not None]
    every = np.concatenate(spots)
    low, high = every.min(0), every.max(0)
    side = int(np.clip(1.6 * (high - low).max(), WINDOW // 2, LARGEST_WINDOW // 2))
    side = -(-side // 16) * 16
    corner = [
        int(np.clip(round(c - side / 2), 0, max(0, n - side)))
        for c, n in zip((low + high) / 2, shape, strict=True)
    ]
    return corner[0], corner[1], (min(side, shape[0]), min(side, shape[1]))


def _onto_image(
    logits: NDArray[Any], corner: tuple[int, int], found: Pass, clicked: NDArray[np.int_]
) -> NDArray[np.bool_]:
    """Read window logits (network pixels) at image pixels and keep the pieces that were clicked, else the
    largest.
    """
    out = np.zeros(found.shape, bool)
    spans, weights = [], []
    for start, n, zoom, limit in zip(corner, logits.shape, found.zoom, found.shape, strict=True):
        first, last = max(0, int(np.floor(start / zoom))), min(limit, int(np.ceil((start + n) / zoom)))
        at = np.clip((np.arange(first, last) + 0.5) * zoom - 0.5 - start, 0, n - 1)
        low = np.minimum(at.astype(int), max(0, n - 2))
        spans.append(slice(first, last))
        weights.append((low, np.minimum(low + 1, n - 1), (at - low).astype(np.float32)))
    (y0, y1, wy), (x0, x1, wx) = weights
    lines = logits[y0] * (1 - wy)[:, None] + logits[y1] * wy[:, None]
    picture = lines[:, x0] * (1 - wx) + lines[:, x1] * wx > 0
    pieces, count = scipy.ndimage.label(picture)
    if count > 1:
        local = clicked - [spans[0].start, spans[1].start]
        local = local[((local >= 0) & (local < picture.shape)).all(1)]
        wanted = set(pieces[tuple(local.T)].tolist()) - {0}
        wanted = wanted or {int(np.bincount(pieces.ravel())[1:].argmax()) + 1}
        picture = np.isin(pieces, sorted(wanted))
    out[spans[0], spans[1]] = picture
    return out
