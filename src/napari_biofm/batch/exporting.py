"""Export: masks, sessions and runs as files for other programs, for scripts, the verb and the docks alike."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari_biofm.api.export_files import (
    FORMATS,
    OUTLINES,
    Exported,
    Output,
    nothing_to_export,
    write_outputs,
)
from napari_biofm.api.export_formats import write_masks_as_nwb, write_outlines
from napari_biofm.api.export_masks import outputs_of_masks
from napari_biofm.api.export_names import safe_name
from napari_biofm.api.export_session import outputs_of_session
from napari_biofm.batch.anndata_pieces import write_anndata
from napari_biofm.batch.jobs import CONDITIONS, ITEMS, OUTPUTS
from napari_biofm.batch.opened import Field, OpenedRun, classes_of, events_of_item, masks_of
from napari_biofm.batch.parameters import did_you_mean
from napari_biofm.batch.table_steps import write_table_csv
from napari_biofm.files import atomic_write
from napari_biofm.images.io.names import stem_of
from napari_biofm.session.saving import INDEX
from napari_biofm.signals.nwb_about import NwbAbout, nwb_about
from napari_biofm.types import BatchError, BiofmError, ProgressListener


def export(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    formats: str | Sequence[str],
    *,
    images: Sequence[str | Path] = (),
    classes: Mapping[int, str] | None = None,
    plane: int | None = None,
    rejected: bool = False,
    force: bool = False,
    resume: bool = False,
    about: Mapping[str, str] | None = None,
    progress: ProgressListener | None = None,
) -> Exported:
    """Write masks, a session, or the results of a run as files for other programs.

    Parameters
    ----------
    source : one or several: a file of masks (label image, or outlines of another program), the folder of a session or
        its NWB file, the folder of a run.
    out : folder of the files; it is made.
    formats : one or several of "csv", "parquet", "anndata", "nwb", "imagej", "geojson", "coco", "cellpose".
    images : of files of masks, one for each: for intensities, names, and the shape of outlines.
    classes : of files of masks: class by label, beside those a file has.
    plane : of stacks, counted from 0, for formats that hold one plane.
    rejected : whether tables of sessions hold the rows of rejected cells, too.
    force : replace files that exist.
    resume : keep files that exist and make the others.
    about : of NWB files: `species`, `age`, `sex`, `subject_id`, `genotype`, `session_description`, `experimenter`, `lab`,
        `institution`. What is not given is what the source's own NWB file says, else left out.
    progress : called with each step.

    Returns
    -------
    Exported
        The files, what was kept, what a format could not hold, and what failed.

    Raises
    ------
    BiofmError
        If a source is none of these, has nothing for the formats, two results would share a name, or results exist and
        neither `force` nor `resume` is given. Nothing is written then.
    """
    wanted = [formats] if isinstance(formats, str) else list(formats)
    for name in wanted:
        if name not in FORMATS:
            raise BatchError(f"there is no format {name!r}{did_you_mean(name, FORMATS)}")
    said = None if about is None else nwb_about(about)
    sources = [source] if isinstance(source, str | Path) else list(source)
    paths = list(dict.fromkeys(Path(one) for one in sources))
    for path in paths:
        if not path.exists():
            raise BatchError(f"{path} does not exist.")
    masks = [path for path in paths if kind_of(path) == "masks"]
    pictures = [Path(one) for one in images]
    found = outputs_of_masks(masks, wanted, pictures, classes, plane, said) if masks else []
    for path in paths:
        if path in masks:
            continue
        of_it = (
            outputs_of_session(path, wanted, plane, rejected, said)
            if kind_of(path) == "session"
            else outputs_of_run(path, wanted, plane, said)
        )
        if not of_it:
            raise nothing_to_export(path, wanted)
        found += of_it
    return write_outputs(found, Path(out), force=force, resume=resume, progress=progress)


def kind_of(path: Path) -> str:
    """Return "masks", "session" or "run".

    Parameters
    ----------
    path : a file or folder.
    """
    if (path / CONDITIONS).is_file():
        return "run"
    return "session" if (path / INDEX).is_file() or path.suffix.lower() == ".nwb" else "masks"


def outputs_of_run(
    folder: Path, formats: Sequence[str], plane: int | None = None, about: NwbAbout | None = None
) -> list[Output]:
    """Return the files that the results of a run become: its tables, and outlines and NWB of each item.

    Parameters
    ----------
    folder : of the run.
    formats : of `FORMATS`.
    plane : of stacks, counted from 0, for formats that hold one plane.
    about : the experiment and the animal, for NWB.

    Raises
    ------
    BatchError
        If the folder holds no run.
    """
    run = OpenedRun.open(folder)
    found: list[Output] = []
    for name in OUTPUTS:
        table = folder / f"{name}.parquet"
        if not table.is_file():
            continue
        if "csv" in formats:
            found.append(Output(f"{name}.csv", partial(_as_csv, table)))
        if "parquet" in formats:
            found.append(Output(f"{name}.parquet", partial(_copied, table)))
        if "anndata" in formats and name == "cells":
            found.append(Output("cells.zarr", partial(_as_anndata, table)))
    fields = [one for one in run.fields if one.masks is not None]
    recordings = [one for one in run.recordings if (folder / ITEMS / one.key).is_dir()]
    often = Counter(stem_of(one.path).casefold() for one in (*fields, *recordings))
    for one in (*fields, *recordings):
        name = safe_name(stem_of(one.path)) if often[stem_of(one.path).casefold()] == 1 else one.key
        if one.masks is not None:
            found += [
                Output(name + OUTLINES[kind], partial(_outlines, one, folder, plane))
                for kind in formats
                if kind in OUTLINES
            ]
        if "nwb" in formats:
            found.append(Output(f"{name}.nwb", partial(_as_nwb, one, folder, about)))
    return found


def _as_csv(table: Path, path: Path) -> Sequence[str]:
    write_table_csv(table, path)
    return ()


def _as_anndata(table: Path, path: Path) -> Sequence[str]:
    write_anndata(table, path)
    return ()


def _copied(table: Path, path: Path) -> Sequence[str]:
    with atomic_write(path) as part:
        shutil.copyfile(table, part)
    return ()


def _outlines(one: Field, folder: Path, plane: int | None, path: Path) -> Sequence[str]:
    labels: Any = masks_of(one)
    return write_outlines(path, labels, classes_of(one, folder), str(one.path), plane)


def _as_nwb(one: Field, folder: Path, about: NwbAbout | None, path: Path) -> Sequence[str]:
    """Write masks with traces and events of an image, or a recording with its events."""
    from napari_biofm.api.signals import read_recording
    from napari_biofm.signals.export import write_nwb as write_recording

    events = events_of_item(folder, one.key)
    if one.masks is None:
        given = OpenedRun.open(folder).recipe()
        rate, unit = (None, None) if given is None else (given.sampling_rate, given.unit)
        write_recording(path, read_recording(one.path, sampling_rate=rate, unit=unit), events, about)
        return ()
    traces = folder / ITEMS / one.key / "traces.npz"
    try:
        recordings = {"traces": read_recording(traces)} if traces.is_file() else {}
    except BiofmError as error:
        raise BatchError(f"{traces}: {error}") from error
    kept = {"traces": events} if events is not None and recordings else {}
    labels: Any = masks_of(one)
    write_masks_as_nwb(path, labels, stem_of(one.path), one.masks, about, recordings=recordings, events=kept)
    return ()
