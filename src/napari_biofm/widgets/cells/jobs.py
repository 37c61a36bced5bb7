"""What the Cells dock runs in the worker: measuring, scoring, other heads, tables in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.heads import write_predictions
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.classify.scores import Report, make_report
from napari_biofm.cells.classify.threads import one_thread
from napari_biofm.cells.embed.cell_vectors import cell_table, update_cell_table
from napari_biofm.cells.embed.embeddings import compute_embeddings
from napari_biofm.cells.embed.encoders import CROPS, MAP, MASKS
from napari_biofm.cells.table.cell_table import BASELINE, changed_labels, make_table
from napari_biofm.cells.table.export import class_codes
from napari_biofm.cells.table.folds import has_groups
from napari_biofm.cells.table.measure import regionprops_vectors
from napari_biofm.cells.track.tracks import Timeline, class_over_time, link, make_time_table
from napari_biofm.cells.values.regression import RegressionHead, RegressionScore, score_regression
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL
from napari_biofm.types import CellsError, FeatureMap, Progress, Task, Vectors

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
    name: str,
    vectors: Vectors,
    labelled: NDArray[np.int64],
    names: NDArray[Any],
    groups: Sequence[str],
    parts: Sequence[int] | None = None,
) -> Task[Trained]:
    """Train a head by name on the labelled rows and predict all; `parts` are widths of groups of columns."""
    yield Progress(0, 2, f"training '{name}' on {len(labelled)} cells ...")
    with one_thread():
        head = make_head(name, parts=parts).fit(vectors[labelled], names, list(groups))
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
    parts: Sequence[int] | None = None,
) -> Task[Report]:
    """Score a head on labelled cells left out, with baselines and a learning curve."""
    with one_thread():
        report = yield from make_report(
            model,
            names,
            list(groups),
            baselines,
            lambda: make_head(name, parts=parts),
            name=f"'{vectors_name}'",
            make_baseline=lambda: make_head(name),
        )
    return report


def random_vectors(image: NDArray[Any], labels: NDArray[Any], rows: NDArray[np.int64]) -> Task[Vectors]:
    """Compute the untrained network's vectors of some cells, the baseline of the scores."""
    from napari_biofm.cells.embed.crops import cut_crops
    from napari_biofm.cells.embed.encoders import encode_crops
    from napari_biofm.cells.embed.random_encoder import RandomConvEncoder

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
    parts: Sequence[int] | None = None,
) -> Task[Report]:
    """`score`, with the untrained network beside it where there is a plane to see the cells on."""
    found = dict(baselines)
    if image is not None and labels is not None:
        found["random-conv"] = yield from random_vectors(image, labels, rows)
    report = yield from score(name, model, names, groups, found, vectors_name, parts)
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
    head: str,
    arrays: dict[str, NDArray[Any]],
    settings: dict[str, Any],
    wanted: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
    min_probability: float,
    layer: str,
    tracks: NDArray[Any] | str | None = None,
) -> Task[ClassifiedMovie]:
    """Link the masks of a movie, describe each frame as the head knows it, and classify.

    Parameters
    ----------
    labels : (T, Y, X). image : (T, Y, X[, C]), None measures shapes alone.
    head, arrays, settings : name and state of a trained head.
    wanted : provenance of the vectors it takes, by embedding, in its order.
    tracks : points of a napari Tracks layer in pixels, "labels" where label values are tracks already, or
        None to link by overlap.
    """
    labels = np.asarray(labels)
    rows = yield from link(labels, tracks)
    vectors: dict[int, dict[str, Vectors]] = {}
    for frame in range(len(labels)):
        vectors[frame] = yield from _frame_embeddings(labels, image, frame, wanted)
        yield Progress(frame + 1, len(labels), f"vectors of frame {frame + 1} of {len(labels)}")
    filled = [f for f in range(len(labels)) if np.any(labels[f])]
    if not filled:
        raise CellsError("There are no cells in this movie; segment its frames first.")
    own = {f: {b: v for b, v in embeddings.items() if b != BASELINE} for f, embeddings in vectors.items()}
    table = yield from make_time_table(labels, rows, image=image, vectors=own, layer=layer)
    trained = make_head(head).restore(arrays, settings)
    beside = [np.concatenate([vectors[f][b] for b in wanted], 1) for f in filled]
    write_predictions(table, trained, np.concatenate(beside), min_probability)
    codes = class_codes(table, classes)
    frames, values = table.obs["frame"].to_numpy(), table.obs["label"].to_numpy()
    luts = []
    for frame in range(len(labels)):
        lut = np.zeros(int(labels.max(initial=0)) + 1, np.uint8)
        lut[values[frames == frame]] = codes[frames == frame]
        luts.append(lut)
    return ClassifiedMovie(table, class_over_time(table), luts)


def _frame_embeddings(
    labels: NDArray[Any], image: NDArray[Any] | None, frame: int, wanted: Mapping[str, Mapping[str, Any]]
) -> Task[dict[str, Vectors]]:
    masks = np.asarray(labels[frame], np.int32)
    if image is None:
        if any(source.get("recipe") != MASKS for source in wanted.values()):
            raise CellsError(
                "These vectors need the image movie of the same shape as the labels; open it, or choose "
                f"'{BASELINE}' and label again."
            )
        return {embedding: regionprops_vectors(None, masks) for embedding in wanted}
    found = yield from compute_embeddings(wanted, np.asarray(image[frame]), masks)
    embeddings = {}
    for embedding, (vectors, source) in found.items():
        if source.get("weights_sha256", "") != wanted[embedding].get("weights_sha256", ""):
            raise CellsError(
                f"'{embedding}' was computed by other weights than are here; measure the cells again."
            )
        embeddings[embedding] = vectors
    return embeddings


def head_embeddings(
    image: NDArray[Any],
    labels: NDArray[Any],
    wanted: Mapping[str, Mapping[str, Any]],
    features: FeatureMap | None = None,
) -> Task[dict[str, tuple[Vectors, dict[str, Any]]]]:
    """Compute the vectors a saved head takes, for the cells in view."""
    found = yield from compute_embeddings(wanted, image, np.asarray(labels, np.int32), features=features)
    return found


def crop_vectors(
    image: NDArray[Any], labels: NDArray[Any], model: str = DEFAULT_MODEL
) -> Task[dict[str, tuple[Vectors, dict[str, Any]]]]:
    """Compute the vectors of every cell seen on its own, as the command line does, and name their embedding."""
    source = {"name": model, "recipe": CROPS}
    found = yield from compute_embeddings({f"{model} {CROPS}": source}, image, np.asarray(labels, np.int32))
    return found


def map_vectors(
    image: NDArray[Any], labels: NDArray[Any], model: str
) -> Task[dict[str, tuple[Vectors, dict[str, Any]]]]:
    """Run an encoder over the whole image, and pool its map under every mask."""
    source = {"name": model, "recipe": MAP}
    found = yield from compute_embeddings({model: source}, image, np.asarray(labels, np.int32))
    return found


@dataclass(frozen=True)
class Regressed:
    """A head of values trained in the worker, its score, and what it says of all cells, (n, t)."""

    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]
    score: RegressionScore
    baseline: RegressionScore | None
    values: NDArray[np.float32]


def regress(
    vectors: Vectors,
    measured: NDArray[np.float64],
    targets: Sequence[str],
    groups: Sequence[str],
    baseline: Vectors | None,
) -> Task[Regressed]:
    """Score and train a head of values on the cells that were measured, and predict all cells.

    Parameters
    ----------
    vectors, measured, groups : a row per cell; NaN where a cell was not measured.
    baseline : handcrafted measures of the same cells, None where these are the vectors in use.
    """
    score = yield from score_regression(vectors, measured, targets, groups)
    beside = None
    if baseline is not None:
        beside = yield from score_regression(baseline, measured, targets, groups)
    yield Progress(1, 2, f"training on {int(np.isfinite(measured).any(1).sum())} cells ...")
    kept = list(groups) if has_groups(groups) else None
    head = RegressionHead().fit(vectors, measured, targets, kept)
    return Regressed(*head.state(), score, beside, head.predict(vectors))
