"""Editing labels: operations that give edits, propagation and linking. No Qt."""

from napari_biofm.images.edit.editor import LabelsEditor
from napari_biofm.images.edit.index import LabelIndex
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit, Patch, replay
from napari_biofm.images.edit.view import Piece, View

__all__ = ["ArrayTarget", "LabelIndex", "LabelsEdit", "LabelsEditor", "Patch", "Piece", "View", "replay"]
