"""A Labels layer as the target of edits, and napari's own brush strokes as edits."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.labels_edit import LabelsEdit, Patch, Region, box_region
from napari_biofm.types import SessionError
from napari_biofm.widgets.annotate.large_labels import LargeLabels
from napari_biofm.widgets.common.viewers import layer_id

SMALL = 1 << 16  # changed pixels up to which napari redraws only the part that changed
SMALL_IN_LARGE = 1 << 22  # the same for planes that take long to be drawn whole
LARGE = 8192  # pixels of the longer side from which that is so
_UNION = 1 << 22  # pixels of a stroke's box up to which it is stored as one patch


class LayerTarget:
    """Edits of one Labels layer; only the changed region is written and drawn.

    Parameters
    ----------
    layer : Labels layer of any dimension on an array, or a pyramid of arrays, that can be written (numpy,
        zarr). Of a pyramid the full resolution is edited, and the part of the coarser levels that lies over it
        is made anew.

    Raises
    ------
    SessionError : if its data cannot be written.
    """

    def __init__(self, layer: Any) -> None:
        for level in layer.data if layer.multiscale else (layer.data,):
            if not hasattr(level, "__setitem__") or type(level).__module__.startswith("dask"):
                raise SessionError(
                    f"Layer '{layer.name}' holds {type(level).__name__} data, which cannot be written in place; "
                    "open its Zarr arrays (zarr.open) or load it into memory to edit it."
                )
        self._layer = weakref.ref(layer)
        self.uid = layer_id(layer)
        self.writing = False
        self._large = LargeLabels(layer)

    @property
    def layer(self) -> Any:
        """The layer; SessionError where it was removed."""
        found = self._layer()
        if found is None:
            raise SessionError("The labels layer of this edit was removed from the viewer.")
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in full_data(self.layer).shape)

    def read(self, region: Region) -> NDArray[Any]:
        return np.array(full_data(self.layer)[region])

    def put(
        self, start: tuple[int, ...], shape: tuple[int, ...], index: NDArray[np.intp], values: Any
    ) -> None:
        layer = self.layer
        self.writing = True
        try:
            if layer.multiscale:
                _write_block(layer.data[0], start, shape, index, values)
                for level in layer.data[1:]:
                    _thin_out(layer.data[0], level, start, shape)
                layer.refresh(extent=False, thumbnail=False, highlight=False)
            elif len(index) <= (SMALL_IN_LARGE if max(self.shape[-2:]) > LARGE else SMALL):
                where = np.unravel_index(index, shape)
                at = tuple(w + s for w, s in zip(where, start, strict=True))
                layer.data_setitem(at, np.asarray(values).astype(layer.data.dtype))
            else:
                _write_block(layer.data, start, shape, index, values)
                layer.refresh(extent=False, thumbnail=False, highlight=False)
        finally:
            self.writing = False

    def stop(self) -> None:
        """Leave drawing to napari again."""
        layer = self._layer()
        if layer is not None:
            self._large.stop(layer)


def full_data(layer: Any) -> Any:
    """Return the array of a layer, of a pyramid that of the full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def _write_block(
    data: Any, start: tuple[int, ...], shape: tuple[int, ...], index: NDArray[np.intp], values: Any
) -> None:
    region = box_region(start, shape)
    block = np.ascontiguousarray(data[region])
    block.reshape(-1)[index] = values
    data[region] = block


def _thin_out(full: Any, level: Any, start: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Take the pixels of a coarser level that lie over a box of the full resolution from there."""
    steps = [max(1, round(n / m)) for n, m in zip(full.shape, level.shape, strict=True)]
    goal, source = [], []
    for begin, extent, step, n, m in zip(start, shape, steps, full.shape, level.shape, strict=True):
        first, last = begin // step, min(m, -(-(begin + extent) // step))
        goal.append(slice(first, last))
        source.append(slice(first * step, min(n, (last - 1) * step + 1), step))
    level[tuple(goal)] = np.asarray(full[tuple(source)])


class StrokeCapture:
    """Turns what napari's brush, fill bucket, eraser and polygon do into edits of the same history.

    Parameters
    ----------
    target : the layer.
    on_stroke : called with the edit, which has been applied already.
    """

    def __init__(self, target: LayerTarget, on_stroke: Callable[[LabelsEdit], None]) -> None:
        self._target = target
        self._on_stroke = on_stroke
        target.layer.events.paint.connect(self._painted)

    def stop(self) -> None:
        """Listen no longer."""
        layer = self._target._layer()
        if layer is not None:
            layer.events.paint.disconnect(self._painted)
        self._target.stop()

    def _painted(self, event: Any) -> None:
        if self._target.writing:
            return
        edit = LabelsEdit(self._target.uid, "brush", tuple(stroke_patches(self._target, event.value)))
        if edit:
            self._on_stroke(edit)


def stroke_patches(target: LayerTarget, atoms: Any) -> list[Patch]:
    """Return what a finished stroke changed.

    Parameters
    ----------
    atoms : the value of napari's `paint` event, in the order painted: either (indices, old values, new
        values) or a record with `slice_key`, `mask`, `old_values` and `new_value`.
    """
    boxes = [_atom_box(atom) for atom in atoms]
    if not boxes:
        return []
    start = tuple(min(b[0][a] for b in boxes) for a in range(len(target.shape)))
    stop = tuple(max(b[1][a] for b in boxes) for a in range(len(target.shape)))
    if np.prod([b - a for a, b in zip(start, stop, strict=True)], dtype=np.int64) <= _UNION:
        return _patch_of(target, atoms, start, stop)
    patches: list[Patch] = []
    for k, (low, high) in enumerate(boxes):  # a long stroke: atom by atom
        before = _rewound(target, atoms[k:], low, high)
        patch = Patch.between(low, before, _painted_over(before, atoms[k : k + 1], low))
        patches += [patch] if patch is not None else []
    return patches


def _patch_of(target: LayerTarget, atoms: Any, start: tuple[int, ...], stop: tuple[int, ...]) -> list[Patch]:
    before = _rewound(target, atoms, start, stop)
    patch = Patch.between(start, before, _painted_over(before, atoms, start))
    return [] if patch is None else [patch]


def _rewound(target: LayerTarget, atoms: Any, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
    """Return a box of the labels as it was before `atoms` were painted.

    napari tells of a single atom before it writes it and of a stroke after it; this holds for both.
    """
    block = target.read(tuple(slice(a, b) for a, b in zip(start, stop, strict=True)))
    for atom in reversed(list(atoms)):
        _write(block, start, atom, old=True)
    return block


def _painted_over(before: NDArray[Any], atoms: Any, start: tuple[int, ...]) -> NDArray[Any]:
    """Return a box with the new values of `atoms` written over it, in their order."""
    block = before.copy()
    for atom in atoms:
        _write(block, start, atom, old=False)
    return block


def _write(block: NDArray[Any], start: tuple[int, ...], atom: Any, old: bool) -> None:
    at, former, new = _atom_pixels(atom)
    at = [np.asarray(a) - s for a, s in zip(at, start, strict=True)]
    inside = np.all([(a >= 0) & (a < n) for a, n in zip(at, block.shape, strict=True)], axis=0)
    values = np.broadcast_to(former if old else new, inside.shape)
    block[tuple(a[inside] for a in at)] = values[inside]


def _atom_pixels(atom: Any) -> tuple[list[NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Return indices along every axis, old values and new values of one atom."""
    if not hasattr(atom, "slice_key"):
        return [np.asarray(i) for i in atom[0]], np.asarray(atom[1]), np.asarray(atom[2])
    mask = atom.mask if atom.mask is not None else np.ones(np.shape(atom.old_values), bool)
    where = [w + s.start for w, s in zip(np.nonzero(mask), atom.slice_key, strict=True)]
    return where, np.asarray(atom.old_values).reshape(-1), np.asarray(atom.new_value)


def _atom_box(atom: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if hasattr(atom, "slice_key"):
        return tuple(s.start for s in atom.slice_key), tuple(s.stop for s in atom.slice_key)
    return tuple(int(np.min(i)) for i in atom[0]), tuple(int(np.max(i)) + 1 for i in atom[0])
