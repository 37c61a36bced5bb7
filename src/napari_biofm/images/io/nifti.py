"""Volumes over time from NIfTI: pixels with affine and repetition time, series of atlas regions (extra `nifti`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.types import ImageError

ENDINGS = (".nii", ".nii.gz")
MAX_BYTES = 16 << 30  # unpacked, as float32
SPACE_TOLERANCE = 1e-3  # millimetres that the corners of two grids may differ
TIME_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


@dataclass(frozen=True, eq=False)
class Volumes:
    """One volume or a series of them.

    Attributes
    ----------
    values : (x, y, z) or (x, y, z, t), scaled as the file says.
    affine : (4, 4), from voxels to millimetres.
    repetition_time : seconds between volumes; None where there is one volume only or the file does not say.
    name : of the file. notes : sentences on what the file is or lacks.
    """

    values: NDArray[np.floating] | NDArray[np.integer]
    affine: NDArray[np.float64]
    repetition_time: float | None
    name: str
    notes: tuple[str, ...] = ()


def read_nifti(path: Path, repetition_time: float | None = None) -> Volumes:
    """Read a NIfTI file; a file of one volume says that it is one.

    Parameters
    ----------
    path : `.nii` or `.nii.gz`.
    repetition_time : seconds between volumes, where the file does not say or is wrong.

    Raises
    ------
    ImageError
        If nibabel is not installed, the file is damaged, too large, or has other than three or four axes.
    """
    try:
        import nibabel
    except ImportError as error:
        raise ImageError("NIfTI files need nibabel: pip install napari-biofm[nifti].") from error
    if not path.name.lower().endswith(ENDINGS):
        raise ImageError(f"{path.name}: volumes are read from {' and '.join(ENDINGS)}.")
    if not path.is_file():
        raise ImageError(f"{path} does not exist.")
    try:
        file = nibabel.load(path)
        shape = tuple(int(n) for n in file.shape)
        if len(shape) == 4 and shape[3] == 1:
            shape = shape[:3]
        if len(shape) not in (3, 4) or 0 in shape:
            raise ImageError(f"{path.name} has the shape {shape}; (x, y, z) or (x, y, z, t) can be read.")
        if np.prod(shape, dtype=float) * 4 > MAX_BYTES:
            raise ImageError(f"{path.name} has the shape {shape}, more than {MAX_BYTES >> 30} GB.")
        values = np.asarray(file.dataobj).reshape(shape)
        affine = np.asarray(file.affine, np.float64)
        zooms, unit = file.header.get_zooms(), file.header.get_xyzt_units()[1]
    except ImageError:
        raise
    except Exception as error:  # nibabel, gzip and numpy raise many kinds on damaged files
        raise ImageError(f"{path.name} cannot be read as NIfTI ({type(error).__name__}: {error}).") from error
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ImageError(f"{path.name}: its affine has no extent; the place of its voxels is not known.")
    if values.dtype.kind not in "iuf":
        raise ImageError(f"{path.name} holds {values.dtype}; numbers are needed.")
    if len(shape) == 3:
        return Volumes(
            values, affine, None, path.name, (f"{path.name} holds one volume, no series over time",)
        )
    told = repetition_time or float(zooms[3]) * TIME_UNITS.get(unit, 0.0)
    notes = () if told > 0 else (f"{path.name} does not say the time between volumes: give it in seconds",)
    return Volumes(values, affine, told if told > 0 else None, path.name, notes)


def read_names(path: Path) -> dict[int, str]:
    """Read the names of an atlas' regions: number and name a line, by comma, tab or space.

    Parameters
    ----------
    path : text; lines that do not begin with a number (a heading, #) are left out.

    Raises
    ------
    ImageError
        If no line is number and name, or a number stands twice.
    """
    found: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path} cannot be read as text ({error}).") from error
    for line in lines:
        parts = line.replace(",", " ", 1).replace("\t", " ", 1).split(None, 1)
        if len(parts) == 2 and parts[0].isdigit():
            if int(parts[0]) in found:
                raise ImageError(f"{path.name}: region {parts[0]} stands twice.")
            found[int(parts[0])] = parts[1].strip().strip('"')
    if not found:
        raise ImageError(f"{path.name}: no line is a number and a name, such as '1 Precentral gyrus'.")
    return found


def canonical(volumes: Volumes) -> Volumes:
    """Return volumes whose first axis runs to the right, the second to the front and the third up, as nearly as they can.

    Axes are swapped and turned, nothing is resampled, and nothing is copied.

    Parameters
    ----------
    volumes : in any order of axes that their affine tells.

    Raises
    ------
    ImageError
        If nibabel is not installed.
    """
    try:
        from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
    except ImportError as error:
        raise ImageError("NIfTI files need nibabel: pip install napari-biofm[nifti].") from error
    turned = io_orientation(volumes.affine)
    if np.array_equal(turned, [[0, 1], [1, 1], [2, 1]]):
        return volumes
    affine = volumes.affine @ inv_ornt_aff(turned, volumes.values.shape[:3])
    return dataclasses.replace(volumes, values=apply_orientation(volumes.values, turned), affine=affine)


def region_series(
    volumes: Volumes, atlas: Volumes, names: Mapping[int, str] | None = None
) -> tuple[NDArray[np.float64], list[str], NDArray[np.int64]]:
    """Return the mean of each region of an atlas in each volume.

    Parameters
    ----------
    volumes : a series.
    atlas : labels, whole numbers, on the same grid in the same space; 0 is outside.
    names : of the regions; their numbers if not given.

    Returns
    -------
    series : (t, n) mean over the voxels of each region.
    labels : n names.
    numbers : (n,) of the regions, ascending.

    Raises
    ------
    ImageError
        If there is no series, or the atlas is no atlas, empty, or lies in another space.
    """
    if volumes.values.ndim != 4:
        raise ImageError(f"{volumes.name} holds one volume; series of regions need a file of (x, y, z, t).")
    volumes, atlas = canonical(volumes), canonical(atlas)
    check_space(volumes, atlas)
    plain = np.asarray(atlas.values)
    if not np.array_equal(plain, np.round(plain)) or plain.min() < 0:
        raise ImageError(f"{atlas.name} is no atlas: its values are not whole numbers from 0 on.")
    inside = plain > 0
    numbers, place = np.unique(plain[inside].astype(np.int64), return_inverse=True)
    if not len(numbers):
        raise ImageError(f"{atlas.name} has no region: all its voxels are 0.")
    size = np.bincount(place)
    series = np.empty((volumes.values.shape[3], len(numbers)))
    for t in range(len(series)):
        series[t] = np.bincount(place, volumes.values[..., t][inside].astype(np.float64)) / size
    return series, [(names or {}).get(int(n), str(n)) for n in numbers], numbers


def check_space(volumes: Volumes, atlas: Volumes) -> None:
    """Raise ImageError where an atlas does not lie on the voxels of the volumes.

    Parameters
    ----------
    volumes, atlas : their grids and affines must be equal to a thousandth of a millimetre at every corner.

    Raises
    ------
    ImageError
        If they differ; says by how much.
    """
    grid = volumes.values.shape[:3]
    if atlas.values.ndim != 3:
        raise ImageError(f"{atlas.name} is a series; an atlas is one volume of labels.")
    corners = np.array([[*(c * (n - 1) for c, n in zip(corner, grid)), 1] for corner in np.ndindex(2, 2, 2)])
    apart = float(np.abs(corners @ (volumes.affine - atlas.affine).T).max())
    if atlas.values.shape != grid or apart > SPACE_TOLERANCE:
        raise ImageError(
            f"{atlas.name} lies in another space than {volumes.name}: grid {atlas.values.shape} against {grid}, corners "
            f"up to {apart:.3g} mm apart. Resample the atlas to the volumes (nearest neighbour) first."
        )


def cleaned_series(
    series: ArrayLike,
    confounds: ArrayLike | None = None,
    repetition_time: float | None = None,
    band: tuple[float | None, float | None] = (None, None),
) -> NDArray[np.float64]:
    """Take a linear trend, confounds and what lies outside a band of frequencies out of series.

    The order is that of Lindquist et al. (Hum Brain Mapp 40:2358, 2019): series and confounds are detrended and filtered
    alike (Butterworth, order 5, both ways), then the confounds are regressed out.

    Parameters
    ----------
    series : (t, n).
    confounds : (t, m) motion parameters, mean of white matter, ...; None for none.
    repetition_time : seconds, needed for a band.
    band : lowest and highest frequency in Hz; None for no limit.

    Raises
    ------
    ImageError
        If numbers are missing, lengths differ, there are too few volumes, or the band cannot be.
    """
    from scipy.signal import butter, detrend, sosfiltfilt

    out = np.asarray(series, np.float64)
    beside = np.zeros((len(out), 0)) if confounds is None else np.asarray(confounds, np.float64)
    if beside.ndim != 2 or len(beside) != len(out):
        raise ImageError(f"There are {len(beside)} rows of confounds for {len(out)} volumes.")
    if not np.isfinite(out).all() or not np.isfinite(beside).all():
        raise ImageError("Series or confounds hold values that are no numbers; fill or leave them out first.")
    if beside.shape[1] + 3 > len(out):
        raise ImageError(f"{beside.shape[1]} confounds are too many for {len(out)} volumes.")
    out = detrend(out, axis=0)
    beside = detrend(beside, axis=0) if beside.shape[1] else beside
    low, high = band
    if low or high:
        if not repetition_time:
            raise ImageError("A band of frequencies needs the time between volumes in seconds.")
        most = 0.5 / repetition_time
        if not 0 < (low or 1e-9) < (high or most * (1 - 1e-9)) < most:
            raise ImageError(
                f"The band {low} to {high} Hz cannot be; it must lie between 0 and {most:.4g} Hz."
            )
        kind = "bandpass" if low and high else "highpass" if low else "lowpass"
        edges = [f for f in band if f]
        sos = butter(5, edges if len(edges) == 2 else edges[0], kind, fs=1 / repetition_time, output="sos")
        if len(out) <= 3 * (2 * len(sos) + 1):
            raise ImageError(f"{len(out)} volumes are too few for this band.")
        out = sosfiltfilt(sos, out, axis=0)
        beside = sosfiltfilt(sos, beside, axis=0) if beside.shape[1] else beside
    beside = beside - beside.mean(0)  # a filter leaves some at the ends
    spread = beside.std(0) if beside.shape[1] else np.zeros(0)
    beside = beside[:, spread > 1e-12] / spread[spread > 1e-12]
    if beside.shape[1]:
        out = out - beside @ np.linalg.lstsq(beside, out, rcond=None)[0]
    return np.asarray(out)


def connectivity(series: ArrayLike, kind: str = "correlation") -> NDArray[np.float64]:
    """Return how the series of regions go together, (n, n), 1 on the diagonal.

    Parameters
    ----------
    series : (t, n).
    kind : `correlation` (Pearson), or `partial`: with all other regions held fixed, which needs more volumes than regions.

    Raises
    ------
    ImageError
        If a series is constant, or there are too few volumes.
    """
    x = np.asarray(series, np.float64)
    if kind not in ("correlation", "partial"):
        raise ImageError(f"{kind!r} is no connectivity; use correlation or partial.")
    if len(x) < 3 or x.ndim != 2:
        raise ImageError("Connectivity needs three volumes at least.")
    flat = np.flatnonzero(x.std(0) <= 1e-12 * np.maximum(np.abs(x).max(0), 1e-300))
    if len(flat):
        raise ImageError(f"{len(flat)} regions do not change over time (the first is number {flat[0] + 1}).")
    found = np.atleast_2d(np.corrcoef(x.T))
    if kind == "partial":
        if len(x) <= x.shape[1] + 1:
            raise ImageError(f"Partial correlation of {x.shape[1]} regions needs more volumes than {len(x)}.")
        precision = np.linalg.inv(found)
        scale = np.sqrt(np.diag(precision))
        found = -precision / np.outer(scale, scale)
        np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def subject_vector(matrix: ArrayLike, labels: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the upper triangle of a connectivity matrix as one vector, and the names of the pairs.

    Parameters
    ----------
    matrix : (n, n). labels : names of the regions.
    """
    i, j = np.triu_indices(len(labels), 1)
    pairs = [f"{labels[a]} - {labels[b]}" for a, b in zip(i.tolist(), j.tolist(), strict=True)]
    return np.asarray(matrix, np.float64)[i, j], pairs
