"""Pixels of a labels layer, written so that napari draws what changed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from numpy.typing import NDArray


def set_pixels(layer: Any, at: tuple[NDArray[Any], ...], values: NDArray[Any]) -> None:
    """Write single pixels of a labels layer, shown or hidden.

    Of a hidden layer napari keeps no picture of the plane, and raises when pixels of it are set, after they were written.

    Parameters
    ----------
    layer : Labels, of one scale. at : index arrays (n,), one per axis. values : (n,) in the dtype of the layer.
    """
    if layer.visible:
        with suppress(IndexError):
            layer.data_setitem(at, values)
            return
    layer.data[at] = values
    layer.refresh(extent=False, thumbnail=False, highlight=False)
