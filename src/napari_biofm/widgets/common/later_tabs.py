"""Tabs whose contents are made when they are first shown, so that a dock opens with what is seen of it only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QTabWidget, QWidget

from napari_biofm.widgets.common.event_loop import EventLoopTask


class LaterTabs(QTabWidget):
    """Tabs by name, each with a function that makes its contents."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._makers: dict[str, Callable[[], QWidget]] = {}
        self._fillers: dict[str, Callable[[Any], object]] = {}
        self._made: dict[str, QWidget] = {}
        self._event_loop_task = EventLoopTask(self)
        self.currentChanged.connect(lambda at: self._event_loop_task.start(self._show(self.tabText(at))))

    def add(
        self, name: str, make: Callable[[], QWidget], fill: Callable[[Any], object] | None = None
    ) -> None:
        """Add a tab; until it is shown, a word stands in for its contents.

        `make` gives the contents, `fill` takes them and puts in what takes long, in a turn of its own.
        """
        self._makers[name] = make
        if fill is not None:
            self._fillers[name] = fill
        waiting = QLabel("Opening ...")
        waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.addTab(waiting, name)

    def made(self, name: str) -> QWidget | None:
        """Return the contents of a tab, None where it was not shown yet."""
        return self._made.get(name)

    def panel(self, name: str) -> QWidget:
        """Return the contents of a tab, made now where it was not shown yet."""
        for _ in self._show(name):
            pass
        return self._made[name]

    def _show(self, name: str) -> Iterator[None]:
        """Make, fill and place the contents of a tab, each in a turn of the event loop of its own."""
        if name in self._makers:
            self._made[name] = self._makers.pop(name)()
            yield
        if name in self._fillers:
            self._fillers.pop(name)(self._made[name])
            yield
        found = self._made.get(name)
        if found is None or self.indexOf(found) >= 0:
            return
        at = next(i for i in range(self.count()) if self.tabText(i) == name)
        waiting, current = self.widget(at), self.currentIndex()
        self.blockSignals(True)
        self.removeTab(at)
        self.insertTab(at, found, name)
        self.setCurrentIndex(current)
        self.blockSignals(False)
        if waiting is not None:
            waiting.deleteLater()
