"""Tabs that need no more height than the panel that needs most."""

from __future__ import annotations

from qtpy.QtWidgets import QTabWidget

FRAME = 6  # pixels around the panels, in napari's style


class LowTabs(QTabWidget):
    """Tabs whose least height is the least of their panels, at the width they have.

    Qt's own ask for the height that the panels would like where one of them holds wrapped text, so that a dock
    scrolls although all of it would fit.
    """

    def heightForWidth(self, a0: int) -> int:
        """Return the least height at this width, pixels."""
        bar = self.tabBar()
        above = FRAME + (0 if bar is None else bar.sizeHint().height())
        return above + max((self._least(k, a0 - FRAME) for k in range(self.count())), default=0)

    def _least(self, k: int, width: int) -> int:
        panel = self.widget(k)
        layout = None if panel is None else panel.layout()
        if panel is None or layout is None or not layout.hasHeightForWidth():
            return 0 if panel is None else panel.minimumSizeHint().height()
        return max(layout.minimumHeightForWidth(width), panel.minimumHeight())
