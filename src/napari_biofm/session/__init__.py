"""One evented object per viewer: what is in play, and how it is saved and opened.

Knows neither Qt nor napari. `saving` writes and reads a session as one folder, `nwb` as one NWB file.
"""

from napari_biofm.links import Link
from napari_biofm.selection import CellKey, CellSet
from napari_biofm.session.entries import Pointed, RecordingEntry
from napari_biofm.session.of_viewer import session_of
from napari_biofm.session.session import Session

__all__ = ["CellKey", "CellSet", "Link", "Pointed", "RecordingEntry", "Session", "session_of"]
