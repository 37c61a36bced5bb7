"""Files that can be written for other programs, and what came of writing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from napari_biofm.types import BiofmError, ImageError, Labels, ProgressListener, SessionError
from napari_biofm.types import Progress as Step

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

Load = Callable[[], tuple[Labels, Mapping[int, str]]]  # reads masks and class by label


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


def nothing_to_export(source: Path, formats: Sequence[str]) -> BiofmError:
    """Return the error for a source that has nothing for any of the formats.

    Parameters
    ----------
    source : what was given.
    formats : that were asked for.
    """
    return SessionError(f"{source}: holds nothing that is written as {', '.join(formats)}.")
