"""Layers of a viewer by the id that sessions know them by."""

from __future__ import annotations

from typing import Any


def layer_id(layer: Any) -> str:
    """Return the unique id of a layer as text; it survives renaming."""
    return str(layer.unique_id)


def layer_by_id(viewer: Any, uid: str | None) -> Any | None:
    """Return the layer with this unique id, or None if it is gone."""
    return next((layer for layer in viewer.layers if layer_id(layer) == uid), None) if uid else None
