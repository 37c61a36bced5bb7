"""A saved session as files for other programs: outlines, tables and NWB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.api.export_files import OUTLINES, TABLES, Load, Output
from napari_biofm.api.export_formats import with_classes, write_outlines, write_table
from napari_biofm.api.export_names import distinct_names, safe_name
from napari_biofm.api.sessions import saved_session
from napari_biofm.images.io.names import stem_of
from napari_biofm.types import Labels, no_events

if TYPE_CHECKING:
    from napari_biofm.session.snapshot import Saved, SavedLayer
    from napari_biofm.signals.nwb_about import NwbAbout


def outputs_of_session(
    source: Path,
    formats: Sequence[str],
    plane: int | None = None,
    rejected: bool = False,
    about: NwbAbout | None = None,
) -> list[Output]:
    """Return the files that a saved session becomes.

    Parameters
    ----------
    source : folder of the session, or an NWB file that holds one.
    formats : of `FORMATS`.
    plane : of stacks, counted from 0, for formats that hold one plane.
    rejected : whether tables hold the rows of rejected cells. Outlines and NWB hold all cells and say so.
    about : the experiment and the animal, for NWB.

    Raises
    ------
    SessionError
        If it is no session, or is damaged.
    """
    from napari_biofm.events.reviewed import verdicts_of
    from napari_biofm.session.nwb import rejected_of_layer, write_nwb
    from napari_biofm.signals.curation import choose_cells
    from napari_biofm.signals.export import write_events

    saved = saved_session(source)
    title = safe_name(stem_of(source))
    layers = [layer for layer in saved.layers if layer.data is not None]
    found: list[Output] = []
    for layer, name in zip(layers, distinct_names([layer.name for layer in layers]), strict=True):
        load = partial(_labels_of_layer, saved, layer)
        picture = _image_of(saved)
        out = rejected_of_layer(saved, layer) or frozenset()
        found += [
            Output(f"{title}_{name}{OUTLINES[f]}", partial(_all_outlines, load, plane, picture, out))
            for f in formats
            if f in OUTLINES
        ]
        found += [
            Output(f"{title}_{name}_cells{TABLES[f]}", partial(_cells_of_layer, saved, layer, out, rejected))
            for f in formats
            if f in TABLES
        ]
    uids = list(saved.recordings)
    for uid, name in zip(uids, distinct_names(uids), strict=True):
        cells = choose_cells(saved.recordings[uid], rejected)
        every = saved.events.get(uid, no_events())
        events = every[np.isin(every["channel"], cells.channels)]

        def put(path: Path, events: Any = events, said: str = cells.said) -> Sequence[str]:
            write_events(path, events, verdicts_of(events).tolist())
            return (said,) if said else ()

        found += [
            Output(f"{title}_{name}_events{TABLES[f]}", put) for f in formats if f in ("csv", "parquet")
        ]
    if "nwb" in formats:

        def whole(path: Path) -> Sequence[str]:
            write_nwb(path, saved, about=about)
            every = {uid: choose_cells(one, rejected=True).said for uid, one in saved.recordings.items()}
            return [f"{uid}: {said} (column accepted)" for uid, said in every.items() if said]

        found.append(Output(f"{title}.nwb", whole))
    return found


def _all_outlines(
    load: Load, plane: int | None, image: str, rejected: frozenset[int], path: Path
) -> Sequence[str]:
    """Write outlines of all cells of a layer, and say how many of them are rejected."""
    from napari_biofm.signals.curation import said_of_rejected

    labels, classes = load()
    n = len(np.unique(labels[labels > 0]))
    said = said_of_rejected(len(rejected), n, included=True)
    return [*write_outlines(path, labels, classes, image or path.stem, plane), *([said] if said else [])]


def _labels_of_layer(saved: Saved, layer: SavedLayer) -> tuple[Labels, Mapping[int, str]]:
    given = saved.classes.get(layer.uid)
    classes: dict[int, str] = {}
    table = saved.cells.get(layer.uid)
    if table is not None and "predicted" in table.obs:
        rows = zip(table.obs["label"], table.obs["predicted"].astype(str), strict=True)
        classes = {int(label): name for label, name in rows if name}
    if given is not None:
        classes |= dict(zip(given.labels.tolist(), given.names_of(given.codes).tolist(), strict=True))
    return np.asarray(layer.data), classes


def _cells_of_layer(
    saved: Saved, layer: SavedLayer, out: frozenset[int], rejected: bool, path: Path
) -> Sequence[str]:
    """Write the table of cells of a layer, without the rows of those in `out` unless `rejected`."""
    from napari_biofm.signals.curation import said_of_rejected

    table, told = saved.cells.get(layer.uid), []
    if table is None:
        from napari_biofm.api.cells import measure

        labels, classes = _labels_of_layer(saved, layer)
        table = with_classes(measure(labels, layer=layer.name, name=layer.name), classes)
        told.append("these cells were not measured in the session: shapes only")
    away = np.isin(table.obs["label"].to_numpy(np.int64), list(out))
    said = said_of_rejected(int(away.sum()), table.n_obs, rejected)
    write_table(table if rejected or not away.any() else table[~away].copy(), path)
    return [*told, *([said] if said else [])]


def _image_of(saved: Saved) -> str:
    return next((layer.path for layer in saved.layers if layer.kind == "image" and layer.path), "")
