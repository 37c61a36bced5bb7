"""Write a session folder whole or not at all; read it back with messages a user can act on."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm import __version__
from napari_biofm.cells.classify.classified import read_classified, write_classified
from napari_biofm.events.reviewed import upgrade
from napari_biofm.files import load_numpy
from napari_biofm.session import CellKey, Link
from napari_biofm.session.parts import (
    classes_from_json,
    classes_to_json,
    part_inside,
    possible_paths,
    read_back,
    read_events,
    read_labels,
    recording_record,
    relative_path,
    write_events,
    write_labels,
    write_samples,
)
from napari_biofm.session.place import alone, fresh_place, put_in_place, remove_partial
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.sizes import check_zarr_texts
from napari_biofm.timeline import Clock
from napari_biofm.types import CellsError, SessionError

FORMAT = "napari-biofm session"
FORMAT_VERSION = 2  # 1: verdicts of events in lists of the provenance, accounts of edits in the log
INDEX = "session.json"


class SessionWriter:
    """Saves into one folder again and again; parts that did not change are linked, not written anew.

    Parameters
    ----------
    folder : of the session.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._kept: dict[str, Any] = {}  # part -> what it was made of when it was written last
        self._number = ""  # of the save that wrote these parts

    def save(self, saved: Saved) -> Path:
        """Write everything to a new folder beside the old one, then put it in its place.

        Raises
        ------
        SessionError
            If the folder holds something else than a session, or cannot be written.
        """
        fresh = fresh_place(self.folder)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with alone(self.folder, INDEX):
                self._check_target()
                if _number_of(self.folder) != self._number:
                    self._kept = {}  # somebody else saved here: nothing of it is ours
                fresh.mkdir()
                number = uuid.uuid4().hex
                made = self._write(fresh, saved, number)
                put_in_place(fresh, self.folder)
        except OSError as error:
            raise SessionError(
                f"The session cannot be written to {self.folder} ({error.strerror or error}). What was there "
                "before is still there; choose another folder or free some space."
            ) from error
        finally:
            remove_partial(fresh)
        self._kept, self._number = made, number
        return self.folder

    def _check_target(self) -> None:
        if self.folder.is_file():
            raise SessionError(f"{self.folder} is a file; choose the name of a folder for the session.")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / INDEX).is_file():
            raise SessionError(
                f"{self.folder} holds other files and is no session; choose a new or an empty folder."
            )

    def _write(self, fresh: Path, saved: Saved, number: str) -> dict[str, Any]:
        """Write all parts below `fresh`; return what each was made of."""
        parts = _Parts(self.folder, fresh, self._kept)
        layers = [_write_layer(parts, i, layer, saved) for i, layer in enumerate(saved.layers)]
        recordings = [_write_recording(parts, i, uid, saved) for i, uid in enumerate(saved.recordings)]
        index = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "written_by": f"napari-biofm {__version__}",
            "save": number,
            "layers": layers,
            "recordings": recordings,
            "links": [[a.recording, a.channel, a.cell.layer, a.cell.label] for a in saved.links],
            "selection": [[key.layer, key.label] for key in saved.selection],
            "time_s": saved.time_s,
            "image": saved.image,
            "labels": saved.labels,
            "detector": saved.detector,
        }
        lines = [json.dumps(entry, default=str) for entry in saved.log]
        (fresh / "log.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        (fresh / INDEX).write_text(json.dumps(index, indent=1, default=str), encoding="utf-8")
        return parts.made


class _Parts:
    """Writes parts of a session, or links those that did not change since the last save."""

    def __init__(self, former: Path, fresh: Path, kept: Mapping[str, Any]) -> None:
        self.former, self.fresh, self.kept = former, fresh, kept
        self.made: dict[str, Any] = {}

    def put(self, name: str, source: Any, write: Callable[[Path], None]) -> str:
        """Write the part `name`, made of `source`, and return its name."""
        target, former = self.fresh / name, self.former / name
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = self.kept.get(name)
        if kept is not None and _same(kept, source) and former.exists():
            _link(former, target)
        else:
            write(target)
        self.made[name] = source
        return name


def _write_layer(parts: _Parts, i: int, layer: SavedLayer, saved: Saved) -> dict[str, Any]:
    record: dict[str, Any] = {
        "uid": layer.uid,
        "kind": layer.kind,
        "name": layer.name,
        "path": layer.path,
        "relative": relative_path(layer.path, parts.former) if layer.path else "",
        "placing": dict(layer.placing),
        "metadata": dict(layer.metadata),
        "shape": list(layer.shape),
    }
    if layer.path and Path(layer.path).is_file():
        record["size"] = Path(layer.path).stat().st_size
    if layer.uid in saved.classes:
        record["classes"] = classes_to_json(saved.classes[layer.uid])
    data, table, clock = layer.data, saved.cells.get(layer.uid), saved.clocks.get(layer.uid)
    if data is not None:
        write = partial(write_labels, data=data, placing=layer.placing)
        made_of = (layer.uid, layer.version, repr(layer.placing))
        record["file"] = parts.put(f"labels/{i:03d}.ome.zarr", made_of, write)
    if table is not None:  # tables are changed in place: always written anew
        record["cells"] = parts.put(f"cells/{i:03d}.zarr", object(), partial(write_table, table=table))
    if layer.uid in saved.classified and table is not None:
        said = saved.classified[layer.uid]
        record["classified"] = parts.put(f"classifiers/{i:03d}", said, partial(write_classified, kept=said))
    if clock is not None:
        record["clock"] = {
            "source": clock.source,
            "recording": clock.recording,
            "file": parts.put(f"clocks/{i:03d}.npy", clock, partial(np.save, arr=clock.times)),
        }
    return record


def _write_recording(parts: _Parts, i: int, uid: str, saved: Saved) -> dict[str, Any]:
    recording, events = saved.recordings[uid], saved.events[uid]
    record: dict[str, Any] = {"uid": uid, **recording_record(recording, parts.former)}
    record["provenance"] = saved.provenance.get(uid, {})
    record["events"] = parts.put(f"events/{i:03d}.parquet", events, partial(write_events, events=events))
    if recording.path is None:
        write = partial(write_samples, recording=recording)
        record["samples"] = parts.put(f"samples/{i:03d}.npz", recording, write)
    return record


def save_session(folder: Path, saved: Saved) -> Path:
    """Save once; see `SessionWriter`."""
    return SessionWriter(folder).save(saved)


def load_session(folder: Path) -> Saved:
    """Read a session folder.

    Recordings and images are opened where they lie; what is gone is named in `warnings`, and its events
    and links are kept.

    Raises
    ------
    SessionError
        If the folder is no session, was written by a newer program, or a part is damaged.
    """
    folder = Path(folder)
    with alone(folder, INDEX):
        return _load(folder)


def _load(folder: Path) -> Saved:
    index = _read_index(folder)
    warnings: list[str] = []
    layers, cells, clocks, classes, classified = [], {}, {}, {}, {}
    try:
        for record in index["layers"]:
            uid = str(record["uid"])
            layers.append(_layer(folder, record))
            warnings += _other_size(layers[-1], record)
            if "cells" in record:
                cells[uid] = read_table(_inside(folder, record["cells"]))
            if "classes" in record:
                classes[uid] = classes_from_json(record["classes"])
            if "classified" in record:
                try:
                    classified[uid] = read_classified(_inside(folder, record["classified"]))
                except CellsError as error:  # the labels it was taught with are there
                    warnings.append(str(error))
            if "clock" in record:
                clocks[uid] = _read_clock(folder, record["clock"])
        recordings, events, provenance = {}, {}, {}
        for record in index["recordings"]:
            uid = str(record["uid"])
            samples = _inside(folder, record["samples"]) if record.get("samples") else folder / "none"
            recordings[uid], warning = read_back(record, folder, samples)
            warnings += [warning] if warning else []
            table = upgrade(read_events(_inside(folder, record["events"])), dict(record["provenance"]))
            events[uid], provenance[uid] = table.events, dict(table.provenance)
        links = tuple(Link(str(r), int(c), CellKey(str(y), int(n))) for r, c, y, n in index["links"])
        return Saved(
            layers=tuple(layers),
            cells=cells,
            recordings=recordings,
            events=events,
            provenance=provenance,
            links=links,
            clocks=clocks,
            selection=tuple(CellKey(str(y), int(n)) for y, n in index["selection"]),
            time_s=float(index["time_s"]),
            image=index["image"],
            labels=index["labels"],
            classes=classes,
            classified=classified,
            detector=index.get("detector"),
            log=_read_log(folder),
            warnings=tuple(warnings),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SessionError(f"{folder / INDEX} is damaged: {error!r}.") from error
    except OSError as error:
        raise SessionError(f"A part of {folder} cannot be read: {error.strerror or error}.") from error


def _number_of(folder: Path) -> str:
    """Return which save wrote a folder, "" where that cannot be told."""
    try:
        return str(json.loads((folder / INDEX).read_text(encoding="utf-8"))["save"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        raise SessionError(f"{folder} is no session: it holds no {INDEX}. Choose the folder that was saved.")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SessionError(f"{path} is damaged: {error}.") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise SessionError(f"{path} was not written by napari-biofm.")
    version = index.get("format_version", 0)
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise SessionError(
            f"{path} is damaged: format_version is {version!r} and has to be a number, 1, 2 ..."
        )
    if version > FORMAT_VERSION:
        raise SessionError(
            f"{folder} was written by {index.get('written_by', 'a newer version')}; this program reads "
            f"format {FORMAT_VERSION} only. Update napari-biofm."
        )
    return index


def _layer(folder: Path, record: Mapping[str, Any]) -> SavedLayer:
    data = read_labels(_inside(folder, record["file"])) if record.get("file") else None
    now = next((path for path in possible_paths(record, folder) if path.exists()), None)
    return SavedLayer(
        uid=str(record["uid"]),
        kind=str(record["kind"]),
        name=str(record["name"]),
        path=str(record["path"] if now is None else now),
        data=data,
        placing=dict(record["placing"]),
        metadata=dict(record["metadata"]),
        shape=tuple(int(n) for n in record["shape"]),
    )


def _other_size(layer: SavedLayer, record: Mapping[str, Any]) -> list[str]:
    """Return a warning where the file of a layer is not as large as it was."""
    path = Path(layer.path)
    if record.get("size") is None or not path.is_file() or path.stat().st_size == record["size"]:
        return []
    return [f"{path.name} has another size than when the session was saved; it may be another image."]


def _read_clock(folder: Path, record: Mapping[str, Any]) -> Clock:
    path = _inside(folder, record["file"])
    try:
        times = load_numpy(path)
    except (OSError, ValueError) as error:
        raise SessionError(f"The frame times in {path} cannot be read ({error}).") from error
    return Clock(times, str(record["source"]), str(record["recording"]))


def _read_log(folder: Path) -> tuple[dict[str, Any], ...]:
    path = folder / "log.jsonl"
    if not path.is_file():
        return ()
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break  # cut off while it was written: what came before stands
    return tuple(entries)


def write_table(path: Path, table: Any) -> None:
    """Write a table of cells as Zarr."""
    import zarr
    from anndata.io import write_elem

    write_elem(zarr.open_group(str(path), mode="w", zarr_format=2), "/", table)


def read_table(path: Path) -> Any:
    """Read a table of cells; SessionError where it is damaged."""
    import anndata

    try:
        check_zarr_texts(path)
        return anndata.read_zarr(path)
    except Exception as error:  # zarr and anndata raise what they like on damaged stores
        raise SessionError(f"The table of cells in {path} cannot be read ({error}).") from error


def _inside(folder: Path, name: object) -> Path:
    return part_inside(folder, name, folder / INDEX, "session")


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, tuple) and a == b)


def _link(source: Path, target: Path) -> None:
    """Make `target` the same files as `source`, without copying where the disk allows."""

    def one(a: str, b: str) -> str:
        try:
            os.link(a, b)
        except OSError:
            shutil.copy2(a, b)
        return b

    if source.is_dir():
        shutil.copytree(source, target, copy_function=one)
    else:
        one(str(source), str(target))
