"""The button that describes the cells in more ways: each cell on its own, or by another encoder."""

from __future__ import annotations

from typing import Protocol

from qtpy.QtWidgets import QMenu, QPushButton

from napari_biofm.images.segment.catalogue import DEFAULT_MODEL
from napari_biofm.widgets.common.qt_parts import there


class VectorsSource(Protocol):
    """Computes vectors of the cells in view."""

    def encoders(self) -> list[str]: ...

    def add_vectors(self, model: str, alone: bool = False) -> None: ...


class VectorsButton(QPushButton):
    """Offers the vectors that can be computed here, without a download."""

    def __init__(self, source: VectorsSource) -> None:
        super().__init__("Add ...")
        self._source = source
        self.setToolTip("Describe the cells in more ways: each cell on its own, or by another encoder.")
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)

    def _fill(self) -> None:
        self._menu.clear()
        alone = there(self._menu.addAction(f"{DEFAULT_MODEL}, each cell on its own (slower, tells more)"))
        alone.triggered.connect(lambda: self._source.add_vectors(DEFAULT_MODEL, alone=True))
        for name in self._source.encoders():
            action = there(self._menu.addAction(f"{name}, from the whole image"))
            action.triggered.connect(lambda _=False, name=name: self._source.add_vectors(name))
