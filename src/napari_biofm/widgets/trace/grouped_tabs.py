"""Tabs in two levels: groups, and within a group of several panels a tab for each."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QTabWidget, QWidget

from napari_biofm.widgets.common.qt_parts import there
from napari_biofm.widgets.common.scrolled import Scrolled

NamedPanel = tuple[str, QWidget, str]  # name, panel, tip


class GroupedTabs(QTabWidget):
    """Groups of panels, each of which scrolls."""

    def add_group(self, name: str, panels: Sequence[NamedPanel]) -> None:
        """Add a tab with one panel, or with several as tabs within it."""
        tip = ", ".join(one for one, _, _ in panels) if len(panels) > 1 else panels[0][2]
        self.setTabToolTip(self.addTab(_grouped(panels), name), tip)

    def show_panel(self, panel: QWidget) -> None:
        """Bring the tab that holds a panel to the front, in its group, too."""
        for tabs in (self, *self.findChildren(QTabWidget)):
            for i in range(tabs.count()):
                if there(tabs.widget(i)).isAncestorOf(panel):
                    tabs.setCurrentIndex(i)


def _grouped(panels: Sequence[NamedPanel]) -> QWidget:
    if len(panels) == 1:
        return Scrolled(panels[0][1])
    group = QTabWidget()
    group.setDocumentMode(True)
    for name, panel, tip in panels:
        group.setTabToolTip(group.addTab(Scrolled(panel), name), tip)
    return group
