"""NIfTI files as a viewer shows them: axes in the order time, z, y, x, in seconds and millimetres; atlases with names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.names import stem_of
from napari_biofm.images.io.nifti import Volumes, canonical, read_names, read_nifti
from napari_biofm.types import ImageError

NAME_ENDINGS = (".txt", ".tsv", ".csv")  # of names of regions, beside their atlas
LABEL_WORDS = ("atlas", "label", "dseg", "parc", "mask", "roi", "aseg", "segmentation")
LEAST_ALIKE = (
    0.9  # share of voxels with a neighbour of their value, from which whole numbers are taken for labels
)
MOST_REGIONS = 2000
OBLIQUE = 1e-4  # share of a voxel's edge that points along another axis


@dataclass(frozen=True, eq=False)
class ShownVolumes:
    """A NIfTI file as a viewer shows it.

    Attributes
    ----------
    values : (t, z, y, x) or (z, y, x); labels are int32.
    affine : (n + 1, n + 1), from steps along the axes of `values` to seconds and millimetres (RAS+: x to the right, y
        to the front, z up).
    repetition_time : seconds, None where there is one volume or the file does not say.
    is_labels : whether it is an atlas.
    names : of its regions by number; empty where no file beside it has them.
    notes : what the file is and what it lacks.
    """

    values: NDArray[np.floating] | NDArray[np.integer]
    affine: NDArray[np.float64]
    repetition_time: float | None
    is_labels: bool
    names: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_oblique(self) -> bool:
        """Whether the axes of the voxels point along no axis of the space."""
        edges = self.affine[:-1, :-1]
        slanted = np.abs(edges - np.diag(np.diag(edges))).max(axis=0)
        return bool((slanted > OBLIQUE * np.linalg.norm(edges, axis=0)).any())


def read_volumes_to_show(path: Path) -> ShownVolumes:
    """Read a NIfTI file for a viewer; notes say what it is.

    Parameters
    ----------
    path : `.nii` or `.nii.gz`. Uncompressed files that need no scaling stay on disk until they are looked at.

    Raises
    ------
    ImageError
        If nibabel is not installed or the file cannot be read.
    """
    found = canonical(read_nifti(path))
    is_labels = looks_like_labels(found)
    names: Mapping[int, str] = {}
    notes = list(found.notes)
    if is_labels:
        names = names_beside(path)
        n = len(np.unique(found.values)) - 1
        named = f", {len(names)} of them named" if names else ""
        notes = [f"{path.name} is an atlas of {n} regions{named}: an image of labels, no series over time"]
        found = dataclasses.replace(found, values=np.asarray(found.values).astype(np.int32))
    elif found.values.ndim == 4:
        every = f", one every {found.repetition_time:g} s" if found.repetition_time else ""
        notes.insert(0, f"{path.name} is a series of {found.values.shape[3]} volumes{every}")
    values, affine = to_shown(found)
    shown = ShownVolumes(values, affine, found.repetition_time, is_labels, names, tuple(notes))
    if shown.is_oblique:
        words = f"{path.name} was recorded at an angle: slices are drawn along its voxels"
        shown = dataclasses.replace(shown, notes=(*shown.notes, words))
    return shown


def to_shown(volumes: Volumes) -> tuple[NDArray[np.floating] | NDArray[np.integer], NDArray[np.float64]]:
    """Return values (t, z, y, x) or (z, y, x), and their affine, of volumes (x, y, z, t) or (x, y, z).

    Parameters
    ----------
    volumes : series or one volume; a step in time that is not known is 1.
    """
    n = volumes.values.ndim
    turned = np.eye(4)[[2, 1, 0, 3]]
    space = turned @ volumes.affine @ turned
    affine = np.eye(n + 1)
    affine[n - 3 :, n - 3 :] = space
    if n == 4:
        affine[0, 0] = volumes.repetition_time or 1.0
    return volumes.values.transpose(*range(n)[::-1]), affine


def from_shown(
    values: NDArray[np.floating] | NDArray[np.integer],
    affine: NDArray[np.float64],
    name: str,
    repetition_time: float | None = None,
) -> Volumes:
    """Return the volumes (x, y, z, t) or (x, y, z) that a viewer shows.

    Parameters
    ----------
    values : (t, z, y, x) or (z, y, x).
    affine : (n + 1, n + 1) from steps along the axes of `values` to the world.
    name : for messages.
    repetition_time : seconds.

    Raises
    ------
    ImageError
        If there are other than three or four axes.
    """
    n = values.ndim
    if n not in (3, 4):
        raise ImageError(f"{name} has {n} axes; volumes have (z, y, x) or (t, z, y, x).")
    turned = np.eye(4)[[2, 1, 0, 3]]
    space = turned @ affine[n - 3 :, n - 3 :] @ turned
    return Volumes(values.transpose(*range(n)[::-1]), space, repetition_time, name)


def looks_like_labels(volumes: Volumes) -> bool:
    """Return whether one volume holds labels: whole numbers from 0, named so or alike over whole regions.

    Parameters
    ----------
    volumes : with the name of their file; series are never labels.
    """
    values = np.asarray(volumes.values)
    if values.ndim != 3 or not values.any():
        return False
    if (
        values.min() < 0
        or values.max() > np.iinfo(np.int32).max
        or not np.array_equal(values, np.round(values))
    ):
        return False
    if any(word in volumes.name.lower() for word in LABEL_WORDS):
        return True
    same = values[1:] == values[:-1]
    alike = np.concatenate([same, same[:1] & False]) | np.concatenate([same[:1] & False, same])
    inside = values > 0
    return len(np.unique(values)) <= MOST_REGIONS and float(alike[inside].mean()) >= LEAST_ALIKE


def names_beside(path: Path) -> dict[int, str]:
    """Return the names of regions from a text file that is called like its atlas; empty where there is none.

    Parameters
    ----------
    path : of the atlas; `atlas.txt`, `.tsv` or `.csv` beside `atlas.nii.gz` is read.
    """
    for ending in NAME_ENDINGS:
        beside = path.with_name(stem_of(path) + ending)
        if beside.is_file():
            try:
                return read_names(beside)
            except ImageError:
                return {}  # some other table of the same name
    return {}
