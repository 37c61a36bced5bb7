"""Editing labels: operations that give edits, a journal that survives a kill, propagation and linking. No
Qt.
"""

from napari_biofm.images.edit import ArrayTarget, LabelsEdit, Patch, replay
from napari_biofm.images.editing.editor import LabelsEditor
from napari_biofm.images.editing.index import LabelIndex
from napari_biofm.images.editing.view import Piece, View

__all__ = ["ArrayTarget", "LabelIndex", "LabelsEdit", "LabelsEditor", "Patch", "Piece", "View", "replay"]
