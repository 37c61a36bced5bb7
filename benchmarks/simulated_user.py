"""A user who knows the truth: clicks the middle of the largest error, dabs with a brush, repairs a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage as ndi

from napari_biofm.images.edit import ArrayTarget, LabelsEditor, Piece, View
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.types import Prompt

MOST = 10  # clicks given to an object
MOST_DABS = 40
GOOD = 0.8  # IoU at which an object counts as repaired
Mask = np.ndarray
Answer = Callable[[Prompt, "Mask | None"], Mask]  # prompt, mask to correct -> mask


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def box_of(*masks: Mask) -> tuple[slice, slice]:
    """Return the box around the true pixels of all masks, one pixel wider."""
    rows = np.flatnonzero(np.any([m.any(axis=1) for m in masks], axis=0))
    columns = np.flatnonzero(np.any([m.any(axis=0) for m in masks], axis=0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2)


def middle(mask: Mask) -> np.ndarray:
    """Return the deepest point of the largest part of a mask."""
    box = box_of(mask)
    inside = mask[box]
    parts, n = ndi.label(inside)
    if n > 1:
        inside = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    depth = ndi.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    deepest = np.array(np.unravel_index(depth.argmax(), depth.shape), float)
    return deepest + (box[0].start, box[1].start)


def by_clicks(
    answer: Answer, truth: Mask, start: Mask | None = None, enough: float = 0.9
) -> tuple[list[float], Mask]:
    """Click the middle of the largest error until `enough` or `MOST` clicks.

    Parameters
    ----------
    start : the mask to correct; a new object without it.

    Returns
    -------
    IoU after each click (the best so far once it is enough), and the last mask.
    """
    points: list[np.ndarray] = []
    signs: list[bool] = []
    found = np.zeros(truth.shape, bool) if start is None else start
    out: list[float] = []
    while len(out) < MOST:
        missing, extra = truth & ~found, found & ~truth
        positive = bool(missing.sum() >= extra.sum()) or (start is None and not points)
        if not (missing if positive else extra).any():
            break
        points.append(middle(missing if positive else extra))
        signs.append(positive)
        found = answer(Prompt(np.array(points), np.array(signs)), start)
        out.append(iou(found, truth))
        if out[-1] >= enough:
            break
    out = out or [iou(found, truth)]
    return out + [max(out)] * (MOST - len(out)), found


def by_brush(truth: Mask, start: Mask | None = None, enough: float = 1.1) -> tuple[list[float], Mask]:
    """Paint (and rub out) with a round brush a third as wide as the object; as `by_clicks`."""
    radius = max(1.0, float(np.sqrt(truth.sum() / np.pi)) / 3)
    found = np.zeros(truth.shape, bool) if start is None else start.copy()
    out: list[float] = []
    while len(out) < MOST_DABS:
        missing, extra = truth & ~found, found & ~truth
        if not (missing.any() or extra.any()):
            break
        adds = bool(missing.sum() >= extra.sum())
        cy, cx = middle(missing if adds else extra)
        rows = slice(max(0, int(cy - radius) - 1), int(cy + radius) + 2)
        columns = slice(max(0, int(cx - radius) - 1), int(cx + radius) + 2)
        y, x = np.ogrid[
            rows.start : min(rows.stop, len(found)), columns.start : min(columns.stop, found.shape[1])
        ]
        found[rows, columns][(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = adds
        out.append(iou(found, truth))
        if out[-1] >= enough:
            break
    out = out or [iou(found, truth)]
    return out + [max(out)] * (MOST_DABS - len(out)), found


@dataclass
class Repair:
    """What it took to repair one image.

    Attributes
    ----------
    edits : gestures by kind: delete, split, merge, correct, add (clicks or dabs).
    objects : objects in the truth. given_up : of these, not at an IoU of `GOOD` in the end.
    """

    edits: dict[str, int] = field(default_factory=dict)
    objects: int = 0
    given_up: int = 0

    def count(self, kind: str, n: int = 1) -> None:
        self.edits[kind] = self.edits.get(kind, 0) + n

    @property
    def total(self) -> int:
        return sum(self.edits.values())


def repair(automatic: np.ndarray, truth: np.ndarray, tool: Answer | None, limit: int) -> Repair:
    """Bring an automatic result to the truth with the editor's own delete, split and merge, and with clicks
    for what is missing or badly drawn.

    Parameters
    ----------
    automatic, truth : (Y, X) labels.
    tool : the click backend; None for the brush.
    limit : objects of the image that are redrawn at most (drawn at random); the count is scaled up.
    """
    target = ArrayTarget(automatic.astype(np.int32).copy())
    editor, view, done = LabelsEditor(target), View.last(2), Repair()
    labels = np.asarray(target.data)

    def do(kind: str, edit: LabelsEdit, n: int = 1) -> None:
        edit.write(target)
        editor.index.changed(edit.patches)
        done.count(kind, n)

    _structure(editor, view, truth, do)
    ids = np.unique(truth)[1:]
    done.objects = len(ids)
    bad = [(k, _match(labels, truth == k)) for k in ids.tolist()]
    bad = [
        (k, m) for k, m in bad if iou(labels == m if m else np.zeros(truth.shape, bool), truth == k) < GOOD
    ]
    share = max(1.0, len(bad) / limit)
    bad = [bad[k] for k in np.random.default_rng(len(bad)).permutation(len(bad))]
    clicks: dict[str, float] = {}
    lost = 0
    for k, m in bad[:limit]:
        wanted = truth == k
        start = (labels == m) if m else None
        curve, found = by_clicks(tool, wanted, start, GOOD) if tool else by_brush(wanted, start, GOOD)
        n = next((i + 1 for i, v in enumerate(curve) if v >= GOOD), len(curve))
        clicks["correct" if m else "add"] = clicks.get("correct" if m else "add", 0) + n
        lost += max(curve) < GOOD
        if found.any():
            edit = editor.commit(view, Piece.of(found), m or None, replace=bool(m), overwrite=True)
            edit.write(target)
            editor.index.changed(edit.patches)
    for kind, spent in clicks.items():
        done.count(kind, round(spent * share))
    done.given_up = round(lost * share)
    return done


def _structure(editor: LabelsEditor, view: View, truth: np.ndarray, do: Callable[..., None]) -> None:
    """Delete what is nothing, split what is several, merge what is one."""
    labels = np.asarray(editor.target.data)  # type: ignore[attr-defined]
    ids, inside = _overlaps(labels, truth)
    for k in ids:
        if sum(inside[k].values()) < 0.1 * (labels == k).sum():
            do("delete", editor.delete(k, view))
    sizes = np.bincount(truth.ravel())
    for k in ids:
        several = [t for t, n in inside[k].items() if n > 0.5 * sizes[t]]
        if len(several) > 1 and (labels == k).any():
            seeds = [middle((truth == t) & (labels == k))[None] for t in several]
            do("split", editor.split(view, k, seeds), len(several) - 1)  # a line for each new part
    ids, inside = _overlaps(labels, truth)
    parts: dict[int, list[int]] = {}
    for k in ids:
        area = int((labels == k).sum())
        for t, n in inside[k].items():
            if n > 0.5 * area:
                parts.setdefault(t, []).append(k)
    for several in parts.values():
        for other in several[1:]:
            do("merge", editor.merge(several[0], other, view))


def _overlaps(labels: np.ndarray, truth: np.ndarray) -> tuple[list[int], dict[int, dict[int, int]]]:
    """Return ids, and for each how many of its pixels lie in which object."""
    pairs, counts = np.unique(np.stack([labels.ravel(), truth.ravel()]), axis=1, return_counts=True)
    found: dict[int, dict[int, int]] = {}
    for (k, t), n in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        if k:
            row = found.setdefault(k, {})
            if t:
                row[t] = n
    return sorted(found), found


def _match(labels: np.ndarray, wanted: Mask) -> int:
    """Return the cell that overlaps most with an object, 0 where none covers a quarter of it."""
    held = np.bincount(labels[wanted])
    if len(held) < 2:
        return 0
    best = int(held[1:].argmax()) + 1
    return best if iou(labels == best, wanted) >= 0.25 else 0


def summary(curves: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return NoC@80, NoC@90 and mean IoU after 1, 3 and 5 clicks of many objects."""
    best = np.maximum.accumulate(np.array(curves), axis=1)
    out = {f"iou_{k}": round(float(best[:, k - 1].mean()), 4) for k in (1, 3, 5)}
    for level in (80, 90):
        reached = best >= level / 100
        clicks = np.where(reached.any(1), reached.argmax(1) + 1, best.shape[1])
        out[f"noc_{level}"] = round(float(clicks.mean()), 3)
        out[f"never_{level}"] = round(float((~reached.any(1)).mean()), 4)
    return out
