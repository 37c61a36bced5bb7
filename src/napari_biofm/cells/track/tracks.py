"""Cells in time: linking masks of a movie, reading tracks, and the class of each cell over time."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.cells.table.cell_table import BASELINE, Embeddings, make_table, text
from napari_biofm.files import opened_csv
from napari_biofm.images.edit.linking import link_array
from napari_biofm.types import CellsError, Image, Labels, Progress, Task

if TYPE_CHECKING:
    from anndata import AnnData


def link_by_overlap(labels: Labels) -> Task[NDArray[np.int64]]:
    """Follow the masks of a movie by overlap and distance, as *Link over time* does (see `images.edit.linking`).

    Parameters
    ----------
    labels : (T, Y, X) or (T, Z, Y, X); label values need not agree between frames.

    Returns
    -------
    (n_cells, 3) int64 rows of track, frame, label. When a cell divides, the daughter that covers most of it goes on
    with its track, so that its classes over time are one row.
    """
    if labels.ndim < 3:
        raise CellsError(f"Linking needs a movie (T, Y, X); these labels have shape {labels.shape}.")
    tracking = yield from link_array(labels, divisions=False)
    return tracking.cells


LABELS_ARE_TRACKS = "labels"


def link(labels: Labels, tracks: ArrayLike | str | None = None) -> Task[NDArray[np.int64]]:
    """Say which track each mask belongs to, (n_cells, 3) rows of track, frame, label.

    Parameters
    ----------
    tracks : rows of a napari Tracks layer in pixels (see `read_tracks`); "labels" where a cell has the same
        label value in every frame, as trackastra and other tools of the Cell Tracking Challenge write it;
        None links by overlap.
    """
    if tracks is None:
        found = yield from link_by_overlap(labels)
        return found
    if isinstance(tracks, str):
        if tracks != LABELS_ARE_TRACKS:
            raise CellsError(f"'{tracks}' is no kind of tracks; give points, '{LABELS_ARE_TRACKS}' or None.")
        rows = [(int(v), f, int(v)) for f in range(len(labels)) for v in np.unique(labels[f]) if v]
        yield Progress(1, 1, f"{len({row[0] for row in rows})} tracks in the labels")
        return np.asarray(rows, np.int64).reshape(-1, 3)
    yield Progress(0, 1, "laying tracks on the masks")
    return read_tracks(tracks, labels)


TRACK_COLUMNS = {
    "track": ("track", "track_id", "trackid", "id", "particle"),
    "frame": ("frame", "t", "time"),
    "z": ("z",),
    "y": ("y",),
    "x": ("x",),
}


def tracks_from_csv(path: Path) -> NDArray[np.float64]:
    """Read tracks from a CSV, as btrack (`ID,t,x,y,z`), trackpy or laptrack write it.

    Returns
    -------
    (n, 4) or (n, 5): track, frame, (z,) y, x, sorted by track and frame; z is dropped where it is the
    same everywhere.

    Raises
    ------
    CellsError
        If a column is missing or holds something that is no number.
    """
    if not path.is_file():
        raise CellsError(f"{path} does not exist.")
    with opened_csv(path, CellsError) as file:
        reader = csv.DictReader(file)
        columns = {str(c).strip().lower(): c for c in reader.fieldnames or []}
        at = {
            key: next((columns[n] for n in names if n in columns), None)
            for key, names in TRACK_COLUMNS.items()
        }
        missing = [key for key, column in at.items() if column is None and key != "z"]
        if missing:
            raise CellsError(
                f"{path} lacks the column '{missing[0]}' (one of {', '.join(TRACK_COLUMNS[missing[0]])}); it has: "
                f"{', '.join(columns)}."
            )
        order = [column for column in at.values() if column is not None]
        try:
            rows = [[float(row[column]) for column in order] for row in reader]
        except (TypeError, ValueError) as error:
            raise CellsError(f"{path}: line {reader.line_num} holds something that is no number.") from error
    if not rows:
        raise CellsError(f"{path} holds no track.")
    points = np.asarray(rows)
    if at["z"] is not None and np.ptp(points[:, 2]) == 0:
        points = np.delete(points, 2, 1)
    return np.asarray(points[np.lexsort((points[:, 1], points[:, 0]))])


def read_tracks(tracks: ArrayLike, labels: Labels) -> NDArray[np.int64]:
    """Say which mask each point of napari, trackastra or btrack tracks lies on.

    Parameters
    ----------
    tracks : (n, 4) or (n, 5): track id, frame, (z,) y, x in pixels, as in a napari Tracks layer.
    labels : (T, (Z,) Y, X).

    Returns
    -------
    (m, 3) rows of track, frame, label; points off any mask are left out.

    Raises
    ------
    CellsError
        If the axes do not fit, or no point lies on a mask.
    """
    points = np.asarray(tracks, float)
    if points.ndim != 2 or points.shape[1] != labels.ndim + 1:
        raise CellsError(
            f"Tracks of shape {points.shape} do not fit labels of shape {labels.shape}: a row is track id, "
            "frame and the position in pixels."
        )
    at = np.round(points[:, 1:]).astype(int)
    inside = ((at >= 0) & (at < np.asarray(labels.shape))).all(1)
    value = np.zeros(len(at), np.int64)
    value[inside] = labels[tuple(at[inside].T)]
    on = value > 0
    if not on.any():
        raise CellsError("None of the track points lies on a mask; are the tracks in pixels of this movie?")
    return np.stack([points[on, 0].astype(np.int64), at[on, 0], value[on]], 1)


def make_time_table(
    labels: Labels,
    tracks: NDArray[np.int64],
    *,
    image: Image | None = None,
    vectors: Mapping[int, Embeddings] | None = None,
    vector_source: str = BASELINE,
    layer: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Task[AnnData]:
    """Make one table with a row per cell and frame.

    Parameters
    ----------
    labels, image : (T, Y, X), channels of the image last. tracks : rows of track, frame, label.
    vectors : per frame, as in `make_table`; None measures.

    Returns
    -------
    AnnData as of `make_table` with obs `frame` and `track` (0 where a cell is in none); `cell_id` is
    "layer:label@frame".
    """
    import anndata

    track_of = {(int(f), int(v)): int(t) for t, f, v in tracks}
    parts = []
    for frame in range(len(labels)):
        part = make_table(
            np.asarray(labels[frame]),
            image=None if image is None else np.asarray(image[frame]),
            vectors=None if vectors is None else vectors[frame],
            vector_source=vector_source,
            layer=layer,
            provenance=provenance,
        )
        part.obs["frame"] = frame
        part.obs["track"] = [track_of.get((frame, int(v)), 0) for v in part.obs["label"]]
        part.obs["cell_id"] = [f"{cell}@{frame}" for cell in part.obs["cell_id"]]
        part.obs_names = part.obs["cell_id"].astype(str)
        parts.append(part)
        yield Progress(frame + 1, len(labels), f"measured frame {frame + 1} of {len(labels)}")
    table = anndata.concat([p for p in parts if p.n_obs] or parts[:1])
    table.uns.update(parts[0].uns)
    table.uns["layer"] = layer
    return table


@dataclass(frozen=True)
class Timeline:
    """Classes over time.

    Attributes
    ----------
    tracks : (n,) ids. classes : names. codes : (n, T) int16, -1 where a cell is not there or not classified.
    counts : (n_classes, T) cells of each class per frame.
    """

    tracks: NDArray[np.int64]
    classes: list[str]
    codes: NDArray[np.int16]

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.stack([(self.codes == c).sum(0) for c in range(len(self.classes))]).astype(np.int64)


def class_over_time(table: AnnData, column: str = "predicted") -> Timeline:
    """Lay the classes of a time table out as track x frame, exactly as predicted (see `smooth`)."""
    if "track" not in table.obs:
        raise CellsError("This table has no tracks; make it with make_time_table from a movie.")
    names = text(table, column)
    classes = sorted(set(names) - {""})
    code = {name: i for i, name in enumerate(classes)}
    track = table.obs["track"].to_numpy(np.int64)
    frame = table.obs["frame"].to_numpy(np.int64)
    ids = np.unique(track[track > 0])
    codes = np.full((len(ids), int(frame.max(initial=-1)) + 1), -1, np.int16)
    on = track > 0
    codes[np.searchsorted(ids, track[on]), frame[on]] = [code.get(name, -1) for name in names[on]]
    return Timeline(ids, classes, codes)


def smooth(timeline: Timeline, window: int = 3) -> Timeline:
    """Replace each class by the most frequent within `window` frames of the same track; ties keep it.

    Only ever done when asked: short states such as metaphase can vanish.
    """
    if window < 1 or window % 2 == 0:
        raise CellsError(f"The window must be an odd number of frames, not {window}.")
    half = window // 2
    padded = np.pad(timeline.codes, ((0, 0), (half, half)), constant_values=-1)
    n_frames = timeline.codes.shape[1]
    votes = np.stack([
        sum((padded[:, i : i + n_frames] == c).astype(np.int16) for i in range(window))
        for c in range(len(timeline.classes))
    ]) if timeline.classes else np.zeros((0, *timeline.codes.shape), np.int16)  # fmt: skip
    out = timeline.codes.copy()
    if len(votes):
        own = np.take_along_axis(votes, np.maximum(timeline.codes, 0)[None].astype(np.int64), 0)[0]
        better = (votes.max(0) > own) & (timeline.codes >= 0)
        out[better] = votes.argmax(0)[better]
    return Timeline(timeline.tracks, timeline.classes, out)
