"""Layers that hold volumes: how a NIfTI file becomes one, and what is measured in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import shown_step
from napari_biofm.controllers.common.layers import full_data, layer_shape, matrix_of
from napari_biofm.images.io.names import stem_of
from napari_biofm.images.io.nifti import ENDINGS, Volumes
from napari_biofm.images.io.volume_layers import ShownVolumes, from_shown, read_volumes_to_show

VOLUMES = "volumes"  # part of a movie layer that is all of its volumes
SERIES = "volume_series"  # key in the metadata of a layer that is one
REGION_NAMES = "region_names"  # the same, of the names of an atlas' regions by number


def volume_layer(shown: ShownVolumes, path: Path) -> tuple[Any, dict[str, Any], str]:
    """Return the layer of a NIfTI file as napari's readers return it: data, options, kind.

    Parameters
    ----------
    shown : the file as a viewer shows it.
    path : of the file.
    """
    n = shown.values.ndim
    metadata: dict[str, Any] = {"path": str(path)}
    options: dict[str, Any] = {
        "name": stem_of(path),
        "units": ("s", "mm", "mm", "mm")[-n:],
        "metadata": metadata,
    }
    if shown.is_oblique:
        options["affine"] = shown.affine
    else:
        options["scale"], options["translate"] = np.diag(shown.affine)[:n], shown.affine[:n, n]
    if n == 4:
        metadata[SERIES] = True
        if shown.repetition_time:
            metadata["frame_rate_hz"] = 1 / shown.repetition_time
    if shown.is_labels:
        metadata[REGION_NAMES] = dict(shown.names)
        if shown.names:
            options["features"] = {"index": list(shown.names), "region": list(shown.names.values())}
        return shown.values, options, "labels"
    middle = np.asarray(shown.values[len(shown.values) // 2] if n == 4 else shown.values)
    low, high = np.nanpercentile(middle, (1, 99.8)) if middle.size else (0, 1)
    options |= {"contrast_limits": (float(low), float(max(high, low + 1e-6))), "colormap": "gray"}
    return shown.values, options, "image"


def face_front(viewer: Any) -> None:
    """Draw the front and the top of a head upwards, in a viewer that shows nothing yet.

    Parameters
    ----------
    viewer : napari viewer.
    """
    if not len(viewer.layers):
        viewer.scene.camera.orientation = ("towards", "up", "right")


def open_volumes(viewer: Any, path: Path) -> tuple[str, ...]:
    """Add a NIfTI file to a viewer; return sentences on what it is.

    Parameters
    ----------
    viewer : napari viewer.
    path : `.nii` or `.nii.gz`.

    Raises
    ------
    ImageError
        If nibabel is not installed or the file is damaged.
    """
    found = read_volumes_to_show(path)
    data, options, kind = volume_layer(found, path)
    face_front(viewer)
    (viewer.add_labels if kind == "labels" else viewer.add_image)(data, **options)
    return found.notes


def is_volumes(path: Path) -> bool:
    """Return whether a file is called like NIfTI."""
    return path.name.lower().endswith(ENDINGS)


def is_series(layer: Any) -> bool:
    """Return whether a layer is a series of volumes (t, z, y, x)."""
    return bool(layer.metadata.get(SERIES)) and int(layer.ndim) == 4


def volumes_of(layer: Any) -> Volumes:
    """Return a series of volumes as it lies in the viewer.

    Parameters
    ----------
    layer : image (t, z, y, x).
    """
    rate = layer.metadata.get("frame_rate_hz")
    return from_shown(full_data(layer), matrix_of(layer), layer.name, 1 / rate if rate else None)


def atlas_of(layer: Any, viewer: Any) -> tuple[Volumes, Mapping[int, str]] | None:
    """Return labels as one volume, and the names of their regions; None where they are no volume.

    Parameters
    ----------
    layer : labels (z, y, x), or (t, z, y, x), of which the shown volume is taken.
    viewer : that shows it.
    """
    data, matrix = full_data(layer), matrix_of(layer)
    if len(layer_shape(layer)) == 4:
        data, matrix = data[shown_step(viewer, layer)[0]], matrix[1:, 1:]
    if data.ndim != 3:
        return None
    return from_shown(np.asarray(data), matrix, layer.name), _names(layer)


def _names(layer: Any) -> dict[int, str]:
    """Return the names of regions by number; a saved session holds the numbers as text."""
    return {int(number): str(name) for number, name in dict(layer.metadata.get(REGION_NAMES) or {}).items()}
