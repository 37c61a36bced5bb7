"""Cells: measure them, turn them into vectors, teach classes, predict them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.images import read_masks
from napari_biofm.api.measuring import Images, channels_of_images, measure_cells, pixel_size_of
from napari_biofm.cells.classify.heads import Head, decide
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.classify.scores import Report, cross_validate, warnings_of
from napari_biofm.cells.embed.cell_vectors import cell_table
from napari_biofm.cells.table.cell_table import BASELINE, make_table, text, vectors_of
from napari_biofm.cells.table.quantities import MeasuredOn, with_quantities
from napari_biofm.images.io.lazy import read_stack
from napari_biofm.images.io.masks import as_labels
from napari_biofm.images.io.names import stem_of
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL
from napari_biofm.types import CellsError, ImageError, Labels, ProgressListener, Vectors, run_task

if TYPE_CHECKING:
    from anndata import AnnData


def measure(
    masks: Labels | str | Path,
    image: Images = None,
    *,
    layer: str = "",
    channels: Sequence[str] | None = None,
    pixel_size: float | Sequence[float] | None = None,
    within: Labels | str | Path | None = None,
    name: str = "",
) -> AnnData:
    """Measure shape, intensity, texture and surroundings of cells.

    Parameters
    ----------
    masks : (Y, X) or (Z, Y, X) labels, or the path of a label image.
    image : of the same spatial shape, channels last if any, or its path, or several of these; None measures shapes
        only.
    layer : name of the masks, part of each cell's id.
    channels : names of the channels, part of the names of columns; those of the file when not given.
    pixel_size : micrometres, one number or one per axis; what the file says when not given.
    within : labels of whole cells, where `masks` are their nuclei: adds the columns of nucleus against cytoplasm.
    name : of the image, for the columns `image` and `object_id`; that of its file when not given.

    Returns
    -------
    AnnData
        One row per label, ascending; columns of `obs` with centroid (pixels), area (pixels), mean intensity, and all
        of `docs/columns.md`; what classifiers learn from is in `obsm["regionprops"]`, its names in `uns`.

    Raises
    ------
    CellsError
        If masks and image differ in shape.
    """
    labels = read_masks(masks) if isinstance(masks, str | Path) else as_labels(masks)
    by_name = channels_of_images(image, labels.shape, channels)
    parts = list(by_name.values())
    pixels = None if not parts else parts[0] if len(parts) == 1 else np.stack(parts, -1)
    table = make_table(labels, image=pixels, layer=layer)
    hosts = (
        read_masks(within)
        if isinstance(within, str | Path)
        else None
        if within is None
        else as_labels(within)
    )
    first = image[0] if isinstance(image, list | tuple) and len(image) else image
    named = name or (stem_of(Path(first)) if isinstance(first, str | Path) else "")
    size = pixel_size_of(image, labels.ndim, pixel_size)
    found = measure_cells(labels, MeasuredOn(by_name, named, size, "", hosts))
    table.uns["channels"] = list(by_name)
    return with_quantities(table, found)


def embed(
    image: NDArray[Any] | str | Path,
    masks: Labels | str | Path,
    *,
    model: str = DEFAULT_MODEL,
    layer: str = "",
    device: str = "auto",
    progress: ProgressListener | None = None,
) -> AnnData:
    """Turn the cells of an image into vectors, one pass of the encoder over the whole image.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), or the path of one.
    masks : (Y, X) labels, or the path of a label image.
    model : encoder: a name of the catalogue, or the path of weights.
    layer : name of the masks, part of each cell's id.
    device : "auto", "cpu", "cuda" or "mps".
    progress : called with each step.

    Returns
    -------
    AnnData
        One row per label, ascending; `X` are the vectors, `obsm["regionprops"]` the measurements.

    Raises
    ------
    ImageError
        If the image is a stack, or masks and image differ in shape.
    """
    if isinstance(image, str | Path):
        pixels, is_stack = read_stack(Path(image))
        name = Path(image).name
    else:
        pixels, is_stack, name = np.asarray(image), False, "the image"
    shape = pixels.shape[:3] if is_stack else pixels.shape[:2]
    labels = read_masks(masks, shape) if isinstance(masks, str | Path) else as_labels(masks)
    if is_stack:
        raise ImageError(f"{name} is a stack; embed one plane at a time.")
    if labels.shape != shape:
        raise ImageError(f"The masks have shape {labels.shape}, the image {shape}; they must be equal.")
    return run_task(cell_table(pixels, labels, model, device, layer=layer), progress)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier of cells and how good it is.

    Attributes
    ----------
    head : the trained model.
    classes : names, sorted.
    scores : macro-F1 and more on cells that were left out, whole groups at a time; None where there were too few.
    embeddings : names of the embeddings of a table it was taught on, () for plain vectors.
    """

    head: Head
    classes: tuple[str, ...]
    scores: Report | None
    embeddings: tuple[str, ...] = ()


def fit_classifier(
    cells: AnnData | Vectors,
    labels: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
    *,
    kind: str = "logistic",
    embeddings: Sequence[str] | None = None,
    score: bool = True,
    progress: ProgressListener | None = None,
) -> Classifier:
    """Teach a classifier from cells whose class is known.

    Parameters
    ----------
    cells : table of cells, or vectors (n, d).
    labels : (n,) class names, "" where unknown; None takes `class_by_hand` of the table.
    groups : (n,) image, plate or well of each cell; None takes `group` of the table. Scores leave whole groups out.
    kind : "logistic", "ensemble", "neighbours", "discriminant", "forest", "boosting" or "network".
    embeddings : of the table, side by side; None takes the one in use.
    score : whether to score it on cells left out.
    progress : called with each step.

    Raises
    ------
    CellsError
        If fewer than two classes have labels, or there is no such kind of classifier.
    """
    vectors, names = _vectors(cells, embeddings)
    if labels is None:
        if isinstance(cells, np.ndarray):
            raise CellsError("Give the class of each cell: `labels`, one name per row of the vectors.")
        labels = [str(name) for name in text(cells, "class_by_hand")]
    classes = np.asarray(list(labels), object).astype(str)
    if len(classes) != len(vectors):
        raise CellsError(f"{len(classes)} labels were given for {len(vectors)} cells; give one per cell.")
    told = groups
    if told is None and not isinstance(cells, np.ndarray):
        told = [str(group) for group in text(cells, "group")]
        told = told if len(set(told)) > 1 else None
    known = np.flatnonzero((classes != "") & np.isfinite(vectors).all(1))
    if len(set(classes[known])) < 2:
        raise CellsError("Cells of two classes at least must have a label; nothing can be told apart yet.")
    chosen_groups = None if told is None else [list(told)[i] for i in known]
    head = make_head(kind).fit(vectors[known], classes[known], chosen_groups)
    report = None
    if score:
        task = cross_validate(vectors[known], classes[known], chosen_groups, lambda: make_head(kind))
        report = Report(run_task(task, progress)[0])
        report.warnings = warnings_of(report, ", ".join(names) or "these vectors")
    return Classifier(head, tuple(head.classes), report, names)


def predict(
    classifier: Classifier, cells: AnnData | Vectors, *, min_probability: float = 0.0
) -> tuple[NDArray[np.object_], NDArray[np.float32]]:
    """Predict the class of cells.

    Parameters
    ----------
    classifier : as `fit_classifier` gave it.
    cells : table of cells with the same embeddings, or vectors (n, d).
    min_probability : below it a cell is "unknown".

    Returns
    -------
    names : (n,) likeliest class, "" for rows without vectors.
    probabilities : (n, n_classes), columns as `classifier.classes`.
    """
    vectors, _ = _vectors(cells, classifier.embeddings or None)
    probabilities = np.asarray(classifier.head.predict_proba(vectors), np.float32)
    return decide(probabilities, classifier.classes, min_probability), probabilities


def _vectors(cells: AnnData | Vectors, embeddings: Sequence[str] | None) -> tuple[Vectors, tuple[str, ...]]:
    if isinstance(cells, np.ndarray):
        if cells.ndim != 2:
            raise CellsError(f"Vectors have the shape (cells, features), not {cells.shape}.")
        return np.ascontiguousarray(cells, np.float32), ()
    names = tuple(embeddings) if embeddings is not None else (str(cells.uns.get("vectors", BASELINE)),)
    return vectors_of(cells, names), names
