"""A dock that is up at once and filled in turns of the event loop.

What a dock needs of NumPy, SciPy and pyqtgraph takes about a second to import the first time. That is done on
a thread, while the frame stands and says so; then the dock is made, and laid out a turn later. This module and
those of the frames import Qt only.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout

from napari_biofm.widgets.common.event_loop import EventLoopTask
from napari_biofm.widgets.common.qt_parts import Closing

RIGHT_WIDTH = 400  # pixels, of docks beside the canvas


class OpeningDock(Closing):
    """Frame of a dock, to be subclassed with the dock's `inside`.

    Parameters
    ----------
    napari_viewer, session : see `Dock`.

    Attributes
    ----------
    inside : "module:class" of the dock itself, a `Dock` with a method `begin`, called when it is laid out.
    what : its name in words.
    """

    inside = ""
    what = "dock"
    _imported = Signal(object)  # None, or the exception

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__()
        self._content: Any = None
        self._words = QLabel(f"Opening the {self.what} ...")
        self._words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._words)
        self._event_loop_task = EventLoopTask(self)
        self._steps: Iterator[None] | None = self._open(napari_viewer, session)
        self._imported.connect(self._go_on, Qt.ConnectionType.QueuedConnection)
        threading.Thread(target=self._import, name="biofm-opening", daemon=True).start()

    def sizeHint(self) -> QSize:
        return QSize(RIGHT_WIDTH, 800)

    @property
    def is_open(self) -> bool:
        """Whether the dock is there with all it shows at first."""
        return self._steps is None and not self._event_loop_task.is_busy

    @property
    def content(self) -> Any:
        """The dock itself; what is not there yet of it is made now."""
        if self._steps is not None:
            self._start()
        self._event_loop_task.finish()
        return self._content

    def _import(self) -> None:
        """Import what the dock needs, on a thread of its own."""
        failed: Exception | None = None
        try:
            importlib.import_module(self.inside.partition(":")[0])
        except Exception as error:  # noqa: BLE001 - whatever a module raises is shown in place of the dock
            failed = error
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._imported.emit(failed)

    def _go_on(self, failed: Exception | None) -> None:
        if failed is not None:
            self._words.setText(f"The {self.what} cannot open: {failed}")
        elif self._steps is not None:
            self._start()

    def _start(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            self._event_loop_task.start(steps)

    def _open(self, viewer: Any, session: Any) -> Iterator[None]:
        """Make the dock, a step at a time."""
        module, _, name = self.inside.partition(":")
        self._content = getattr(importlib.import_module(module), name)(viewer, session=session)
        yield
        layout = self.layout()
        assert layout is not None
        layout.removeWidget(self._words)
        self._words.hide()
        layout.addWidget(self._content)
        yield
        self._content.begin()
