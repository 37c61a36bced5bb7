"""A recording that was read goes into the session; the cells it comes with become a labels layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.session import Session
from napari_biofm.signals import Recording


def put_recording(viewer: Any, session: Session, recording: Recording, name: str | None = None) -> str:
    """Add a recording, and its masks as the labels in play; return the recording's id.

    A labels layer that shows the same masks already (another part of the same file) is used again.
    """
    if recording.rois is not None and recording.rois.any():
        layer = _layer_of(viewer, str(recording.path), recording.rois)
        if layer is None:
            layer = viewer.add_labels(
                recording.rois, name=f"{recording.name} cells", metadata={"recording": str(recording.path)}
            )
        session.set_layers(labels=layer_id(layer))
    return session.add_recording(recording, name)


def _layer_of(viewer: Any, path: str, rois: NDArray[np.int32]) -> Any | None:
    for layer in viewer.layers:
        if layer.metadata.get("recording") == path and np.array_equal(layer.data, rois):
            return layer
    return None
