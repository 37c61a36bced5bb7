"""What patch recordings say of their cells, and the physio model's vectors, for the table of cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Progress, Task, TimelineError

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.signals import Recording
    from napari_biofm.types import Events

PREFIX = "patch_"
VECTORS = "physio_fm"
NOT_NUMBERS = ("row", "class")
NOT_FEATURES = ("sweep", "channel", "time_s", "score")


@dataclasses.dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Numbers of the cells that were recorded.

    Attributes
    ----------
    labels : (n,) the recorded cells, ascending.
    names : of the columns, with kind and unit, e.g. "ap_threshold_mV".
    values : (n, p) float64; NaN where no recording of a cell tells.
    recordings : (n,) number of channels linked to each cell.
    """

    labels: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    recordings: NDArray[np.int64]


def patch_features(
    found: Mapping[str, tuple[Recording, Events]], linked: Mapping[int, Sequence[tuple[str, int]]]
) -> Task[PatchFeatures]:
    """Describe each recorded cell by the medians over all sweeps and events of all its recordings.

    Parameters
    ----------
    found : recording and its events, by id.
    linked : for each label the (recording, channel) pairs that were recorded from it.

    Raises
    ------
    TimelineError
        If no channel is linked to a cell.
    """
    from napari_biofm.events.features.table import features

    pairs = [(label, uid, channel) for label, places in sorted(linked.items()) for uid, channel in places]
    if not pairs:
        raise TimelineError("No recording is linked to a cell yet: link its channel under 'Cells' first.")
    seen: dict[int, dict[str, list[NDArray[np.float64]]]] = {label: {} for label, _, _ in pairs}
    counts = dict.fromkeys(seen, 0)
    for done, (label, uid, channel) in enumerate(pairs):
        recording, events = found[uid]
        columns = yield from features(recording, events, [channel])
        for name, values in columns.items():
            if name not in (*NOT_NUMBERS, *NOT_FEATURES) and np.asarray(values).dtype.kind in "fiu":
                seen[label].setdefault(name, []).append(np.asarray(values, float))
        counts[label] += 1
        yield Progress(done + 1, len(pairs), f"{uid}: features of cell {label}")
    labels = np.array(sorted(seen), np.int64)
    names = sorted({name for of_cell in seen.values() for name in of_cell})
    table = np.full((len(labels), len(names)), np.nan)
    for row, label in enumerate(labels.tolist()):
        for column, name in enumerate(names):
            values = np.concatenate(seen[label].get(name, [np.zeros(0)]))
            values = values[np.isfinite(values)]
            if len(values):
                table[row, column] = np.median(values)
    known = np.isfinite(table).any(axis=0)
    kept = tuple(name for name, keep in zip(names, known, strict=True) if keep)
    return PatchFeatures(labels, kept, table[:, known], np.array([counts[n] for n in labels.tolist()]))


def add_patch_features(table: AnnData, found: PatchFeatures) -> AnnData:
    """Put the numbers of recorded cells into the columns `patch_*` of the table; NaN for all other cells."""
    ids = table.obs["label"].to_numpy(np.int64)
    for name in [c for c in table.obs if str(c).startswith(PREFIX)]:
        del table.obs[name]
    if len(found.labels):
        place = np.minimum(np.searchsorted(found.labels, ids), len(found.labels) - 1)
        known = found.labels[place] == ids
        for column, name in enumerate(found.names):
            table.obs[PREFIX + name] = np.where(known, found.values[place, column], np.nan)
        table.obs[f"{PREFIX}recordings"] = np.where(known, found.recordings[place], 0)
    return table


def trace_vectors(traces: Recording, ids: NDArray[np.int64]) -> Task[NDArray[np.float32]]:
    """Describe the trace of each cell by a vector of the physio model.

    Parameters
    ----------
    traces : whose channels are cells.
    ids : (n,) labels, in the order of the rows wanted.

    Returns
    -------
    (n, d) float32: mean and standard deviation of the model's features over the trace; NaN for a cell
    without a trace.

    Raises
    ------
    TimelineError
        If none of the cells has a trace.
    """
    from napari_biofm.events.physio_fm.model import PhysioFM

    channel_of = {about.label: c for c, about in enumerate(traces.channels) if about.label is not None}
    known = [(row, channel_of[int(label)]) for row, label in enumerate(ids) if int(label) in channel_of]
    if not known:
        raise TimelineError(f"{traces.name} holds no trace of these cells; measure them under 'Cells' first.")
    model = PhysioFM()
    vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
    for done, (row, channel) in enumerate(known):
        vector = model.embed(traces.sweep(0, channel), kind="calcium")[0]
        if vectors.size == 0:
            vectors = np.full((len(ids), len(vector)), np.nan, np.float32)
        vectors[row] = vector
        yield Progress(done + 1, len(known), f"vector of cell {ids[row]}, {done + 1} of {len(known)}")
    return vectors


def add_trace_vectors(
    table: AnnData, vectors: NDArray[np.float32], provenance: Mapping[str, Any] | None = None
) -> int:
    """Add the embedding "physio_fm" to the table; return how many cells had no trace and took the median vector.

    A classifier takes no gaps, and the median tells it nothing.
    """
    from napari_biofm.cells.table.cell_table import add_embedding

    lacking = ~np.isfinite(vectors).all(axis=1)
    filled = vectors.copy()
    filled[lacking] = np.median(vectors[~lacking], axis=0)
    add_embedding(
        table, VECTORS, filled, {"name": VECTORS, "without_trace": int(lacking.sum()), **(provenance or {})}
    )
    return int(lacking.sum())
