"""Bind a session to a napari viewer: its engine, its end, and what leaves with a removed layer."""

from __future__ import annotations

import importlib
import os
import weakref
from collections.abc import Callable
from typing import Any

from napari.utils.notifications import notification_manager, show_error, show_info
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_biofm.controllers.common.layers import layer_by_id, layer_id
from napari_biofm.engine import Engine, make_engine
from napari_biofm.session import Session, session_of
from napari_biofm.sizes import memory_words
from napari_biofm.types import EngineError
from napari_biofm.widgets.common.autosave import start_autosave
from napari_biofm.widgets.common.labels_watch import LabelsWatch
from napari_biofm.widgets.common.qt_parts import when_destroyed

__all__ = ["QtPost", "close_with_window", "layer_by_id", "layer_id", "viewer_session"]
ENGINE_VARIABLE = "NAPARI_BIOFM_ENGINE"  # "worker" (default), "inline", or the address of a Dask scheduler


class QtPost(QObject):
    """Calls functions on the thread this object was made on, in the order they were posted."""

    _posted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._posted.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def __call__(self, call: Callable[[], None]) -> None:
        try:
            self._posted.emit(call)
        except RuntimeError:
            return  # the application is closing: nobody is left to hear it

    def _call(self, call: Callable[[], None]) -> None:
        call()


def _make_engine() -> Engine:
    """Return the engine the user asked for; where that is none, say so and work on this computer."""
    try:
        return make_engine(os.environ.get(ENGINE_VARIABLE) or "worker", post=QtPost())
    except EngineError as error:
        show_error(f"{ENGINE_VARIABLE}: {error} Jobs run on this computer.")
        return make_engine("worker", post=QtPost())


_TIED: weakref.WeakSet[Session] = weakref.WeakSet()  # sessions that follow the layers and life of a viewer


def _tell_skipped(message: str) -> None:
    """Show that an undo no longer fitted: once for all docks of a viewer."""
    show_info(message)


def _in_words(notification: Any) -> None:
    """Say what is to be done where memory ran out in a click, before napari shows it."""
    error = getattr(notification, "exception", None)
    if isinstance(error, MemoryError):
        notification.message = memory_words(error)


def _stopper(watch: weakref.ref[LabelsWatch]) -> Callable[[], None]:
    """Return what stops a watch, where it did not go with its viewer already."""

    def stop() -> None:
        alive = watch()
        if alive is not None:
            alive.stop()

    return stop


def _table_keeper(viewer: weakref.ref[Any], session: Session) -> Callable[[str], None]:
    """Return what keeps tables of cells in step with the masks, from the first table on, whichever docks are open."""

    def keep(_uid: str) -> None:
        alive = viewer()
        if alive is not None and not session.is_closed:
            importlib.import_module("napari_biofm.widgets.common.cell_tables").cell_tables(alive, session)

    return keep


def viewer_session(viewer: Any) -> Session:
    """Return the session of a napari viewer; the first call ties it to the viewer's layers and life."""
    session = session_of(viewer, engine_factory=_make_engine)
    if session not in _TIED:
        _TIED.add(session)
        notification_manager.notification_ready.connect(_in_words)  # once, however often it is asked for
        real = getattr(viewer, "__wrapped__", viewer)
        watch = LabelsWatch(real, session)
        real.layers.events.inserted.connect(lambda event: watch.add(event.value))
        real.layers.events.removed.connect(lambda event: watch.remove(event.value))
        session.closed.connect(_stopper(weakref.ref(watch)))
        session.history.skipped.connect(_tell_skipped)
        session.cells_changed.connect(_table_keeper(weakref.ref(real), session))
        weakref.finalize(real, session.close).atexit = True
        start_autosave(session, real)
    return session


def close_with_window(widget: QWidget, session: Session) -> None:
    """Close `session` when the main window that holds `widget` is destroyed."""
    window = widget.window()
    if isinstance(window, QMainWindow) and not window.property("biofm_session"):
        window.setProperty("biofm_session", True)
        when_destroyed(window, lambda one: one and one.close(), session)
