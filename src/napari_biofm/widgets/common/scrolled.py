"""A panel that fills its tab and scrolls only where the tab is lower than the least it needs."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

LOWEST = 80  # pixels


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
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        """As wide as the panel needs: it scrolls up and down only."""
        panel, bar = self.widget(), self.verticalScrollBar()
        wide = 0 if panel is None else max(panel.minimumSizeHint().width(), panel.minimumWidth())
        return QSize(wide + (0 if bar is None else bar.sizeHint().width()), LOWEST)

    def _fit(self) -> None:
        panel, viewport = self.widget(), self.viewport()
        if panel is None or viewport is None:
            return
        least, layout = panel.minimumSizeHint().height(), panel.layout()
        if layout is not None and layout.hasHeightForWidth():  # wrapped text is higher where it is narrow
            least = layout.minimumHeightForWidth(viewport.width())
        panel.resize(viewport.width(), max(viewport.height(), least))
