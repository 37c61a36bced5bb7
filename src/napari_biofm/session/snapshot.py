"""What a saved session holds, taken from a session and put back into one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.actions import UseDetector, edit_classes, label_cells
from napari_biofm.actions.log import moved
from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.session import CellKey, Link, Session
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.types import Events

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.cells.classify.classified import Classified
    from napari_biofm.signals import Recording
    from napari_biofm.timeline import Clock


@dataclass(frozen=True, eq=False)
class SavedLayer:
    """A layer as the session knows it.

    Attributes
    ----------
    uid : unique id of the layer when it was saved.
    kind : "image" or "labels".
    name : shown to the user.
    path : file it came from, "" where it came from none. Images are not copied, only named.
    data : labels, or None for an image.
    version : changes with every edit of `data`; equal versions are not written again.
    placing : options that put a layer there again: scale, translate, affine, units.
    metadata : JSON-able.
    shape : of the data.
    """

    uid: str
    kind: str
    name: str
    path: str = ""
    data: NDArray[np.int32] | None = None
    version: int = 0
    placing: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Saved:
    """Everything of a session that lasts. Keys are those of `Session`."""

    layers: tuple[SavedLayer, ...] = ()
    cells: Mapping[str, AnnData] = field(default_factory=dict)
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    events: Mapping[str, Events] = field(default_factory=dict)
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    selection: tuple[CellKey, ...] = ()
    time_s: float = 0.0
    image: str | None = None
    labels: str | None = None
    classes: Mapping[str, CellClasses] = field(default_factory=dict)
    classified: Mapping[str, Classified] = field(default_factory=dict)
    detector: Mapping[str, Any] | None = None
    log: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


def snapshot(
    session: Session, layers: Iterable[SavedLayer] = (), log: Sequence[Mapping[str, Any]] | None = None
) -> Saved:
    """Take what lasts out of a session. Event tables and clocks are never changed in place: no copies."""
    layers = tuple(layers)
    entries = session.recordings
    clocks = {layer.uid: session.clock(layer.uid) for layer in layers}
    tables = {layer.uid: session.cells(layer.uid) for layer in layers}
    return Saved(
        layers=layers,
        cells={uid: table for uid, table in tables.items() if table is not None},
        recordings={uid: entry.recording for uid, entry in entries.items()},
        events={uid: entry.events for uid, entry in entries.items()},
        provenance={uid: dict(entry.provenance) for uid, entry in entries.items()},
        links=tuple(sorted(session.links)),
        clocks={uid: clock for uid, clock in clocks.items() if clock is not None},
        selection=tuple(sorted(session.selection)),
        time_s=session.time_s,
        image=session.image,
        labels=session.labels,
        classes={layer.uid: known for layer in layers if (known := session.classes(layer.uid))},
        classified={
            layer.uid: said for layer in layers if (said := session.classified(layer.uid)) is not None
        },
        detector=session.detector,
        log=session.log if log is None else tuple(log),
    )


def restore(session: Session, saved: Saved, layer_of: Mapping[str, str]) -> None:
    """Put a saved session into an empty one.

    Parameters
    ----------
    session : without recordings; its history is cleared, so that opening cannot be undone by halves.
    saved : as loaded.
    layer_of : unique id now, for each unique id at the time of saving. Links to layers that are not
        there keep their former id and are shown as such.
    """

    def now(uid: str) -> str:
        return layer_of.get(uid, uid)

    names = {uid: session.add_recording(_moved_on(r, now), uid) for uid, r in saved.recordings.items()}
    for uid, events in saved.events.items():
        if len(events) or saved.provenance.get(uid):
            session.set_events(names[uid], events, dict(saved.provenance.get(uid, {})), name="open session")
    for link in saved.links:
        known = saved.recordings.get(link.recording)
        if known is not None and link.channel < known.n_channels:  # the file may have fewer channels now
            cell = CellKey(now(link.cell.layer), link.cell.label)
            session.link(Link(names[link.recording], link.channel, cell))
    for uid, clock in saved.clocks.items():
        session.set_clock(now(uid), _renamed(clock, names))
    for uid, classes in saved.classes.items():
        _give_classes(session, now(uid), classes)
    for uid, classified in saved.classified.items():
        session.set_classified(now(uid), classified)
    for uid, table in saved.cells.items():
        session.set_cells(now(uid), _moved(table, uid, now(uid)))
    if saved.detector is not None:
        session.do(UseDetector("open session", session.detector, saved.detector))
    session.set_layers(
        image=now(saved.image) if saved.image else None, labels=now(saved.labels) if saved.labels else None
    )
    session.select(CellKey(now(key.layer), key.label) for key in saved.selection)
    session.set_time(saved.time_s)
    session.begin_log(moved(entry, layer_of, names) for entry in saved.log)


def _give_classes(session: Session, uid: str, classes: CellClasses) -> None:
    pairs = tuple(zip(classes.names, classes.colours, strict=True))
    edit = edit_classes(uid, session.classes(uid), pairs, "open session")
    if edit.before != edit.after:
        session.do(edit)
    given = label_cells(
        uid, session.classes(uid), classes.labels, classes.names, classes.codes, "open session"
    )
    if given is not None:
        session.do(given)


def _moved_on(recording: Recording, now: Callable[[str], str]) -> Recording:
    """Return the recording with the layers it was measured on as they are called now."""
    on = recording.measured_on
    if on is None:
        return recording
    return dataclasses.replace(recording, measured_on=MeasuredOn(now(on.movie), now(on.masks), on.part))


def _renamed(clock: Clock, names: Mapping[str, str]) -> Clock:
    from napari_biofm.timeline import Clock

    return Clock(clock.times, clock.source, names.get(clock.recording, clock.recording))


def _moved(table: AnnData, before: str, after: str) -> AnnData:
    """Return the table with the layer's new id in its keys."""
    if before == after:
        return table
    import pandas as pd

    table = table.copy()
    for column in ("layer", "cell_id"):
        if column in table.obs:
            text = table.obs[column].astype(str)
            table.obs[column] = text.str.replace(before, after, regex=False).astype(object)
    table.obs.index = pd.Index([name.replace(before, after) for name in table.obs_names.astype(str)])
    if "layer" in table.uns:
        table.uns["layer"] = after
    return table
