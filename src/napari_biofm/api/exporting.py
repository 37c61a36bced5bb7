"""Files for other programs: outlines, tables and NWB, of a file of masks or of a session."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.files import atomic_write
from napari_biofm.images.io.exchange.formats import read_cells, write_cells
from napari_biofm.images.io.names import MASK_ENDINGS, stem_of
from napari_biofm.types import BiofmError, ImageError, Labels, ProgressListener, SessionError, no_events
from napari_biofm.types import Progress as Step

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.session.snapshot import Saved, SavedLayer
    from napari_biofm.signals.nwb_about import NwbAbout

OUTLINES: Mapping[str, str] = MappingProxyType(
    {"imagej": "_rois.zip", "geojson": ".geojson", "coco": "_coco.json", "cellpose": "_seg.npy"}
)
TABLES: Mapping[str, str] = MappingProxyType({"csv": ".csv", "parquet": ".parquet", "anndata": ".h5ad"})
FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "csv": "tables of cells and events as text, units in the column names or in their own column",
        "parquet": "the same tables for Python and R",
        "anndata": "the table of cells with its vectors (.h5ad; of a run a zarr folder)",
        "nwb": "Neurodata Without Borders: cells, traces, recordings and events",
        "imagej": "outlines as ImageJ ROIs (.zip)",
        "geojson": "outlines and classes for QuPath",
        "coco": "outlines and classes as COCO (.json)",
        "cellpose": "masks for Cellpose's window (_seg.npy)",
    }
)
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Output:
    """A file that can be written.

    Attributes
    ----------
    name : of the file.
    write : writes it to a path and returns what a user should know.
    """

    name: str
    write: Callable[[Path], Sequence[str]]


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes
    ----------
    files : that were written.
    kept : that were there before and stayed, with `resume`.
    notes : what a format could not hold, by file name.
    failed : why a file could not be written, by file name.
    """

    files: tuple[Path, ...]
    kept: tuple[Path, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def write_outputs(
    outputs: Sequence[Output],
    out: Path,
    *,
    force: bool = False,
    resume: bool = False,
    progress: ProgressListener | None = None,
) -> Exported:
    """Write files into a folder, each whole or not at all; one that fails does not stop the others.

    Parameters
    ----------
    outputs : what to write.
    out : the folder; it is made.
    force : replace files that exist.
    resume : keep files that exist.
    progress : called with each step.

    Raises
    ------
    BiofmError
        If two would share a name, or a file exists and neither `force` nor `resume` is given; nothing is written then.
    """
    often = Counter(one.name.casefold() for one in outputs)
    twice = next((one.name for one in outputs if often[one.name.casefold()] > 1), None)
    if twice is not None:
        raise ImageError(f"two results would be called {twice}; export them into different folders.")
    there = [out / one.name for one in outputs if (out / one.name).exists()]
    if there and not (force or resume):
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise ImageError(
            f"{there[0]}{more} exists; give --force to replace, --resume to make what is missing, or another --out."
        )
    written: list[Path] = []
    notes: dict[str, str] = {}
    failed: dict[str, str] = {}
    todo = [one for one in outputs if force or out / one.name not in there]
    out.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(todo, 1):
        try:
            told = one.write(out / one.name)
        except BiofmError as error:
            failed[one.name] = " ".join(str(error).split())
        else:
            written.append(out / one.name)
            if told:
                notes[one.name] = "; ".join(told)
        if progress is not None:
            progress(Step(number, len(todo), one.name))
    return Exported(tuple(written), tuple(p for p in there if not force), notes, failed)


def outputs_of_masks(
    masks: Sequence[Path],
    formats: Sequence[str],
    images: Sequence[Path] = (),
    classes: Mapping[int, str] | None = None,
    plane: int | None = None,
    about: NwbAbout | None = None,
) -> list[Output]:
    """Return the files that label images, or outlines of other programs, become.

    Parameters
    ----------
    masks : files, read by `read_cells`.
    formats : of `FORMATS`.
    images : one per file of masks, or none: for intensities, for names, and for the shape of outlines.
    classes : class by label, beside those a file has.
    plane : of a stack, counted from 0, for formats that hold one plane.
    about : the experiment and the animal, for NWB.

    Raises
    ------
    ImageError
        If there are images, and not one per file of masks, or two results would share a name.
    """
    if images and len(images) != len(masks):
        raise ImageError(
            f"{len(images)} images were given for {len(masks)} files of masks; give one for each."
        )
    beside: Sequence[Path | None] = images or [None] * len(masks)
    pairs = list(zip(masks, beside, strict=True))
    names = _names_of(pairs)
    found: list[Output] = []
    for (path, image), name in zip(pairs, names, strict=True):
        load = partial(_read, path, image, dict(classes or {}))
        found += [
            Output(name + OUTLINES[f], partial(_outlines, load, plane, _image_path(image)))
            for f in formats
            if f in OUTLINES
        ]
        found += [
            Output(f"{name}_cells{TABLES[f]}", partial(_measured, load, image, name))
            for f in formats
            if f in TABLES
        ]
        if "nwb" in formats:
            found.append(Output(f"{name}.nwb", partial(_masks_as_nwb, load, path, about)))
    return found


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
        load = partial(_of_layer, saved, layer)
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


def saved_session(source: Path) -> Saved:
    """Read a session.

    Parameters
    ----------
    source : its folder, or an NWB file that holds one.

    Raises
    ------
    SessionError
        If it is no session, or is damaged.
    """
    from napari_biofm.session.nwb_read import read_nwb_session
    from napari_biofm.session.saving import load_session

    return read_nwb_session(source) if source.suffix.lower() == ".nwb" else load_session(source)


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return names that every disk takes, no two alike whatever their case: the second `cells` is `cells_2`.

    Parameters
    ----------
    names : as a user gave them.
    """
    taken: set[str] = set()
    found = []
    for name in map(safe_name, names):
        number, one = 1, name
        while one.casefold() in taken:
            number += 1
            one = f"{name}_{number}"
        taken.add(one.casefold())
        found.append(one)
    return found


def safe_name(name: str) -> str:
    """Return a name of letters that every disk takes.

    Parameters
    ----------
    name : as a user gave it.
    """
    return _UNSAFE.sub("_", name).strip("._") or "unnamed"


def write_table(rows: Any, path: Path) -> None:
    """Write a table of cells, by the ending of its name.

    Parameters
    ----------
    rows : AnnData.
    path : ending in .csv, .parquet or .h5ad.
    """
    from napari_biofm.cells.table.export import write_csv, write_h5ad

    if path.suffix == ".h5ad":
        write_h5ad(rows, path)
    elif path.suffix == ".csv":
        write_csv(rows, path)
    else:
        with atomic_write(path) as part:
            rows.obs.to_parquet(part, index=False)


def _names_of(pairs: Sequence[tuple[Path, Path | None]]) -> list[str]:
    """Return what results of each file are called: like the image, else like the masks without their ending."""
    plain = [stem_of(image) if image is not None else _without_ending(path) for path, image in pairs]
    often = Counter(name.casefold() for name in plain)
    names = [
        path.name if often[name.casefold()] > 1 else name
        for name, (path, _) in zip(plain, pairs, strict=True)
    ]
    often = Counter(name.casefold() for name in names)
    for name, (path, _) in zip(names, pairs, strict=True):
        if often[name.casefold()] > 1:
            raise ImageError(f"more than one file is called like {path}; export them into different folders.")
    return names


def _without_ending(path: Path) -> str:
    stem = stem_of(path)
    ending = next((e for e in (*MASK_ENDINGS, "_seg", "_rois", "_coco") if stem.lower().endswith(e)), "")
    return stem[: len(stem) - len(ending)] or stem


def _image_path(image: Path | None) -> str:
    return "" if image is None else str(image.resolve())


Load = Callable[[], tuple[Labels, Mapping[int, str]]]


def _read(path: Path, image: Path | None, classes: Mapping[int, str]) -> tuple[Labels, Mapping[int, str]]:
    from napari_biofm.session.parts import read_labels

    if path.is_dir():  # labels as OME-Zarr
        return read_labels(path), classes
    shape = None
    if image is not None:
        from napari_biofm.api.images import open_image

        pixels, is_stack = open_image(image)
        shape = tuple(pixels.shape[: 2 + is_stack])
    found = read_cells(path, shape)
    return found.labels, {**found.classes, **classes}


def _outlines(load: Load, plane: int | None, image: str, path: Path) -> Sequence[str]:
    labels, classes = load()
    return write_outlines(path, labels, classes, image or path.stem, plane)


def _all_outlines(
    load: Load, plane: int | None, image: str, rejected: frozenset[int], path: Path
) -> Sequence[str]:
    """Write outlines of all cells of a layer, and say how many of them are rejected."""
    from napari_biofm.signals.curation import said_of_rejected

    labels, classes = load()
    n = len(np.unique(labels[labels > 0]))
    said = said_of_rejected(len(rejected), n, included=True)
    return [*write_outlines(path, labels, classes, image or path.stem, plane), *([said] if said else [])]


def write_outlines(
    path: Path, labels: Labels, classes: Mapping[int, str], image: str, plane: int | None
) -> Sequence[str]:
    """Write masks as outlines; of a stack one plane, unless the format holds them all.

    Parameters
    ----------
    path : its ending says the format.
    labels : (Y, X) or (Z, Y, X).
    classes : class by label.
    image : path or name that formats tell.
    plane : of a stack, counted from 0.

    Raises
    ------
    ImageError
        If the masks are a stack, the format holds one plane, and `plane` is none of it.
    """
    if labels.ndim > 2 and not path.name.endswith("_seg.npy"):
        if plane is None:
            raise ImageError(
                f"{path.name}: the masks are a stack of {labels.shape[0]}, the format holds one plane; give --plane N."
            )
        if not 0 <= plane < labels.shape[0]:
            raise ImageError(f"{path.name}: there is no plane {plane}; there are 0 to {labels.shape[0] - 1}.")
        labels = np.asarray(labels[plane])
    return write_cells(path, labels, classes, image)


def _measured(load: Load, image: Path | None, name: str, path: Path) -> Sequence[str]:
    from napari_biofm.api.cells import measure

    labels, classes = load()
    write_table(with_classes(measure(labels, image, layer=name, name=name), classes), path)
    return () if image is not None else ("shapes only; give --image for intensities",)


def with_classes(table: AnnData, classes: Mapping[int, str]) -> AnnData:
    """Return a table of cells with the column `class`, where classes are known.

    Parameters
    ----------
    table : with the column `label`.
    classes : class by label.
    """
    if classes:
        table.obs["class"] = [classes.get(int(label), "") for label in table.obs["label"]]
    return table


def _masks_as_nwb(load: Load, source: Path, about: NwbAbout | None, path: Path) -> Sequence[str]:
    labels, _ = load()
    write_masks_as_nwb(path, labels, stem_of(source), source.resolve(), about)
    return ()


def write_masks_as_nwb(
    path: Path, labels: Labels, name: str, source: Path, about: NwbAbout | None = None, **more: Any
) -> None:
    """Write masks of one plane as NWB.

    Parameters
    ----------
    path : of the file.
    labels : (Y, X).
    name : of the masks.
    source : where they are.
    about : the experiment and the animal, where they are known.
    **more : what else `session.snapshot.Saved` holds: recordings, events.

    Raises
    ------
    ImageError
        If they are not of one plane.
    """
    from napari_biofm.session.nwb import write_nwb
    from napari_biofm.session.snapshot import Saved, SavedLayer

    if labels.ndim != 2:
        raise ImageError(f"{path.name}: NWB takes masks of one plane, not of shape {labels.shape}.")
    masks = np.asarray(labels, np.int32)
    layer = SavedLayer("masks", "labels", name, str(source), masks, shape=labels.shape)
    write_nwb(path, Saved(layers=(layer,), labels="masks", **more), about=about)


def _of_layer(saved: Saved, layer: SavedLayer) -> tuple[Labels, Mapping[int, str]]:
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

        labels, classes = _of_layer(saved, layer)
        table = with_classes(measure(labels, layer=layer.name, name=layer.name), classes)
        told.append("these cells were not measured in the session: shapes only")
    away = np.isin(table.obs["label"].to_numpy(np.int64), list(out))
    said = said_of_rejected(int(away.sum()), table.n_obs, rejected)
    write_table(table if rejected or not away.any() else table[~away].copy(), path)
    return [*told, *([said] if said else [])]


def _image_of(saved: Saved) -> str:
    return next((layer.path for layer in saved.layers if layer.kind == "image" and layer.path), "")


def nothing_to_export(source: Path, formats: Sequence[str]) -> BiofmError:
    """Return the error for a source that has nothing for any of the formats.

    Parameters
    ----------
    source : what was given.
    formats : that were asked for.
    """
    return SessionError(f"{source}: holds nothing that is written as {', '.join(formats)}.")
