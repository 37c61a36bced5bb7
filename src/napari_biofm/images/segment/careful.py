"""A segmenter that does not believe everything: extremes are covered before, and what has no evidence is left out after.

Wraps any model, so that no cell is invented whichever does the work, in planes, stacks and parts of large images alike.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.extremes import without_extremes
from napari_biofm.images.left_out import NO_CONTRAST, SPECKS, with_told
from napari_biofm.images.protocols import Limits, StackMode, remasks, segments_stacks
from napari_biofm.images.segment.evidence import Evidence, measure_evidence, suppressed
from napari_biofm.images.segment.sizes import drop_specks, without
from napari_biofm.types import (
    Capabilities,
    Image,
    Labels,
    Progress,
    Segmentation,
    SegmentationParameters,
    Segmenter,
    Task,
)


class Careful:
    """A segmenter whose results are held against the image.

    Parameters
    ----------
    model : of any capabilities; what is not named here is its own.
    """

    def __init__(self, model: Segmenter) -> None:
        self.model = model
        self.name = model.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the model."""
        return self.model.capabilities

    @property
    def weights_sha256(self) -> str:
        """Digest of the model's weights."""
        return self.model.weights_sha256

    def segment(self, image: Image, parameters: SegmentationParameters, **options: Any) -> Task[Segmentation]:
        """Segment a plane (Y, X) or (Y, X, C).

        Parameters
        ----------
        image : intensities as they were recorded.
        parameters : `least_contrast` and `relative_size` say what is left out.
        options : of the model: `viewport`, `limits`.
        """
        shown, notes = without_extremes(np.asarray(image))
        model = cast(Any, self.model)
        found: Segmentation = yield from model.segment(shown, parameters, **options)
        if found.masks.any():
            yield Progress(1, 1, "looking for evidence")
        masks, left_out = self._judged(shown, found.masks, parameters)
        cell_prob = found.cell_prob
        if cell_prob is not None and left_out.get(NO_CONTRAST):
            reach = (found.diameter or 20.0) / 2 + 3
            cell_prob = suppressed(cell_prob, found.masks, masks, reach)
        return replace(
            found, masks=masks, cell_prob=cell_prob, provenance=with_told(found.provenance, left_out, notes)
        )

    def segment_stack(
        self,
        stack: NDArray[Any],
        parameters: SegmentationParameters,
        mode: StackMode = "stitch",
        anisotropy: float = 1.0,
        stitch_threshold: float = 0.25,
        limits: Limits | None = None,
    ) -> Task[Segmentation]:
        """Segment a stack (Z, Y, X) or (Z, Y, X, C) the model's own way.

        Parameters
        ----------
        stack, parameters, mode, anisotropy, stitch_threshold, limits : see `protocols.StackSegmenter`.
        """
        assert segments_stacks(self.model)
        cleaned = [without_extremes(np.asarray(plane)) for plane in stack]
        shown = np.stack([plane for plane, _ in cleaned])
        notes = list(dict.fromkeys(note for _, told in cleaned for note in told))[:3]
        options = mode, anisotropy, stitch_threshold, limits
        found = yield from self.model.segment_stack(shown, parameters, *options)
        yield Progress(1, 1, "looking for evidence")
        masks, left_out = self._judged(shown, found.masks, parameters)
        cell_prob = found.cell_prob
        if cell_prob is not None and left_out.get(NO_CONTRAST):
            reach = (found.diameter or 20.0) / 2 + 3
            planes = zip(cell_prob, found.masks, masks, strict=True)
            cell_prob = np.stack([suppressed(*plane, reach) for plane in planes])
        told = with_told(found.provenance, left_out, notes)
        return replace(found, masks=masks, cell_prob=cell_prob, provenance=told)

    def remask(
        self, segmentation: Segmentation, parameters: SegmentationParameters, **options: Any
    ) -> Segmentation:
        """Make the masks again from kept flows; what was left out for want of evidence stays out.

        Parameters
        ----------
        segmentation, parameters : see `protocols.Remasker`.
        options : of the model.
        """
        assert remasks(self.model)
        again = cast(Any, self.model).remask(segmentation, parameters, **options)
        return replace(again, masks=drop_specks(again.masks, parameters.relative_size)[0])

    def _judged(
        self, shown: NDArray[Any], masks: Labels, parameters: SegmentationParameters
    ) -> tuple[Labels, dict[str, int]]:
        """Return the masks that are believed, and how many objects were left out for which reason."""
        if not masks.any():
            return masks, {}
        least, left_out = parameters.least_contrast, {}
        if least > 0:
            real = evidence_of(shown, masks, least).real(least)
            there = np.bincount(masks.ravel(), minlength=len(real)) > 0
            there[0] = False
            gone = there & ~real
            if gone.any():
                left_out[NO_CONTRAST] = int(gone.sum())
                masks = without(masks, gone)
        masks, dropped = drop_specks(masks, parameters.relative_size)
        if dropped:
            left_out[SPECKS] = dropped
        return masks, left_out


def careful(model: Segmenter) -> Segmenter:
    """Return a segmenter that does not believe everything.

    Parameters
    ----------
    model : any segmenter, or one that is careful already.
    """
    return model if isinstance(model, Careful) else Careful(model)


def evidence_of(image: NDArray[Any], masks: Labels, enough: float = np.inf) -> Evidence:
    """Measure the evidence of objects in a plane or a stack; in a stack an object's best plane counts.

    Parameters
    ----------
    image : (Y, X[, C]) or (Z, Y, X[, C]), as the masks have it.
    masks : (Y, X) or (Z, Y, X) labels.
    enough : as for `evidence.measure_evidence`.
    """
    if masks.ndim == 2:
        return measure_evidence(image, masks, enough)
    n = int(masks.max()) + 1
    best = Evidence(*np.zeros((5, n)))
    for plane, labels in zip(image, masks, strict=True):
        present, compact = np.unique(labels, return_inverse=True)
        if present[0] != 0:
            present, compact = np.concatenate([[0], present]), compact + 1
        one = measure_evidence(plane, compact.reshape(labels.shape).astype(np.int32), enough)
        for field in fields(Evidence):
            total, values = getattr(best, field.name), getattr(one, field.name)
            total[present] = np.maximum(total[present], values)
    return best
