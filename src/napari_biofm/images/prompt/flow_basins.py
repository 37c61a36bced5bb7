"""Clicks answered from a pass that was made already: every pixel knows the sink its flow runs to.

No network and no image: a click takes the basin under it, a second click adds another basin, a negative
click takes one away or splits, a threshold on the cell probability grows or shrinks the cell. Needs the
flows and the cell probability of Cellpose-SAM or of the embedded model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Piece
from napari_biofm.images.prompt.correction import Answer, box_slices, corrected, points_of, union
from napari_biofm.types import Capabilities, Image, ImageError, Progress, Prompt, Segmentation, Task

LOWEST = -3.0  # logit down to which a pixel may be claimed by a basin
STEPS = (0.0, 1.5, -1.5)  # logits by which the alternatives differ from the first answer
SEAM = 4  # pixels on either side of the border of two basins that joining them closes
REACH = 6  # pixels around a click in which a basin is looked for where the click itself has none


@dataclass(frozen=True)
class Basins:
    """Flow basins of one image, ready to be looked up.

    Attributes
    ----------
    basins : (Y, X) int32, 0 for none.
    cell_prob : (Y, X) float32 logits.
    boxes : slices of basin k at index k - 1.
    """

    basins: NDArray[np.int32]
    cell_prob: NDArray[np.float32]
    boxes: tuple[tuple[slice, slice] | None, ...]

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.basins.shape
        return height, width

    @classmethod
    def of(cls, segmentation: Segmentation) -> Basins:
        """Derive basins from the flows of a segmentation (2D).

        Raises
        ------
        ImageError : if it has no flows.
        """
        flows, prob = segmentation.flows, segmentation.cell_prob
        if flows is None or prob is None or prob.ndim != 2:
            raise ImageError(
                "This segmentation keeps no flows of a single plane: segment the image with Cellpose-SAM "
                "or the "
                "shipped model first, or choose another click tool."
            )
        from napari_biofm.images.segment.flows import flow_basins

        basins, _ = flow_basins(flows, prob, LOWEST, segmentation.diameter)
        return cls.from_arrays(basins, prob)

    @classmethod
    def from_arrays(cls, basins: NDArray[np.integer], cell_prob: NDArray[np.floating]) -> Basins:  # type: ignore[type-arg]
        """Make the table of basins (Y, X) and logits (Y, X)."""
        labels = np.ascontiguousarray(basins, np.int32)
        return cls(labels, np.asarray(cell_prob, np.float32), tuple(scipy.ndimage.find_objects(labels)))


class FlowBasins:
    """Promptable lookup in the flow basins of a segmentation; see `types.Promptable`.

    Parameters
    ----------
    segmentation : with flows and cell probability.
    threshold : logit above which a pixel of a basin belongs to its cell.
    """

    name = "flow basins"
    weights_sha256 = ""
    capabilities = Capabilities(clicks=True)

    def __init__(self, segmentation: Segmentation, threshold: float = 0.0) -> None:
        self._segmentation = segmentation
        self.threshold = threshold

    def prepare(self, image: Image) -> Task[Basins]:
        """Derive the basins; the image itself is not read, only its shape is compared."""
        yield Progress(0, 1, "flow basins")
        found = Basins.of(self._segmentation)
        if tuple(np.shape(image)[:2]) != found.shape:
            raise ImageError(
                f"The flows belong to an image of {found.shape}, this one is {np.shape(image)[:2]}."
            )
        return found

    def predict(self, prepared: Basins, prompt: Prompt) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (n, Y, X), best first, and the mean cell probability in each."""
        return self.answer(prepared, prompt).full(prepared.shape)

    def answer(self, prepared: Basins, prompt: Prompt, threshold: float | None = None) -> Answer:
        """Return the cropped answer; costs do not depend on the size of the image."""
        return lookup(prepared, prompt, self.threshold if threshold is None else threshold)


def plane_of(segmentation: Segmentation, index: int) -> Segmentation:
    """Return what a segmentation says of one plane of a stack; of a single plane, itself.

    Raises
    ------
    ImageError : if it keeps no flows, or has no such plane.
    """
    flows, prob = segmentation.flows, segmentation.cell_prob
    if flows is None or prob is None:
        raise ImageError("This segmentation keeps no flows; segment with Cellpose-SAM or the shipped model.")
    if prob.ndim == 2:
        return segmentation
    if not 0 <= index < len(prob):
        raise ImageError(f"The flows belong to {len(prob)} planes; there is no plane {index} among them.")
    in_plane = flows[-2:, index]  # of flows in three directions, those within the plane
    return Segmentation(
        segmentation.masks[index], in_plane, prob[index], None, segmentation.diameter, segmentation.provenance
    )


def follow(table: Basins, moved: Piece, threshold: float = 0.0) -> tuple[Piece, float]:
    """Return the cell of this plane that a mask of the neighbouring plane goes over to: the basins of which
    more than half lies under it, else the one it covers most; and its mean cell probability.

    Parameters
    ----------
    moved : the neighbour's mask, moved along.
    threshold : logit above which pixels belong to the cell.
    """
    inside = moved.within((0, 0), table.shape) if _leaves(moved, table.shape) else moved
    inside = Piece.of(inside.mask, inside.origin)
    empty = Piece.of(np.zeros((1, 1), bool))
    if not inside:
        return empty, 0.0
    box = tuple(slice(o, e) for o, e in zip(inside.origin, inside.stop, strict=True))
    above = table.cell_prob[box] > threshold
    held = np.bincount(table.basins[box][inside.mask & above], minlength=1)
    held[0] = 0
    if not held.any():
        return empty, 0.0
    pieces = {int(k): region(table, int(k), threshold) for k in np.flatnonzero(held)}
    chosen = [k for k, piece in pieces.items() if held[k] > 0.5 * piece.area] or [int(held.argmax())]
    found = pieces[chosen[0]]
    for k in chosen[1:]:
        found = union(found, pieces[k])
    return found, _score(table, found) if found else 0.0


def _leaves(piece: Piece, shape: tuple[int, int]) -> bool:
    return min(piece.origin) < 0 or any(e > n for e, n in zip(piece.stop, shape, strict=True))


def lookup(table: Basins, prompt: Prompt, threshold: float = 0.0, start: Piece | None = None) -> Answer:
    """Answer a prompt from basins; alternatives are the same cell at other thresholds.

    Parameters
    ----------
    start : the mask to correct, cropped; the same as `prompt.mask`, for large images.
    """
    if start is None and prompt.mask is not None:
        start = Piece.of(prompt.mask)
    positives, negatives = points_of(prompt, table.shape, start)
    pieces: list[Piece] = []
    scores: list[float] = []
    for step in STEPS:
        level = threshold + step
        piece = _one(table, positives, negatives, prompt.box, start, level)
        if piece and all(piece.overlap(p) < 0.98 for p in pieces):
            pieces.append(piece)
            scores.append(_score(table, piece))
    return Answer(tuple(pieces), tuple(scores))


def basin_at(table: Basins, point: NDArray[np.float64]) -> int:
    """Return the basin at a point, or the nearest one within a few pixels, 0 where there is none."""
    y, x = (round(float(c)) for c in point)
    if table.basins[y, x]:
        return int(table.basins[y, x])
    top, left = max(0, y - REACH), max(0, x - REACH)
    near = table.basins[top : y + REACH + 1, left : x + REACH + 1]
    if not near.any():
        return 0
    rows, columns = np.nonzero(near)
    best = np.argmin((rows + top - y) ** 2 + (columns + left - x) ** 2)
    return int(near[rows[best], columns[best]])


def basin_under(table: Basins, points: NDArray[np.float64]) -> int:
    """Return the basin that most of some points lie in, or else one near their middle; 0 where there is none.

    Parameters
    ----------
    points : (n, 2) pixels of the plane, e.g. of a cell; those outside count as at its edge.
    """
    points = np.clip(points, 0, np.array(table.shape) - 1)
    at = np.rint(points).astype(int)
    under = np.bincount(table.basins[at[:, 0], at[:, 1]])
    under[0] = 0
    return int(under.argmax()) if under.any() else basin_at(table, points[len(points) // 2])


def region(table: Basins, basin: int, threshold: float, point: NDArray[np.float64] | None = None) -> Piece:
    """Return a basin above a threshold, without holes; a click below the threshold lowers it to the click's
    own level.

    Parameters
    ----------
    basin : number of the basin; 0 gives an empty piece.
    point : the click; of several unconnected parts the one it lies in (else the largest) is kept.
    """
    box = table.boxes[basin - 1] if 0 < basin <= len(table.boxes) else None
    if box is None:
        return Piece.of(np.zeros((1, 1), bool))
    inside = table.basins[box] == basin
    prob = table.cell_prob[box]
    at = None
    if point is not None:
        at = tuple(
            int(np.clip(round(float(c)) - s.start, 0, s.stop - s.start - 1))
            for c, s in zip(point, box, strict=True)
        )
        if inside[at]:
            threshold = min(threshold, float(prob[at]) - 0.25)
    mask = inside & (prob > threshold)
    parts, n = scipy.ndimage.label(mask)
    if n > 1:
        chosen = parts[at] if at is not None and parts[at] else np.bincount(parts.ravel())[1:].argmax() + 1
        mask = parts == chosen
    return Piece.of(scipy.ndimage.binary_fill_holes(mask) & (inside | mask), (box[0].start, box[1].start))


def _one(
    table: Basins,
    positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
    box: tuple[float, float, float, float] | None,
    start: Piece | None,
    threshold: float,
) -> Piece:
    refused = {basin_at(table, p) for p in negatives}
    wanted = {basin_at(table, p) for p in positives}

    def around(point: NDArray[np.float64]) -> Piece:
        return region(table, basin_at(table, point), threshold, point)

    if start is not None and start:
        return corrected(start, positives, negatives, around, table.shape)
    piece = Piece.of(np.zeros((1, 1), bool))
    if box is not None:
        piece = _in_box(table, box, threshold, refused - wanted)
    elif len(positives):
        piece = around(positives[0])
    piece = corrected(piece, positives, negatives, around, table.shape)
    return _bridged(table, piece, wanted) if len(wanted - {0}) > 1 else piece


def _bridged(table: Basins, piece: Piece, wanted: set[int]) -> Piece:
    """Close the seam between basins that are joined, where it lies below the threshold but within them."""
    wide = piece.padded(SEAM + 1, table.shape)
    box = tuple(slice(o, e) for o, e in zip(wide.origin, wide.stop, strict=True))
    within = np.isin(table.basins[box], sorted(wanted - {0}))
    closed = scipy.ndimage.binary_closing(np.pad(wide.mask, SEAM), iterations=SEAM)[SEAM:-SEAM, SEAM:-SEAM]
    return Piece.of(wide.mask | (closed & within), wide.origin)


def _in_box(
    table: Basins, box: tuple[float, float, float, float], threshold: float, refused: set[int]
) -> Piece:
    """Return the basins of which more than half lies in the box, else the one that fills it most."""
    rows, columns = box_slices(box, table.shape)
    shown = np.where(table.cell_prob[rows, columns] > threshold, table.basins[rows, columns], 0)
    held = np.bincount(shown.ravel())
    held[0] = 0
    found = [int(k) for k in np.flatnonzero(held) if int(k) not in refused]
    if not found:
        return Piece.of(np.zeros((1, 1), bool))
    sizes = {k: max(region(table, k, threshold).area, 1) for k in found}
    chosen = [k for k in found if held[k] > 0.5 * sizes[k]] or [max(found, key=lambda k: held[k])]
    return Piece.of(scipy.ndimage.binary_fill_holes(np.isin(shown, chosen)), (rows.start, columns.start))


def _score(table: Basins, piece: Piece) -> float:
    box = tuple(slice(o, e) for o, e in zip(piece.origin, piece.stop, strict=True))
    logits = np.clip(table.cell_prob[box][piece.mask], -30, 30)
    return float((1 / (1 + np.exp(-logits))).mean())
