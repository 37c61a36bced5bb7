"""A session as one folder: written whole or not at all, read back with every id in its place.

Knows the session and the rooms below it, neither Qt nor napari. What comes from layers is handed in and
out as `SavedLayer`.
"""

from napari_biofm.store.contents import Saved, SavedLayer, restore, snapshot
from napari_biofm.store.folder import SessionWriter, load_session, save_session

__all__ = ["Saved", "SavedLayer", "SessionWriter", "load_session", "restore", "save_session", "snapshot"]
