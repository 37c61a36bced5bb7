"""Cells of a movie found by what they do, in the program that people know for it: suite2p or CaImAn, where it is installed.

Pachitariu et al., bioRxiv 061507 (2017); Giovannucci et al., eLife 8:e38173 (2019). Nothing of the package is imported before it is used; its results are read back by the
reader of its folders.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.signals import read_recording
from napari_biofm.signals import Recording
from napari_biofm.types import LazyArray, Progress, ProgressListener, RecordingError, Task, run_task

PROGRAMS = {  # package, and how it is installed
    "suite2p": "pip install suite2p",
    "caiman": "conda install -c conda-forge caiman (the package of that name on PyPI is another program)",
}
NAMES = {"suite2p": "suite2p", "caiman": "CaImAn"}
CAIMAN_RESULT = "caiman.hdf5"
_AT_ONCE = 200  # frames written at once


def cell_programs() -> list[str]:
    """Return the programs that are installed here and find cells by their activity.

    Returns
    -------
    Names that `active_cells` takes as `program`; none where nothing is installed.
    """
    return [name for name in PROGRAMS if _is_there(name)]


def _is_there(name: str) -> bool:
    """Return whether a program is installed; CaImAn by the folder of its CNMF, as PyPI has another package of its name."""
    spec = importlib.util.find_spec(name)
    if spec is None or name != "caiman":
        return spec is not None
    return any((Path(one) / "source_extraction").is_dir() for one in spec.submodule_search_locations or ())


def active_cells(
    movie: LazyArray | str | Path,
    out: str | Path,
    *,
    program: str = "suite2p",
    frame_rate: float | None = None,
    decay_s: float = 1.0,
    register: bool = True,
    radius_px: float = 5.0,
    components: int = 100,
    channel: int | None = None,
    plane: int | None = None,
    progress: ProgressListener | None = None,
) -> Recording:
    """Find cells by their activity in another program, and read its result.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices, or the path of one.
    out : folder; the program's own results are written into it and can be opened again, here and in the program.
    program : one of `cell_programs()`.
    frame_rate : Hz; it goes before what the file says.
    decay_s : seconds in which the indicator decays (suite2p's tau, CaImAn's decay_time).
    register : whether the program corrects motion first; not for movies that are corrected.
    radius_px, components : of CaImAn: half the size of a cell in pixels (gSig), and how many cells it looks for (K).
    channel, plane : of a file that holds several, counted from 0.
    progress : called with each step.

    Returns
    -------
    Recording
        Traces of every region the program found (suite2p: fluorescence; CaImAn: dF/F), with masks, and which of them it calls
        cells; neuropil and deconvolved activity are further parts.

    Raises
    ------
    RecordingError
        If the program is not installed (with how to install it) or fails, nobody says the frame rate, or `out` holds results.
    """
    from napari_biofm.images.io.movie_facts import MovieFacts
    from napari_biofm.images.io.movies import Movie, open_movie
    from napari_biofm.timeline.metadata import chosen_rate

    if program not in PROGRAMS:
        raise RecordingError(f"there is no program '{program}'; there are: {', '.join(PROGRAMS)}")
    if program not in cell_programs():
        raise RecordingError(f"{NAMES[program]} is not installed here: {PROGRAMS[program]}")
    if program == "caiman" and (not radius_px > 0 or components < 1):
        raise RecordingError(f"radius_px is {radius_px}, components {components}: both must be positive")
    if isinstance(movie, str | Path):
        name, source = Path(movie).name, open_movie(Path(movie), channel, plane)
    else:
        name, source = "the movie", Movie(movie, MovieFacts())
    rate, _ = chosen_rate(frame_rate, None, source.frame_rate)
    if rate is None:
        raise RecordingError(f"{name} does not say its frame rate; give it in Hz (--frame-rate HZ)")
    folder = Path(out)
    result = folder / ("suite2p" if program == "suite2p" else CAIMAN_RESULT)
    if result.exists():
        raise RecordingError(
            f"{folder} holds results of {NAMES[program]}; choose another folder, or remove them"
        )
    run_task(_write_frames(source.frames, folder / "frames" / "movie.tif"), progress)
    if program == "caiman":
        _run_caiman(folder, rate, decay_s, register, radius_px, components)
        return read_recording(result, sampling_rate=rate)
    _run_suite2p(folder, rate, decay_s, register)
    return read_recording(folder / "suite2p" / "plane0", sampling_rate=rate)


def _write_frames(movie: LazyArray, path: Path) -> Task[Path]:
    """Write a movie as the TIFF of int16 that suite2p reads; values beyond int16 are scaled down, gaps are the darkest value."""
    import tifffile

    n = int(movie.shape[0])
    highest, lowest = -np.inf, np.inf
    for start in range(0, n, _AT_ONCE):
        block = np.asarray(movie[start : start + _AT_ONCE])
        known = block[np.isfinite(block)]
        if known.size:
            highest, lowest = max(highest, float(known.max())), min(lowest, float(known.min()))
        yield Progress(start, 2 * n, "range of the movie")
    if not np.isfinite(highest):
        raise RecordingError("the movie holds no numbers")
    largest = max(abs(highest), abs(lowest))
    factor = 32_000 / largest if largest > 32_000 or largest < 100 else 1.0

    def frames() -> Iterator[NDArray[np.int16]]:
        for start in range(0, n, _AT_ONCE):
            block = np.asarray(movie[start : start + _AT_ONCE]).astype(np.float32)
            block = np.where(np.isfinite(block), block, np.float32(lowest)) * np.float32(factor)
            yield from np.round(block).astype(np.int16)

    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for frame in frames():
            file.write(frame, contiguous=True)
    yield Progress(2 * n, 2 * n, "written for suite2p")
    return path


def _run_suite2p(folder: Path, rate: float, decay_s: float, register: bool) -> None:
    """Run suite2p, of version 0 with one dictionary of options, of version 1 with paths and settings apart."""
    program: Any = importlib.import_module("suite2p")
    where = {"data_path": [str(folder / "frames")], "save_path0": str(folder)}
    try:
        if "default_settings" in vars(program):
            settings = program.default_settings()
            settings.update(fs=rate, tau=decay_s)
            settings["io"]["save_mat"] = (
                True  # masks as numbers: its stat.npy is a pickle, which is not opened here
            )
            settings["run"]["do_registration"] = int(register)
            program.run_s2p(db=where, settings=settings)
        else:
            ops = {
                **program.default_ops(),
                "fs": rate,
                "tau": decay_s,
                "save_mat": True,
                "do_registration": register,
            }
            program.run_s2p(ops=ops, db=where)
    except Exception as error:  # it raises whatever its packages raise
        raise RecordingError(f"suite2p {_version()} failed: {error}") from error


def _run_caiman(
    folder: Path, rate: float, decay_s: float, register: bool, radius_px: float, components: int
) -> None:
    """Run CaImAn's CNMF in a process of its own, which keeps its memory maps in the folder and writes what it says to a file."""
    job = {
        "movie": str((folder / "frames" / "movie.tif").resolve()),
        "out": str((folder / CAIMAN_RESULT).resolve()),
        "frame_rate": rate, "decay_s": decay_s, "register": register, "radius_px": radius_px,
        "components": components,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job, indent=1), encoding="utf-8")
    command = [
        sys.executable, "-P", "-m", "napari_biofm.api.caiman_child", str((folder / "job.json").resolve())
    ]  # fmt: skip
    temporary = {"CAIMAN_TEMP": str(folder.resolve()), "CAIMAN_DATA": str(folder.resolve())}
    with (folder / "caiman.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, **temporary},
        )
    if done.returncode or not (folder / CAIMAN_RESULT).is_file():
        said = (folder / "caiman.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = said[-1] if said else f"exit code {done.returncode}"
        raise RecordingError(f"CaImAn failed: {last} (all it said: {folder / 'caiman.log'})")


def _version() -> str:
    try:
        return importlib.metadata.version("suite2p")
    except importlib.metadata.PackageNotFoundError:
        return "of an unknown version"
