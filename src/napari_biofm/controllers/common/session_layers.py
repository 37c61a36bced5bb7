"""The layers of a viewer as sessions and journals know them, and back into the viewer."""

from __future__ import annotations

import json
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.controllers.common.layers import (
    PLACING,
    full_data,
    is_helper,
    is_helpers,
    layer_by_id,
    layer_id,
)
from napari_biofm.images.edit.labels_edit import Region
from napari_biofm.images.io.lazy import open_saved_image
from napari_biofm.images.io.masks import as_labels
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.types import BiofmError, SessionError


class ViewerLayers:
    """The layers of one viewer; what sessions and journals need to know of napari.

    Parameters
    ----------
    viewer : napari viewer; held weakly.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(getattr(viewer, "__wrapped__", viewer))

    @property
    def viewer(self) -> Any:
        """The viewer; SessionError where it was closed."""
        viewer = self._viewer()
        if viewer is None:
            raise SessionError("The viewer of this session was closed.")
        return viewer

    def described(self) -> list[SavedLayer]:
        """Return images and labels without their pixels; overlays are made anew and not described."""
        viewer = self._viewer()
        return [] if viewer is None else [_described(layer) for layer in viewer.layers if is_kept(layer)]

    def saved(self) -> list[SavedLayer]:
        """Return images and labels, labels with a copy of their pixels."""
        return [_with_pixels(layer) for layer in self.viewer.layers if is_kept(layer)]

    def masks(self, uid: str) -> LayerMasks | None:
        """Return the pixels of a labels layer, None where it is gone."""
        viewer = self._viewer()
        layer = None if viewer is None else layer_by_id(viewer, uid)
        return None if layer is None or type(layer).__name__ != "Labels" else LayerMasks(layer)

    def put(self, saved: Saved, suffix: str = "") -> tuple[dict[str, str], list[str]]:
        """Bring the layers of a saved session into the viewer; see `put_layers`."""
        return put_layers(self.viewer, saved, suffix)


class LayerMasks:
    """The full resolution of a labels layer, read a part at a time.

    Parameters
    ----------
    layer : held weakly.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = weakref.ref(layer)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self._data().shape)

    def read(self, region: Region) -> NDArray[Any]:
        return np.array(self._data()[region])

    def _data(self) -> Any:
        layer = self._layer()
        if layer is None:
            raise SessionError("The labels layer was removed from the viewer.")
        return full_data(layer)


def is_kept(layer: Any) -> bool:
    """Return whether a layer belongs to the session; overlays are made anew."""
    return type(layer).__name__ in ("Image", "Labels") and not is_helper(layer)


@dataclass
class _Kept:
    """Labels as they were copied last."""

    data: np.ndarray
    version: int
    changed: bool = False  # since then


_KEPT: weakref.WeakKeyDictionary[Any, _Kept] = weakref.WeakKeyDictionary()


def _labels_of(layer: Any, data: Any) -> _Kept:
    """Return a copy of the labels that nobody paints on; the same one as long as the layer was left alone."""
    kept = _KEPT.get(layer)
    if kept is not None and not kept.changed:
        return kept
    now = np.array(as_labels(data))  # a copy: it is written on another thread
    version = zlib.crc32(now.data)
    if kept is None:
        kept = _KEPT[layer] = _Kept(now, version)
        mark = _marker(kept)
        for event in (layer.events.data, layer.events.labels_update, layer.events.set_data):
            event.connect(mark)
    kept.data, kept.version, kept.changed = now, version, False
    return kept


def _marker(kept: _Kept) -> Callable[..., None]:
    def mark(_event: Any = None) -> None:
        kept.changed = True

    return mark


def _with_pixels(layer: Any) -> SavedLayer:
    if type(layer).__name__ != "Labels":
        return _described(layer)
    kept = _labels_of(layer, layer.data[0] if layer.multiscale else layer.data)
    return replace(_described(layer), data=kept.data, version=kept.version)


def _described(layer: Any) -> SavedLayer:
    data = layer.data[0] if layer.multiscale else layer.data
    return SavedLayer(
        uid=layer_id(layer),
        kind=type(layer).__name__.lower(),
        name=str(layer.name),
        path=str(layer.metadata.get("path") or layer.source.path or ""),
        placing={
            "scale": [float(s) for s in layer.scale],
            "translate": [float(s) for s in layer.translate],
            "rotate": np.asarray(layer.rotate).tolist(),
            "shear": np.asarray(layer.shear).tolist(),
            "affine": np.asarray(layer.affine.affine_matrix).tolist(),
            "units": [str(unit) for unit in layer.units],
        },
        metadata=_json_able(layer.metadata),
        shape=tuple(int(n) for n in data.shape),
    )


def put_layers(viewer: Any, saved: Saved, suffix: str = "") -> tuple[dict[str, str], list[str]]:
    """Bring the layers of a saved session into the viewer.

    Labels are added; an image is taken from the viewer where one of its name and shape is open, else
    opened from its file. `suffix` is put behind the names of labels.

    Returns
    -------
    The layers' ids now by their ids when saved, and what the user should know.
    """
    before = list(viewer.layers)
    try:
        return _put_layers(viewer, saved, suffix)
    except BaseException:  # memory that ran out, as a rule: all layers come, or none
        for layer in [one for one in viewer.layers if one not in before]:
            viewer.layers.remove(layer)
        raise


def _put_layers(viewer: Any, saved: Saved, suffix: str) -> tuple[dict[str, str], list[str]]:
    now: dict[str, str] = {}
    said: list[str] = []
    for record in saved.layers:
        if is_helpers(record.metadata):
            continue  # version 0.1 saved previews and the overlay of classes as well
        why = ""
        if record.data is not None:
            layer = viewer.add_labels(
                record.data, name=record.name + suffix, metadata=dict(record.metadata), **_options(record)
            )
        else:
            layer, why = _open_image(viewer, record)
        if layer is None:
            said.append(
                f"The image '{record.name}' ({record.path or 'it came from no file'}) cannot be "
                f"{'opened: ' + why if why else 'found;'} Open it by hand and open the session again."
            )
        else:
            now[record.uid] = layer_id(layer)
    return now, said


def _open_image(viewer: Any, record: SavedLayer) -> tuple[Any | None, str]:
    """Return the image layer, or None and why there is none ("" where its file is not there)."""
    for layer in viewer.layers:
        if layer.name == record.name and type(layer).__name__ == "Image":
            data = layer.data[0] if layer.multiscale else layer.data
            if tuple(data.shape) == record.shape:
                return layer, ""
    path = Path(record.path)
    if not record.path or not path.exists():
        return None, ""
    try:
        data = open_saved_image(path)
    except BiofmError as error:
        return None, str(error)
    if tuple(int(n) for n in data.shape) != record.shape:
        return (
            None,
            f"{path.name} has shape {tuple(data.shape)} now, not {record.shape} as when it was saved.",
        )
    options = _options(record)
    if len(options.get("scale", ())) == data.ndim - 1:
        options["rgb"] = True  # the last axis held colours
    return viewer.add_image(
        data, name=record.name, metadata={**record.metadata, "path": record.path}, **options
    ), ""


def _options(record: SavedLayer) -> dict[str, Any]:
    options = {name: record.placing[name] for name in PLACING if name in record.placing}
    for name in {"rotate", "shear", "affine"} & set(options):
        options[name] = np.asarray(options[name], float)
        if not np.isfinite(options[name]).all():
            raise SessionError(
                f"The place of '{record.name}' is damaged: {name} holds values that are no numbers."
            )
    return options


def _json_able(metadata: Any) -> dict[str, Any]:
    """Return the entries that JSON can hold."""
    kept = {}
    for key, value in dict(metadata).items():
        try:
            kept[str(key)] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return kept
