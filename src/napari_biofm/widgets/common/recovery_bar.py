"""Offers what a napari that was killed left behind: one bar per window, in the dock that opens first."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_biofm.controllers.common.session_files import Opened
from napari_biofm.session import Session
from napari_biofm.session.journal_files import autosave_folder
from napari_biofm.session.journal_list import forget, unsaved
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import note


class RecoveryBar(QWidget):
    """Hidden unless there is something to recover; `offer` looks once the bar stands in its dock.

    Parameters
    ----------
    recover : brings the session of a journal's folder back; returns None where that failed.
    """

    recovered = Signal(object)  # Opened

    def __init__(self, recover: Callable[..., Opened | None]) -> None:
        super().__init__()
        self._recover = recover
        self.text = note()
        self.recover_button = push_button("Recover", "Bring back what was done there, with every edit.")
        self.forget_button = push_button("Forget", "Delete what was kept of it.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addWidget(self.recover_button)
        row.addWidget(self.forget_button)
        self.recover_button.clicked.connect(lambda: self.recover())
        self.forget_button.clicked.connect(lambda: self.forget())

    def offer(self) -> None:
        """Show what there is to recover, or nothing."""
        found = unsaved(autosave_folder())
        self.setVisible(bool(found))
        if found:
            names = [f"'{name}'" for name in found[0].about.get("names") or []]
            of = f" of {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}" if names else ""
            when = time.strftime("%d %b %H:%M", time.localtime(found[0].saved))
            self.text.setText(f"napari ended without closing ({when}). The edits{of} are kept.")

    def recover(self) -> None:
        """Bring back the latest session that ended without being closed."""
        for found in unsaved(autosave_folder())[:1]:
            opened = self._recover(found.folder)
            if opened is not None:
                self.recovered.emit(opened)
        self.offer()

    def forget(self) -> None:
        """Delete what the latest such session left."""
        for found in unsaved(autosave_folder())[:1]:
            forget(found.folder)
        self.offer()


_BARS: weakref.WeakKeyDictionary[Session, weakref.ref[QWidget]] = weakref.WeakKeyDictionary()


def is_first(session: Session, dock: QWidget) -> bool:
    """Return whether a dock is the one of its window that offers a recovery; the first one that asks is."""
    known = _BARS.get(session)
    if known is None or known() is None:
        _BARS[session] = known = weakref.ref(dock)
    return known() is dock
