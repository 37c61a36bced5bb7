"""Every edit of a session as data: frozen, invertible, and written to the log as JSON.

An action is applied by `Session.do` and by nothing else. Its record in the log is enough to make it again
(`from_record`), so that a log replayed over the first state gives the last one.
"""

from napari_biofm.actions.base import Action, SessionState
from napari_biofm.actions.behaviour import SetBehaviour
from napari_biofm.actions.cells import JudgeCells
from napari_biofm.actions.classes import EditClasses, LabelCells, edit_classes, label_cells
from napari_biofm.actions.clocks import SetClock
from napari_biofm.actions.detector import UseDetector
from napari_biofm.actions.events import EditEvents, SetEvents
from napari_biofm.actions.group import Group
from napari_biofm.actions.history import History
from napari_biofm.actions.labels import EditLabels, ReplaceMasks
from napari_biofm.actions.links import EditLinks
from napari_biofm.actions.log import from_record, replay
from napari_biofm.actions.units import SetUnit

__all__ = [
    "Action",
    "EditClasses",
    "EditEvents",
    "EditLabels",
    "EditLinks",
    "Group",
    "History",
    "JudgeCells",
    "LabelCells",
    "ReplaceMasks",
    "SessionState",
    "SetBehaviour",
    "SetClock",
    "SetEvents",
    "SetUnit",
    "UseDetector",
    "edit_classes",
    "from_record",
    "label_cells",
    "replay",
]
