"""Training and scoring classifiers by name, as jobs: what the Cells dock has done in the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.classify.scores import Report, make_report
from napari_biofm.cells.classify.threads import one_thread
from napari_biofm.cells.embed.crops import cut_crops
from napari_biofm.cells.embed.encoders import encode_crops
from napari_biofm.cells.embed.random_encoder import RandomConvEncoder
from napari_biofm.types import Progress, Task, Vectors


@dataclass(frozen=True)
class Trained:
    """A classifier trained in the worker, as arrays and settings, and its probabilities of all cells."""

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
    """Train a classifier by name on the labelled rows and predict all; `parts` are widths of groups of columns."""
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
    """Score a classifier on labelled cells left out, with baselines and a learning curve."""
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
    beside = dict(baselines)
    if image is not None and labels is not None:
        beside["random-conv"] = yield from random_vectors(image, labels, rows)
    report = yield from score(name, model, names, groups, beside, vectors_name, parts)
    return report
