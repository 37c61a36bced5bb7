"""Saving and opening the session: *File > IO Utilities* of napari, and the buttons of the docks."""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication, QFileDialog, QMenu

from napari_biofm.controllers.common.recent_sessions import recent_sessions
from napari_biofm.controllers.common.session_files import SessionFiles
from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.session import Session
from napari_biofm.widgets.common.background import Background
from napari_biofm.widgets.common.viewers import viewer_session

_FILES: weakref.WeakKeyDictionary[Session, SessionFiles] = weakref.WeakKeyDictionary()


def session_files(viewer: Any) -> SessionFiles:
    """Return what saves and opens the session of a viewer: one for all its docks and menus."""
    from napari.utils.notifications import show_error, show_info

    session = viewer_session(viewer)
    if session not in _FILES:
        _FILES[session] = files = SessionFiles(session, ViewerLayers(viewer), Background())
        files.told.connect(lambda message: show_info(message))
        alone = weakref.ref(files)  # a dock that listens shows errors itself

        def tell(error: BaseException) -> None:
            made = alone()
            if made is not None and len(made.failed) == 1:
                show_error(str(error))

        files.failed.connect(tell)
    return _FILES[session]


def session_window(folder: Path) -> None:
    """Open napari with a saved session and the docks for what it holds, until the window is closed.

    Raises
    ------
    BiofmError
        If it cannot be opened.
    """
    import napari

    viewer = napari.Viewer()
    files, failed = session_files(viewer), list[BaseException]()
    files.failed.connect(failed.append)
    if not files.open_from(folder):
        viewer.close()
        raise failed[-1]
    session = viewer_session(viewer)
    for name, needed in (("Traces and events", session.recordings), ("Cell states", session.labels)):
        if needed:
            viewer.window.add_plugin_dock_widget("napari-biofm", name)
    napari.run()


def save_session() -> None:
    """Save to the folder of before; ask for one where there is none yet."""
    files = _current()
    if files is not None and files.folder is not None:
        files.save_to(files.folder)
    else:
        save_session_as()


def save_session_as() -> None:
    """Ask for a folder and save there."""
    files = _current()
    name, _ = QFileDialog.getSaveFileName(_window(), "Folder of the session", "session.biofm")
    if name and files is not None:
        files.save_to(Path(name))


def open_session() -> None:
    """Ask for the folder of a session and open it."""
    files = _current()
    name = QFileDialog.getExistingDirectory(_window(), "Folder of a session")
    if name and files is not None:
        files.open_from(Path(name))


def open_recent_session() -> None:
    """Offer the sessions used last, under the mouse."""
    from qtpy.QtGui import QCursor

    menu = QMenu(_window())
    fill_recent(menu, _current())
    menu.popup(QCursor.pos())


def fill_recent(menu: QMenu, files: SessionFiles | None) -> None:
    """List the sessions used last in a menu."""
    menu.clear()
    for folder in recent_sessions():
        action = menu.addAction(str(folder))
        if action is not None and files is not None:
            action.triggered.connect(partial(_open, files, folder))
    if menu.isEmpty():
        nothing = menu.addAction("No session was saved or opened yet")
        if nothing is not None:
            nothing.setEnabled(False)


def _open(files: SessionFiles, folder: Path, _checked: bool = False) -> None:
    files.open_from(folder)


def _current() -> SessionFiles | None:
    import napari

    viewer = napari.current_viewer()
    return None if viewer is None else session_files(viewer)


def _window() -> Any:
    return QApplication.activeWindow()
