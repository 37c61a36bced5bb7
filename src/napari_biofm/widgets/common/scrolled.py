"""A panel that fills its tab and scrolls only where the tab is lower than the least it needs."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget


class Scrolled(QScrollArea):
    """Holds one panel.

    Qt's own resizable scroll area makes a panel with wrapped text as high as it would like to be, so that
    plots reach below the edge; here it gets the room there is, and no less than its minimum.

    Parameters
    ----------
    panel : that is held.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(panel)
        panel.installEventFilter(self)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the panel the room there is."""
        super().resizeEvent(event)
        self._fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow a panel that needs more or less room."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        panel, viewport = self.widget(), self.viewport()
        if panel is not None and viewport is not None:
            least = panel.minimumSizeHint().height()
            panel.resize(viewport.width(), max(viewport.height(), least))
