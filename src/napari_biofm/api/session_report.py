"""What a saved session holds, what is wrong with it, and a page that says so."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm import __version__
from napari_biofm.actions.log import from_record
from napari_biofm.api.pages import WIDTH, facts_table, histogram, page, small_picture, text_of
from napari_biofm.api.sessions import saved_session
from napari_biofm.events.reviewed import verdicts_of
from napari_biofm.files import write_text
from napari_biofm.signals.curation import choose_cells, rejected_labels
from napari_biofm.types import BiofmError, SessionError, no_events

if TYPE_CHECKING:
    from napari_biofm.session.snapshot import Saved, SavedLayer
    from napari_biofm.signals import Recording

NOT_EVENTS = ("artefact", "rejected")


def describe_session(source: str | Path) -> dict[str, Any]:
    """Return what a saved session holds.

    Parameters
    ----------
    source : folder of the session, or an NWB file that holds one.

    Returns
    -------
    dict that JSON can hold: `layers` (name, kind, shape, cells, classes by hand and predicted), `recordings` (name, channels, rejected cells,
    sweeps, seconds, events by class, verdicts), `links`, `clocks`, `edits` by kind, and `problems` as `validate_session`.

    Raises
    ------
    SessionError
        If it is no session, or cannot be read.
    """
    path = Path(source)
    saved = saved_session(path)
    return {
        "session": str(path),
        "layers": [_layer(saved, layer) for layer in saved.layers],
        "recordings": [_recording(saved, uid) for uid in saved.recordings],
        "links": len(saved.links),
        "clocks": len(saved.clocks),
        "edits": dict(Counter(str(entry.get("kind", "edit")) for entry in saved.log)),
        "problems": list(_problems(saved)),
    }


def validate_session(source: str | Path) -> list[str]:
    """Return what is wrong with a saved session, in sentences; nothing where all is well.

    Files that are gone or were changed, tables that do not fit their masks, links, events and frame times that point
    nowhere, edits that cannot be replayed, and parts that cannot be read are told.

    Parameters
    ----------
    source : folder of the session, or an NWB file that holds one.

    Raises
    ------
    SessionError
        If there is no session at that path.
    """
    path = Path(source)
    if not path.exists():
        raise SessionError(f"{path} does not exist.")
    try:
        saved = saved_session(path)
    except BiofmError as error:
        return [str(error)]
    return [*_problems(saved), *(_nwb_problems(path) if path.suffix.lower() == ".nwb" else ())]


def session_report(source: str | Path, out: str | Path) -> Path:
    """Write a page about a saved session: what it holds, pictures with outlines, and what is wrong with it.

    Parameters
    ----------
    source : folder of the session, or an NWB file that holds one.
    out : the HTML file; it is replaced.

    Returns
    -------
    The file. It opens without a server and runs no scripts.

    Raises
    ------
    SessionError
        If it is no session, or cannot be read.
    """
    path, target = Path(source), Path(out)
    about, saved = describe_session(path), saved_session(path)
    parts = [
        f"<h1>{text_of(path.name)}</h1>",
        facts_table(
            [
                ("Session", str(path)),
                ("Links between channels and cells", str(about["links"])),
                ("Clocks of movies", str(about["clocks"])),
                ("Edits", _counted(about["edits"]) or "none"),
                ("napari-biofm", __version__),
            ]
        ),
        _list_of("Problems", about["problems"], bad=True),
        "<h2>Layers</h2>",
        *(_layer_part(saved, layer, row) for layer, row in zip(saved.layers, about["layers"], strict=True)),
        "<h2>Recordings</h2>" if about["recordings"] else "",
        *(
            _recording_part(saved, uid, row)
            for uid, row in zip(saved.recordings, about["recordings"], strict=True)
        ),
    ]
    write_text(target, page(path.name, parts))
    return target


def _layer(saved: Saved, layer: SavedLayer) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": layer.name, "kind": layer.kind, "shape": list(layer.shape), "path": layer.path,
        "model": str(layer.metadata.get("model", "")),
    }  # fmt: skip
    if layer.data is not None:
        labels = np.unique(np.asarray(layer.data))
        row["cells"] = int((labels > 0).sum())
    given = saved.classes.get(layer.uid)
    if given is not None:
        row["classes_by_hand"] = dict(Counter(given.names_of(given.codes).tolist()))
    table = saved.cells.get(layer.uid)
    if table is not None:
        row["measured"] = int(table.n_obs)
        if "predicted" in table.obs:
            row["predicted"] = dict(Counter(name for name in table.obs["predicted"].astype(str) if name))
    return row


def _recording(saved: Saved, uid: str) -> dict[str, Any]:
    recording, events = saved.recordings[uid], saved.events.get(uid, no_events())
    verdicts = Counter(one for one in verdicts_of(events).tolist() if one)
    detector = saved.provenance.get(uid, {}).get("detector")
    return {
        "name": recording.name,
        "path": "" if recording.path is None else str(recording.path),
        "channels": [f"{c.name} ({c.unit}, {c.sampling_rate:g} Hz)" for c in recording.channels[:8]],
        "n_channels": recording.n_channels,
        "rejected_cells": len(rejected_labels(recording)),
        "sweeps": recording.n_sweeps,
        "seconds": round(_seconds(recording), 3),
        "events": dict(Counter(events["class"].tolist())),
        "verdicts": dict(verdicts),
        "detector": None if detector is None else str(detector),
    }


def _seconds(recording: Recording) -> float:
    if not recording.n_channels:
        return 0.0
    rate = recording.channels[0].sampling_rate
    return sum(recording.n_samples(sweep, 0) for sweep in range(recording.n_sweeps)) / rate


def _problems(saved: Saved) -> Iterator[str]:
    """Yield what is wrong, in sentences."""
    yield from saved.warnings
    layers = {layer.uid: layer for layer in saved.layers}
    ids = {uid: _ids(layer) for uid, layer in layers.items() if layer.data is not None}
    for layer in saved.layers:
        if layer.kind == "image" and layer.path and not Path(layer.path).exists():
            yield f"The image {layer.path} of the layer '{layer.name}' is gone; put it back."
    for uid, table in saved.cells.items():
        known = ids.get(uid, np.zeros(0, np.int64))
        strange = np.setdiff1d(table.obs["label"].to_numpy(np.int64), known)
        if len(strange):
            yield (
                f"The table of '{layers[uid].name}' has {len(strange)} cells without a mask, the first is "
                f"{strange[0]}; measure again."
            )
    for uid, classes in saved.classes.items():
        strange = np.setdiff1d(classes.labels, ids.get(uid, np.zeros(0, np.int64)))
        if len(strange):
            yield f"{len(strange)} cells of '{layers[uid].name}' have a class by hand and no mask, the first is {strange[0]}."
    for link in saved.links:
        recording = saved.recordings.get(link.recording)
        if recording is None or link.channel >= recording.n_channels:
            yield f"A link names channel {link.channel} of '{link.recording}', which is not there; link it again."
        elif link.cell.layer not in ids or link.cell.label not in ids[link.cell.layer]:
            yield f"Channel {link.channel} of {recording.name} is linked to cell {link.cell.label}, which is not there."
    for uid, events in saved.events.items():
        yield from _event_problems(saved.recordings[uid], events)
    for uid, clock in saved.clocks.items():
        if clock.recording and clock.recording not in saved.recordings:
            yield f"The clock of '{layers[uid].name}' is that of a recording which is not there."
    for number, entry in enumerate(saved.log, 1):
        try:
            from_record(entry)
        except SessionError as error:
            yield f"Edit {number} of the log: {error}"
            break


def _event_problems(recording: Recording, events: Any) -> Iterator[str]:
    outside = (events["channel"] >= recording.n_channels) | (events["sweep"] >= recording.n_sweeps)
    late = 0
    for event in events[~outside]:
        n = recording.n_samples(int(event["sweep"]), int(event["channel"]))
        end = n / recording.channels[int(event["channel"])].sampling_rate
        late += bool(n) and not 0 <= float(event["time_s"]) <= end
    if outside.any():
        yield f"{int(outside.sum())} events of {recording.name} are of channels or sweeps which it does not have."
    if late:
        yield f"{late} events of {recording.name} lie outside of their sweeps."


def _ids(layer: SavedLayer) -> Any:
    found = np.unique(np.asarray(layer.data)).astype(np.int64)
    return found[found > 0]


def _nwb_problems(path: Path) -> Iterator[str]:
    """Yield what the validator of NWB says."""
    import pynwb

    with pynwb.NWBHDF5IO(str(path), "r") as file:
        found = pynwb.validate(io=file)
    for one in list(found[0] if isinstance(found, tuple) else found)[:20]:
        yield f"NWB: {' '.join(str(one).split())}"


def _layer_part(saved: Saved, layer: SavedLayer, row: Mapping[str, Any]) -> str:
    facts = [("Kind", layer.kind), ("Shape", " x ".join(map(str, layer.shape)))]
    facts += [(name, str(row[key])) for name, key in (("File", "path"), ("Model", "model")) if row[key]]
    facts += [
        (name, str(row[key])) for name, key in (("Cells", "cells"), ("Measured", "measured")) if key in row
    ]
    facts += [
        (name, _counted(row[key]))
        for name, key in (("Classes by hand", "classes_by_hand"), ("Predicted", "predicted"))
        if row.get(key)
    ]
    table = saved.cells.get(layer.uid)
    plot = ""
    if table is not None and "area" in table.obs and table.n_obs > 1:
        values = table.obs["area"].to_numpy(np.float64)
        plot = (
            f"<figure style='width:{WIDTH}px'>{histogram(values[np.isfinite(values)])}<figcaption>area, pixels"
            "</figcaption></figure>"
        )
    shown = f"<div class=row>{_picture(saved, layer)}{plot}</div>"
    return f"<h3>{text_of(layer.name)}</h3>{facts_table(facts)}{shown}"


def _picture(saved: Saved, layer: SavedLayer) -> str:
    """Return a picture of a labels layer on its image, "" where the image is gone or of another shape."""
    if layer.data is None:
        return ""
    import imageio.v3 as imageio

    from napari_biofm.api.images import describe_image

    masks = np.asarray(layer.data)
    masks = masks if masks.ndim == 2 else masks[(0,) * (masks.ndim - 2)]
    ground = np.zeros(masks.shape, np.float32)
    for one in saved.layers:
        if one.kind != "image" or not one.path or not Path(one.path).exists():
            continue
        try:
            opened = describe_image(one.path)
            plane = np.asarray(opened.pixels[0] if opened.is_stack else opened.pixels[...])
        except (BiofmError, OSError):
            continue
        if plane.shape[:2] == masks.shape:
            ground = plane
            break
    data = imageio.imwrite("<bytes>", small_picture(ground, masks), extension=".png")
    picture = base64.b64encode(data).decode()
    return f'<figure><img alt="{text_of(layer.name)}" src="data:image/png;base64,{picture}"></figure>'


def _recording_part(saved: Saved, uid: str, row: Mapping[str, Any]) -> str:
    more = row["n_channels"] - len(row["channels"])
    facts = [
        ("File", row["path"] or "no file: its samples lie in the session"),
        ("Channels", ", ".join(row["channels"]) + (f" and {more} more" if more else "")),
        *(
            [("Rejected cells", said)]
            if (said := choose_cells(saved.recordings[uid], rejected=True).said)
            else []
        ),
        ("Sweeps", f"{row['sweeps']}, {row['seconds']:g} s in all"),
        ("Events", _counted(row["events"]) or "none"),
    ]
    facts += [
        (name, value)
        for name, value in (("Verdicts", _counted(row["verdicts"])), ("Detector", row["detector"]))
        if value
    ]
    events = saved.events.get(uid, no_events())
    real = events[~np.isin(events["class"], NOT_EVENTS)]
    sizes = real["amplitude"][np.isfinite(real["amplitude"])].astype(np.float64)
    plot = ""
    if len(sizes) > 1:
        unit = str(real["unit"][0])
        plot = f"<figure style='width:{WIDTH}px'>{histogram(sizes)}<figcaption>amplitude, {text_of(unit)}</figcaption></figure>"
    return f"<h3>{text_of(row['name'])}</h3>{facts_table(facts)}{plot}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def _list_of(title: str, rows: Sequence[str], bad: bool = False) -> str:
    mark = ' class="bad"' if bad else ""
    lines = "".join(f"<li{mark}>{text_of(row)}</li>" for row in rows)
    return f"<h2>{title}</h2><ul>{lines}</ul>" if rows else ""
