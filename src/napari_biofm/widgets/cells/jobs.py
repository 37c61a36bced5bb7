"""What the Cells dock runs in the worker: measuring, scoring, other heads, tables in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.more_heads import make_head
from napari_biofm.cells.scores import Report, make_report
from napari_biofm.cells.table import changed_labels, make_table, update_table
from napari_biofm.types import Progress, Task, Vectors

if TYPE_CHECKING:
    from anndata import AnnData


def measure_cells(labels: NDArray[Any], image: NDArray[Any] | None, layer: str, group: str) -> Task[AnnData]:
    """Make the table of a Labels layer."""
    yield Progress(0, 1, "measuring cells ...")
    return make_table(np.asarray(labels), image=image, layer=layer, groups=group)


def measure_changed(
    table: AnnData, labels: NDArray[Any], image: NDArray[Any] | None, changed: Sequence[int] | None
) -> Task[AnnData]:
    """Measure the cells an edit touched; None finds out which."""
    if changed is None:
        yield Progress(0, 1, "comparing masks ...")
        changed = changed_labels(table, np.asarray(labels)).tolist()
    yield Progress(0, 1, f"measuring {len(changed)} changed cells ...")
    return update_table(table, np.asarray(labels), changed, image=image)


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
