"""One evented object per viewer: what is in play, its history, and how it is saved and opened.

Knows neither Qt nor napari. `saving` writes and reads a session as one folder, `nwb` as one NWB file.
"""

from napari_biofm.session.selection import CellKey, CellSet
from napari_biofm.session.session import Link, Pointed, RecordingEntry, Session, session_of

__all__ = ["CellKey", "CellSet", "Link", "Pointed", "RecordingEntry", "Session", "session_of"]
