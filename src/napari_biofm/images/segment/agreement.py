"""Which model for my image: what is here runs on a part of it, and how far the results agree.

Agreement is no truth: models that were trained alike fail alike. It says where to look.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.catalogue import make_segmenter, models_here
from napari_biofm.images.segment.stacks import segment_pixels
from napari_biofm.images.tiling.overlap import match_objects
from napari_biofm.types import (
    BiofmError,
    ImageError,
    Labels,
    ModelError,
    Progress,
    SegmentationParameters,
    Task,
)

SAME = 0.5  # intersection over union from which two outlines are one cell
GAP = 6  # pixels between panels
COLOUR = (255, 214, 10)  # of outlines


@dataclass(frozen=True)
class ModelResult:
    """What one model found.

    Attributes
    ----------
    name : of the model.
    masks : (Y, X) int32 labels.
    seconds : it took, without loading.
    diameter : median over cells of the diameter of a disc of the same area, pixels; NaN without cells.
    agreement : mean over the other models of the F1 of its cells against theirs at an IoU of 0.5; NaN if alone.
    """

    name: str
    masks: Labels
    seconds: float
    diameter: float
    agreement: float


@dataclass(frozen=True)
class ModelComparison:
    """What all models found, the one that agrees most with the others first.

    Attributes
    ----------
    results : of each model that ran.
    between : (models, models) F1 of cells at an IoU of 0.5, in the order of `results`.
    failed : why a model gave nothing, by its name.
    """

    results: tuple[ModelResult, ...]
    between: NDArray[np.float64]
    failed: dict[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per model: model, cells, diameter_px, seconds, agreement, and f1_NAME with each of the others."""
        found = []
        for i, one in enumerate(self.results):
            row = {
                "model": one.name,
                "cells": len(np.unique(one.masks[one.masks > 0])),
                "diameter_px": one.diameter,
                "seconds": one.seconds,
                "agreement": one.agreement,
            }
            found.append(row | {f"f1_{b.name}": self.between[i, j] for j, b in enumerate(self.results)})
        return found

    def describe(self) -> list[str]:
        """Return a line per model, in words."""
        lines = []
        for row in self.rows():
            agrees = "" if np.isnan(row["agreement"]) else f", agreement {row['agreement']:.2f}"
            size = "" if np.isnan(row["diameter_px"]) else f" of {row['diameter_px']:.0f} px"
            lines.append(f"{row['model']}: {row['cells']} cells{size}{agrees}, {row['seconds']:.1f} s")
        return lines + [f"{name}: failed ({why})" for name, why in self.failed.items()]


def compare_models(
    image: NDArray[Any],
    parameters: SegmentationParameters,
    models: Sequence[str] | None = None,
    device: str = "auto",
    channels: Sequence[str] | None = (),
) -> Task[ModelComparison]:
    """Run models on an image and tell how far they agree; one that fails does not stop the others.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), best a part that is looked at: slow models run on all of it.
    parameters : diameter (pixels) and thresholds, the same for all.
    models : names of the catalogue; None takes all that find cells and are here without a download.
    device : "auto", "cpu", "cuda" or "mps".
    channels : as for `stacks.segment_pixels`.

    Raises
    ------
    ImageError
        If the image is no plane.
    ModelError
        If no model gave a result.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] > 16):
        raise ImageError(f"Models are compared on a plane (Y, X) or (Y, X, C), not on {image.shape}.")
    names = list(dict.fromkeys(models or models_here(lambda model: model.segments)))
    found: dict[str, tuple[Labels, float]] = {}
    failed: dict[str, str] = {}
    for k, name in enumerate(names):
        yield Progress(k, len(names), f"{name} ...")
        try:
            segmenter = make_segmenter(name, device)
            started = time.perf_counter()
            result = yield from segment_pixels(segmenter, image, parameters, channels=channels)
            found[name] = result.masks, time.perf_counter() - started
        except BiofmError as error:
            failed[name] = str(error)
    if not found:
        raise ModelError("No model gave a result: " + " | ".join(f"{n}: {why}" for n, why in failed.items()))
    return _compared(found, failed)


def f1_of(first: Labels, second: Labels, same: float = SAME) -> float:
    """Return the F1 of the objects of two labellings; 1 where both have none.

    Parameters
    ----------
    first, second : labels of one shape.
    same : intersection over union from which two objects are one.
    """
    n = sum(len(np.unique(labels[labels > 0])) for labels in (first, second))
    return 2 * len(match_objects(first, second, "iou", same)) / n if n else 1.0


def _compared(found: dict[str, tuple[Labels, float]], failed: dict[str, str]) -> ModelComparison:
    names = list(found)
    between = np.eye(len(names))
    for i, a in enumerate(names):
        for j in range(i):
            between[i, j] = between[j, i] = f1_of(found[a][0], found[names[j]][0])
    others = max(1, len(names) - 1)
    agreement = (between.sum(1) - 1) / others if len(names) > 1 else np.full(len(names), np.nan)
    order = np.argsort(-agreement, kind="stable")
    results = []
    for i in order:
        masks, seconds = found[names[i]]
        areas = np.bincount(masks[masks > 0])
        areas = areas[areas > 0]
        diameter = float(2 * np.sqrt(np.median(areas) / np.pi)) if len(areas) else float("nan")
        results.append(ModelResult(names[i], masks, seconds, diameter, float(agreement[i])))
    return ModelComparison(tuple(results), between[np.ix_(order, order)], failed)


def panels(image: NDArray[Any], comparison: ModelComparison) -> NDArray[np.uint8]:
    """Return the image once for each model, outlines drawn in, side by side in the order of the comparison.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), as it was compared.
    comparison : of models.

    Returns
    -------
    (Y, X * models + gaps, 3) colours.
    """
    from napari_biofm.images.io.normalization import as_rgb8

    shown = as_rgb8(image)
    wide = np.zeros((shown.shape[0], panel_start(len(comparison.results), shown.shape[1]) - GAP, 3), np.uint8)
    for start, one in zip(panel_starts(comparison, shown.shape[1]), comparison.results, strict=True):
        panel = shown.copy()
        panel[_outlines(one.masks)] = COLOUR
        wide[:, start : start + shown.shape[1]] = panel
    return wide


def panel_start(k: int, width: int) -> int:
    """Return the column at which panel `k` (from 0) of a width begins."""
    return k * (width + GAP)


def panel_starts(comparison: ModelComparison, width: int) -> Iterator[int]:
    """Return the columns at which the panels begin.

    Parameters
    ----------
    comparison : of models. width : of the image, pixels.
    """
    return (panel_start(k, width) for k in range(len(comparison.results)))


def _outlines(masks: Labels) -> NDArray[np.bool_]:
    """Return the pixels of objects that touch another object or the ground."""
    padded = np.pad(masks, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    differs = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    return np.asarray((middle > 0) & np.any([middle != other for other in differs], axis=0))
