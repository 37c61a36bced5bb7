"""Classes given by hand follow their cells when these get other label values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_biofm.actions import Action, EditLabels, Group, LabelCells, label_cells
from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.edit.linking import Tracking
from napari_biofm.session import Session
from napari_biofm.teaching.pixels import plane_of_table


def link_over_time(session: Session, edit: LabelsEdit, tracking: Tracking) -> Action:
    """Return the edit that gives every cell its track's id, with the classes by hand moved along.

    Classes were given to the cells of the frame that was measured; they follow these cells. It is one edit: undoing
    it gives cells and classes back.

    Parameters
    ----------
    session : of the cells. edit : of the masks, see `images.edit.linking.relabel_edit`. tracking : what it is made of.
    """
    table = session.cells(edit.layer)
    plane = None if table is None else plane_of_table(table)
    if not plane or plane[0] >= len(tracking.renamed):
        return EditLabels(edit)
    moved = move_labels(edit.layer, session.classes(edit.layer), tracking.renamed[plane[0]], edit.name)
    return EditLabels(edit) if moved is None else Group(edit.name, (EditLabels(edit), moved))


def move_labels(layer: str, now: CellClasses, renamed: Mapping[int, int], name: str) -> LabelCells | None:
    """Return the edit by which classes by hand follow cells with other label values, None where none has a class.

    Parameters
    ----------
    layer : unique id of the labels layer. now : its classes. renamed : new label value by former one.
    name : what the user did.
    """
    codes = dict(zip(now.labels.tolist(), now.codes.tolist(), strict=True))
    after = {label: code for label, code in codes.items() if label not in renamed}
    after |= {renamed[label]: code for label, code in codes.items() if label in renamed}
    labels = np.asarray(sorted({*codes, *after}), np.int64)
    return label_cells(
        layer, now, labels, now.names, np.asarray([after.get(int(i), -1) for i in labels], np.int16), name
    )
