"""What the Cells dock runs in the worker: measuring, scoring, other heads, tables in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.export import class_codes
from napari_biofm.cells.heads import LogisticHead, write_predictions
from napari_biofm.cells.more_heads import make_head
from napari_biofm.cells.scores import Report, make_report
from napari_biofm.cells.table import changed_labels, make_table, vectors_of
from napari_biofm.cells.tracks import Timeline, class_over_time, link_by_overlap, make_time_table
from napari_biofm.cells.vectors import cell_table, update_cell_table
from napari_biofm.images.catalogue import DEFAULT_MODEL
from napari_biofm.types import FeatureMap, Progress, Task, Vectors

if TYPE_CHECKING:
    from anndata import AnnData


def measure_cells(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    layer: str,
    group: str,
    model: str = DEFAULT_MODEL,
    features: FeatureMap | None = None,
) -> Task[AnnData]:
    """Make the table of a Labels layer: measures, and the vectors of `model` where it can give them.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X).
    image : of the same shape; None leaves shape alone to be measured.
    layer, group : unique id of the layer, and the image, plate or well it belongs to.
    model : encoder of the vectors.
    features : map of the pass that made the masks, so that nothing is encoded twice.
    """
    masks = np.asarray(labels)
    yield Progress(0, 2, "measuring cells ...")
    if image is None or masks.ndim != 2 or not masks.any():
        return make_table(masks, image=image, layer=layer, groups=group)
    if features is not None and features.shape != masks.shape:
        features = None
    table = yield from cell_table(image, masks, model, features=features, layer=layer, groups=group)
    return table


def measure_changed(
    table: AnnData,
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    changed: Sequence[int] | None,
    model: str = DEFAULT_MODEL,
    features: FeatureMap | None = None,
) -> Task[AnnData]:
    """Measure the cells an edit touched; None finds out which. The others keep their rows."""
    if changed is None:
        yield Progress(0, 1, "comparing masks ...")
        changed = changed_labels(table, np.asarray(labels)).tolist()
    made = yield from update_cell_table(table, image, np.asarray(labels), changed, model, features=features)
    return made


@dataclass(frozen=True)
class Trained:
    """A head trained in the worker, as arrays and settings, and its probabilities of all cells."""

    name: str
    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]
    probabilities: NDArray[np.float32]


def train_head(
    name: str, vectors: Vectors, labelled: NDArray[np.int64], names: NDArray[Any], groups: Sequence[str]
) -> Task[Trained]:
    """Train a head by name on the labelled rows and predict all."""
    yield Progress(0, 2, f"training '{name}' on {len(labelled)} cells ...")
    head = make_head(name).fit(vectors[labelled], names, list(groups))
    yield Progress(1, 2, f"predicting {len(vectors)} cells ...")
    probabilities = head.predict_proba(vectors)
    return Trained(name, *head.state(), probabilities)


def score(
    name: str,
    model: Vectors,
    names: NDArray[Any],
    groups: Sequence[str],
    baselines: Mapping[str, Vectors],
    vectors_name: str,
) -> Task[Report]:
    """Score a head on labelled cells left out, with baselines and a learning curve."""
    report = yield from make_report(
        model, names, list(groups), baselines, lambda: make_head(name), name=f"'{vectors_name}'"
    )
    return report


def random_vectors(image: NDArray[Any], labels: NDArray[Any], rows: NDArray[np.int64]) -> Task[Vectors]:
    """Compute the untrained network's vectors of some cells, the baseline of the scores."""
    from napari_biofm.cells.crops import cut_crops
    from napari_biofm.cells.encoders import encode_crops
    from napari_biofm.cells.random_encoder import RandomConvEncoder

    values = np.unique(labels)
    values = values[values > 0][rows]
    crops = cut_crops(image, np.where(np.isin(labels, values), labels, 0))
    vectors = yield from encode_crops(RandomConvEncoder(), crops, 4)
    return vectors


def score_cells(
    name: str,
    model: Vectors,
    names: NDArray[Any],
    groups: Sequence[str],
    baselines: Mapping[str, Vectors],
    vectors_name: str,
    image: NDArray[Any] | None,
    labels: NDArray[Any] | None,
    rows: NDArray[np.int64],
) -> Task[Report]:
    """`score`, with the untrained network beside it where there is a plane to see the cells on."""
    found = dict(baselines)
    if image is not None and labels is not None:
        found["random-conv"] = yield from random_vectors(image, labels, rows)
    report = yield from score(name, model, names, groups, found, vectors_name)
    return report


@dataclass(frozen=True)
class ClassifiedMovie:
    """Classes of every cell in every frame.

    Attributes
    ----------
    table : of cells and frames. timeline : track x frame. luts : per frame, class code by label value.
    """

    table: AnnData
    timeline: Timeline
    luts: list[NDArray[np.uint8]]


def classify_movie(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    arrays: dict[str, NDArray[Any]],
    settings: dict[str, Any],
    classes: Sequence[str],
    min_probability: float,
    layer: str,
) -> Task[ClassifiedMovie]:
    """Link the masks of a movie, measure each frame, and classify with a logistic head on these measures."""
    labels = np.asarray(labels)
    tracks = yield from link_by_overlap(labels)
    table = yield from make_time_table(labels, tracks, image=image, layer=layer)
    head = LogisticHead.restore(arrays, settings)
    write_predictions(table, head, vectors_of(table), min_probability)
    codes = class_codes(table, classes)
    frames, values = table.obs["frame"].to_numpy(), table.obs["label"].to_numpy()
    luts = []
    for frame in range(len(labels)):
        lut = np.zeros(int(labels.max(initial=0)) + 1, np.uint8)
        lut[values[frames == frame]] = codes[frames == frame]
        luts.append(lut)
    return ClassifiedMovie(table, class_over_time(table), luts)
