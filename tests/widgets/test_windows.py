"""Every dock and the usual pairs fit into a small window, their texts can be read, and what is off says why."""

from __future__ import annotations

from typing import Any

from benchmarks.windows import (
    CELLS,
    CLICK,
    DOCKS,
    SEGMENT,
    TIMELINE,
    TRACES,
    content_of,
    cut_texts,
    tabs_within,
)
from qtpy.QtWidgets import QApplication, QPushButton

from napari_biofm.widgets.common.accessible import parts_to_name

SMALL = (1280, 720)
PAIRS = ((SEGMENT, CELLS), (CLICK, TRACES), (TRACES, TIMELINE))


def settle(rounds: int = 12) -> None:
    for _ in range(rounds):
        QApplication.processEvents()


def untold(dock: Any) -> list[str]:
    """Return the buttons that are off and do not say why."""
    off = [b for b in dock.findChildren(QPushButton) if b.text() and not b.isEnabled()]
    return [b.text() for b in off if not b.toolTip().startswith(("Off", "Nothing"))]


def test_docks_and_pairs_fit_a_small_window_and_can_be_read(viewer: Any) -> None:
    window = viewer.window._qt_window
    window.resize(*SMALL)
    for names in (*((name,) for name in DOCKS), *PAIRS):
        docks, frames = [], []
        for name in names:
            _, widget = viewer.window.add_plugin_dock_widget("napari-biofm", name)
            frames.append(widget)
            docks.append(content_of(widget))
            settle()
        least = window.minimumSizeHint()
        assert least.width() <= SMALL[0] and least.height() <= SMALL[1], names
        assert (window.width(), window.height()) == SMALL, f"{names} makes the window grow"
        for tabs in tabs_within(docks[0])[: len(names) == 1]:  # every panel of a dock that is alone
            for at in reversed(range(tabs.count())):
                tabs.setCurrentIndex(at)
                settle()
                assert list(cut_texts(docks[0])) == [], (names, tabs.tabText(at))
        assert [line for dock in docks for line in cut_texts(dock)] == [], names
        off = [
            text for name, dock in zip(names, docks, strict=True) if name != TRACES for text in untold(dock)
        ]
        assert off == [], names
        silent = [
            type(p).__name__
            for d in docks
            for p in parts_to_name(d)
            if p.isVisible() and not p.accessibleName()
        ]
        assert silent == [], f"{names}: a screen reader has no name for them"
        viewer.window.remove_dock_widget("all")
        for frame in frames:
            frame.deleteLater()
        settle()
