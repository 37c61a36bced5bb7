"""Sessions without a window: open what a dock saved, look at it, edit it, save it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.session import Session
from napari_biofm.session.nwb_read import read_nwb_session
from napari_biofm.session.saving import load_session
from napari_biofm.session.saving import save_session as save_folder
from napari_biofm.session.snapshot import Saved, SavedLayer, restore, snapshot
from napari_biofm.types import Labels, SessionError


@dataclass(frozen=True, eq=False)
class OpenedSession:
    """A session and its layers, without a window.

    Attributes
    ----------
    session : recordings, events, cells, classes, links and clocks; edits go through it.
    layers : as they were saved; the labels are in `session`, see `labels`.
    warnings : what could not be found.
    """

    session: Session
    layers: tuple[SavedLayer, ...]
    warnings: tuple[str, ...] = ()

    def labels(self, name: str) -> Labels:
        """Return the masks of a layer by its name, with all edits of the session.

        Parameters
        ----------
        name : of the labels layer.

        Raises
        ------
        SessionError
            If there is no such layer.
        """
        for layer in self.layers:
            if layer.name == name and layer.data is not None:
                data: Labels = layer.data
                return data
        known = ", ".join(layer.name for layer in self.layers if layer.data is not None) or "none"
        raise SessionError(f"The session has no labels '{name}'; it has: {known}.")


def saved_session(source: Path) -> Saved:
    """Read a session.

    Parameters
    ----------
    source : its folder, or an NWB file that holds one.

    Raises
    ------
    SessionError
        If it is no session, or is damaged.
    """
    return read_nwb_session(source) if source.suffix.lower() == ".nwb" else load_session(source)


def open_session(folder: str | Path) -> OpenedSession:
    """Open a session that a dock or `save_session` wrote, or the NWB file that a dock exported.

    Parameters
    ----------
    folder : of the session, or the .nwb file.

    Raises
    ------
    SessionError
        If the folder is no session, is damaged, or was written by a newer version.
    """
    saved = saved_session(Path(folder))
    session = Session()
    for layer in saved.layers:
        if layer.data is not None:
            session.attach_labels(ArrayTarget(layer.data, layer.uid))
    restore(session, saved, {layer.uid: layer.uid for layer in saved.layers})
    return OpenedSession(session, saved.layers, saved.warnings)


def save_session(opened: OpenedSession, folder: str | Path) -> Path:
    """Write a session as one folder, whole or not at all; docks open it like their own.

    Parameters
    ----------
    opened : session and layers.
    folder : new, empty, or that of a session, which is replaced.

    Returns
    -------
    The folder.

    Raises
    ------
    SessionError
        If the folder holds something else, or cannot be written.
    """
    layers = [replace(layer, version=layer.version + len(opened.session.log)) for layer in opened.layers]
    return save_folder(Path(folder), snapshot(opened.session, layers))
