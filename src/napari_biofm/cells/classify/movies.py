"""The class of every cell in every frame of a movie, with what was learnt on one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.heads import write_predictions
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.embed.embeddings import compute_embeddings
from napari_biofm.cells.embed.encoders import MASKS
from napari_biofm.cells.table.cell_table import BASELINE
from napari_biofm.cells.table.export import class_codes
from napari_biofm.cells.table.measure import regionprops_vectors
from napari_biofm.cells.track.tracks import Timeline, class_over_time, link, make_time_table
from napari_biofm.types import CellsError, Progress, Task, Vectors

if TYPE_CHECKING:
    from anndata import AnnData


DENSE = 1 << 22  # ids up to which a table with an entry per id is worth its memory


@dataclass(frozen=True)
class ClassifiedMovie:
    """Classes of every cell in every frame.

    Attributes
    ----------
    table : of cells and frames. timeline : track x frame. luts : per frame, class code by label value; where these
        are large, by place in `ids` (from 1).
    """

    table: AnnData
    timeline: Timeline
    luts: list[NDArray[np.uint8]]
    ids: NDArray[np.int64] | None = None


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
    largest = int(values.max(initial=0))
    ids = np.unique(values) if largest > DENSE else None
    places = values if ids is None else np.searchsorted(ids, values) + 1
    luts = []
    for frame in range(len(labels)):
        lut = np.zeros((largest if ids is None else len(ids)) + 1, np.uint8)
        lut[places[frames == frame]] = codes[frames == frame]
        luts.append(lut)
    return ClassifiedMovie(table, class_over_time(table), luts, ids)


def _frame_embeddings(
    labels: NDArray[Any], image: NDArray[Any] | None, frame: int, wanted: Mapping[str, Mapping[str, Any]]
) -> Task[dict[str, Vectors]]:
    masks = np.asarray(labels[frame])
    if image is None:
        if any(source.get("recipe") != MASKS for source in wanted.values()):
            raise CellsError(
                "These vectors need the image movie of the same shape as the labels; open it, or choose "
                f"'{BASELINE}' and label again."
            )
        return {embedding: regionprops_vectors(None, masks) for embedding in wanted}
    computed = yield from compute_embeddings(wanted, np.asarray(image[frame]), masks)
    embeddings = {}
    for embedding, (vectors, source) in computed.items():
        if source.get("weights_sha256", "") != wanted[embedding].get("weights_sha256", ""):
            raise CellsError(
                f"'{embedding}' was computed by other weights than are here; measure the cells again."
            )
        embeddings[embedding] = vectors
    return embeddings
