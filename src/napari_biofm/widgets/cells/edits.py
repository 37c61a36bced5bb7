"""Which cells an edit of the masks touched: listens to a Labels layer and waits for a pause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

PAUSE = 500  # ms


class MaskEdits(QObject):
    """Collects touched label values and hands them over when the brush rests.

    Parameters
    ----------
    edited : called with the set of label values.
    """

    def __init__(self, edited: Callable[[set[int]], None]) -> None:
        super().__init__()
        self._edited = edited
        self._touched: set[int] = set()
        self._layer: Any = None
        self._timer = QTimer(self, singleShot=True, interval=PAUSE)
        self._timer.timeout.connect(self.flush)

    def follow(self, layer: Any) -> None:
        """Listen to another layer."""
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._painted)
        self._layer, self._touched = layer, set()
        if layer is not None:
            layer.events.paint.connect(self._painted)

    def close(self) -> None:
        """Stop listening; the Qt side may be gone already."""
        layer, self._layer, self._touched = self._layer, None, set()
        if layer is not None:
            layer.events.paint.disconnect(self._painted)

    def flush(self) -> None:
        """Hand over what was touched."""
        touched, self._touched = self._touched - {0}, set()
        if touched:
            self._edited(touched)

    def _painted(self, event: Any) -> None:
        for atom in event.value:
            for values in _before_and_after(atom):
                self._touched.update(np.unique(values).tolist())
        self._timer.start()


def _before_and_after(atom: Any) -> tuple[Any, Any]:
    """Label values of napari's record of a stroke: (indices, old, new) or, since 0.9, a masked box."""
    if hasattr(atom, "old_values"):
        return atom.old_values, atom.new_value
    return atom[1], atom[2]
