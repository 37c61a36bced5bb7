"""Cells of two sessions that are the same: the fields are laid over each other, then cells are paired by overlap and shape.

Sources: registration and pairing of ROIs over days as in Sheintuch et al., Cell Rep 21:1102 (2017), CellReg.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError

Floats = NDArray[np.float64]
_ROUNDS = 8  # of laying over and pairing
_FEW = 6  # pairs that an affine transformation needs
_WORST = 1e6


@dataclass(frozen=True, eq=False)
class CellMatch:
    """Which cells of two sessions are the same.

    Attributes
    ----------
    first, second : (k,) labels of pairs.
    overlap : (k,) intersection over union of their masks after laying over.
    distance : (k,) px between their centres after laying over.
    score : (k,) 0 to 1, of overlap, distance and area together.
    margin : (k,) how much better the pair is than the best other one of either cell, 0 to 1: near 0 is ambiguous.
    only_first, only_second : labels without a partner.
    transform : (2, 3) float64; a point (y, x, 1) of the second field lies at transform @ point in the first.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    overlap: Floats
    distance: Floats
    score: Floats
    margin: Floats
    only_first: NDArray[np.int64]
    only_second: NDArray[np.int64]
    transform: Floats

    def relabelled(self, masks: NDArray[np.integer], first: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return the masks of the second session (Y, X) with the ids of the first; cells without a partner get new ids.

        Parameters
        ----------
        masks : of the second session. first : of the first one, whose ids are not given twice.
        """
        ids = np.unique(masks[masks > 0])
        free = int(max(first.max(initial=0), masks.max(initial=0))) + 1
        partner = dict(zip(self.second.tolist(), self.first.tolist(), strict=True))
        new = []
        for label in ids.tolist():
            if label in partner:
                new.append(partner[label])
            else:
                new.append(free)
                free += 1
        result = np.zeros(masks.shape, np.int32)
        inside = masks > 0
        result[inside] = np.array(new, np.int32)[np.searchsorted(ids, masks[inside])]
        return result


def match_cells(
    first: NDArray[np.integer], second: NDArray[np.integer], *, most_px: float = 8.0, least_score: float = 0.3
) -> CellMatch:
    """Pair the cells of two sessions.

    Parameters
    ----------
    first, second : (Y, X) labels, 0 is background; they may differ in size.
    most_px : centres of a pair lie at most so far from each other after laying over.
    least_score : pairs with a lower score are none.

    Returns
    -------
    CellMatch
        Each cell is in one pair at most (Hungarian assignment).

    Raises
    ------
    CellsError
        If a session has no cell.
    """
    for name, masks in (("first", first), ("second", second)):
        if masks.ndim != 2 or not (masks > 0).any():
            raise CellsError(f"the {name} session needs masks (Y, X) with cells; it has shape {masks.shape}")
    a, b = _Field.of(first), _Field.of(second)
    transform = np.column_stack([np.eye(2), _translation(first, second)])
    rows = columns = np.zeros(0, np.intp)
    scores = overlap = distance = np.zeros((0, 0))
    for round_ in range(_ROUNDS):
        overlap, distance = _compared(a, b, transform)
        scores = _scores(a, b, overlap, distance, most_px)
        rows, columns = _assigned(scores, least_score if round_ == _ROUNDS - 1 else min(least_score, 0.15))
        better = _fitted(a.centres[rows], b.centres[columns], transform)
        if np.allclose(better, transform, atol=1e-3) and round_ > 0:
            rows, columns = _assigned(scores, least_score)
            break
        if round_ < _ROUNDS - 1:
            transform = better
    taken_a, taken_b = np.isin(np.arange(len(a.ids)), rows), np.isin(np.arange(len(b.ids)), columns)
    return CellMatch(
        a.ids[rows], b.ids[columns], overlap[rows, columns], distance[rows, columns], scores[rows, columns],
        _margins(scores, rows, columns), a.ids[~taken_a], b.ids[~taken_b], transform,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Field:
    """Cells of a session: ids, centres (n, 2), areas (n,), and the pixels of each (k, 2)."""

    ids: NDArray[np.int64]
    centres: Floats
    areas: Floats
    pixels: list[NDArray[np.int64]]
    masks: NDArray[np.integer]

    @classmethod
    def of(cls, masks: NDArray[np.integer]) -> _Field:
        at = np.argwhere(masks > 0)
        labels = masks[at[:, 0], at[:, 1]]
        order = np.argsort(labels, kind="stable")
        ids, starts = np.unique(labels[order], return_index=True)
        pixels = np.split(at[order], starts[1:])
        centres = np.array([one.mean(axis=0) for one in pixels])
        return cls(
            ids.astype(np.int64), centres, np.array([float(len(one)) for one in pixels]), pixels, masks
        )


def _translation(first: NDArray[np.integer], second: NDArray[np.integer]) -> Floats:
    """Return by how many pixels (y, x) the second field has to move, by cross-correlation of both fields' outlines."""
    from scipy import fft, ndimage

    shape = [fft.next_fast_len(a + b) for a, b in zip(first.shape, second.shape, strict=True)]
    spectra = []
    for masks in (first, second):
        inside = ndimage.distance_transform_edt(masks > 0).astype(np.float32)
        spectra.append(fft.rfft2(inside - inside.mean(), shape))
    found = fft.irfft2(spectra[0] * np.conj(spectra[1]), shape)
    at = np.array(np.unravel_index(int(found.argmax()), found.shape), float)
    size = np.array(shape, float)
    return np.where(at > size / 2, at - size, at)


def _compared(a: _Field, b: _Field, transform: Floats) -> tuple[Floats, Floats]:
    """Return intersection over union and distance of centres (n_a, n_b) after the second field is moved."""
    overlap = np.zeros((len(a.ids), len(b.ids)))
    scale = abs(float(np.linalg.det(transform[:, :2])))
    for j, pixels in enumerate(b.pixels):
        at = np.round(pixels @ transform[:, :2].T + transform[:, 2]).astype(int)
        there = ((at >= 0) & (at < a.masks.shape)).all(axis=1)
        hit = a.masks[at[there, 0], at[there, 1]]
        hit = hit[hit > 0]
        if len(hit):
            labels, counts = np.unique(hit, return_counts=True)
            i = np.searchsorted(a.ids, labels)
            shared = counts * scale
            overlap[i, j] = np.minimum(shared / (a.areas[i] + b.areas[j] * scale - shared), 1.0)
    moved = b.centres @ transform[:, :2].T + transform[:, 2]
    return overlap, np.hypot(*(a.centres[:, None] - moved[None]).transpose(2, 0, 1))


def _scores(a: _Field, b: _Field, overlap: Floats, distance: Floats, most_px: float) -> Floats:
    """Return scores (n_a, n_b): half of overlap, the rest of nearness and likeness of areas; 0 beyond `most_px`."""
    near = np.clip(1 - distance / most_px, 0, 1)
    ratio = np.minimum(a.areas[:, None] / b.areas[None], b.areas[None] / a.areas[:, None])
    return np.where(distance <= most_px, 0.5 * overlap + 0.5 * near * np.sqrt(ratio), 0.0)


def _assigned(scores: Floats, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    from scipy import optimize

    rows, columns = optimize.linear_sum_assignment(np.where(scores >= least, -scores, _WORST))
    keep = scores[rows, columns] >= least
    return rows[keep], columns[keep]


def _fitted(to: Floats, source: Floats, former: Floats) -> Floats:
    """Return the affine transformation of pairs without outliers; a translation where there are few of them."""
    keep = np.ones(len(to), bool)
    found = former
    for _ in range(3):
        if keep.sum() < 2:
            return former
        if keep.sum() < _FEW:
            found = np.column_stack(
                [former[:, :2], np.median(to[keep] - source[keep] @ former[:, :2].T, axis=0)]
            )
        else:
            design = np.column_stack([source[keep], np.ones(keep.sum())])
            found = np.linalg.lstsq(design, to[keep], rcond=None)[0].T
            if (
                not 0.7 < abs(np.linalg.det(found[:, :2])) < 1.4
            ):  # no two sessions of one field differ so much
                return former
        left = np.hypot(*(to - source @ found[:, :2].T - found[:, 2]).T)
        keep = left <= max(3 * 1.4826 * float(np.median(left[keep])), 0.75)
    return found


def _margins(scores: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """Return how much better each pair is than the next one of either cell."""
    found = np.zeros(len(rows))
    for k, (i, j) in enumerate(zip(rows, columns, strict=True)):
        others = np.concatenate([np.delete(scores[i], j), np.delete(scores[:, j], i)])
        found[k] = scores[i, j] - float(others.max(initial=0.0))
    return found
