"""A Labels layer as the target of edits."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.canvas.large_labels import LargeLabels
from napari_biofm.canvas.pixels import set_pixels
from napari_biofm.controllers.common.layers import check_writable, full_data, layer_id
from napari_biofm.images.edit.labels_edit import Region
from napari_biofm.images.edit.pyramid import write_block, write_levels
from napari_biofm.types import SessionError

SMALL = 1 << 16  # changed pixels up to which napari redraws only the part that changed
SMALL_IN_LARGE = 1 << 22  # the same for planes that take long to be drawn whole
LARGE = 8192  # pixels of the longer side from which that is so


class LayerTarget:
    """Edits of one Labels layer; only the changed region is written and drawn. Making one reads no pixel.

    Parameters
    ----------
    layer : Labels layer of any dimension on an array, or a pyramid of arrays, that can be written (numpy,
        zarr). Of a pyramid the full resolution is edited, and the part of the coarser levels that lies over it
        is made anew.

    Raises
    ------
    SessionError : if its data cannot be written.
    """

    writing_begins = Signal(tuple, tuple)  # start, stop of what is about to be written
    written = Signal(tuple, tuple)  # start, stop of what was written

    def __init__(self, layer: Any) -> None:
        check_writable(layer)
        self._layer = weakref.ref(layer)
        self.uid = layer_id(layer)
        self.is_writing = False
        self._large = LargeLabels(layer) if self._is_large else None

    @property
    def layer(self) -> Any:
        """The layer; SessionError where it was removed."""
        layer = self._layer()
        if layer is None:
            raise SessionError("The labels layer of this edit was removed from the viewer.")
        return layer

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in full_data(self.layer).shape)

    def read(self, region: Region) -> NDArray[Any]:
        return np.array(full_data(self.layer)[region])

    def put(
        self, start: tuple[int, ...], shape: tuple[int, ...], index: NDArray[np.intp], values: Any
    ) -> None:
        stop = tuple(a + n for a, n in zip(start, shape, strict=True))
        self.writing_begins.emit(start, stop)
        self.is_writing = True
        try:
            self._write(start, shape, index, values)
        except (TypeError, ValueError, OSError, NotImplementedError) as error:
            raise SessionError(f"the labels of '{self.layer.name}' cannot be written ({error}).") from error
        finally:
            self.is_writing = False
        self.written.emit(start, stop)

    def _write(
        self, start: tuple[int, ...], shape: tuple[int, ...], index: NDArray[np.intp], values: Any
    ) -> None:
        layer = self.layer
        if layer.multiscale:
            write_levels(layer.data, start, shape, index, values)
        elif len(index) <= (SMALL_IN_LARGE if self._is_large else SMALL):
            where = np.unravel_index(index, shape)
            at = tuple(w + s for w, s in zip(where, start, strict=True))
            set_pixels(layer, at, np.asarray(values).astype(layer.data.dtype))
            return
        else:
            write_block(layer.data, start, shape, index, values)
        layer.refresh(extent=False, thumbnail=False, highlight=False)

    @property
    def _is_large(self) -> bool:
        return max(self.shape[-2:], default=0) > LARGE

    def stop(self, *, removed: bool = False) -> None:
        """Leave drawing to napari again; where the layer was removed there is nothing left to draw."""
        layer = self._layer()
        if layer is not None and self._large is not None:
            self._large.stop(layer, removed=removed)
