"""A dock that is up at once and filled in turns of the event loop.

What a dock needs of NumPy, SciPy and pyqtgraph takes about a second to import the first time. That is done on
a thread, while the frame stands and says so; then the dock is made, and laid out a turn later.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_biofm.session import Session
from napari_biofm.widgets.base import RIGHT_WIDTH, Dock
from napari_biofm.widgets.turns import Turns
from napari_biofm.widgets.viewers import QtPost


class OpeningDock(Dock):
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

    def __init__(self, napari_viewer: Any, *, session: Session | None = None) -> None:
        super().__init__(napari_viewer, session=session)
        self._desk: Any = None
        self._post = QtPost()
        self._words = QLabel(f"Opening the {self.what} ...")
        self._words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._words)
        self._turns = Turns(self)
        self._steps: Iterator[None] | None = self._open()
        if self.session.engine.name == "inline":
            self.finish()
        else:
            threading.Thread(target=self._import, name="biofm-opening", daemon=True).start()

    def sizeHint(self) -> QSize:
        return QSize(RIGHT_WIDTH, 800)

    @property
    def is_open(self) -> bool:
        """Whether the dock is there with all it shows at first."""
        return self._steps is None and not self._turns.is_busy

    @property
    def desk(self) -> Any:
        """The dock itself; where it is not there yet, it is made now."""
        self.finish()
        return self._desk

    def _import(self) -> None:
        """Import what the dock needs, on a thread of its own."""
        failed: list[Exception] = []
        try:
            importlib.import_module(self.inside.partition(":")[0])
        except Exception as error:
            failed.append(error)
        self._post(lambda: self._imported(failed))

    def _imported(self, failed: list[Exception]) -> None:
        if failed and not self._gone:
            self._words.setText(f"The {self.what} cannot open: {failed[0]}")
            self.tell_error(failed[0])
        elif self._steps is not None and not self._gone:
            steps, self._steps = self._steps, None
            self._turns.start(steps)

    def _open(self) -> Iterator[None]:
        """Make the dock, a step at a time."""
        module, _, name = self.inside.partition(":")
        self._desk = getattr(importlib.import_module(module), name)(self.viewer, session=self.session)
        self._desk._placed = True  # the frame has taken its place
        self.job_bar = self._desk.job_bar
        yield
        layout = self.layout()
        assert layout is not None
        layout.removeWidget(self._words)
        self._words.hide()
        layout.addWidget(self._desk)
        yield
        self._desk.begin()

    def finish(self) -> None:
        """Do now what is left of opening."""
        steps, self._steps = self._steps, None
        if steps is not None:
            self._turns.start(steps)
        self._turns.finish()
