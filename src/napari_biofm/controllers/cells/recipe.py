"""The recipe of the Cells dock: masks, measurements and classes of the layer in play."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.batch.draft import Draft
from napari_biofm.cells.embed.encoders import MAP
from napari_biofm.controllers.cells.controller import CellsController
from napari_biofm.controllers.common.layers import layer_by_id
from napari_biofm.controllers.common.recipes import classify_steps, measure_steps, segmentation_steps


def cells_draft(viewer: Any, control: CellsController) -> Draft:
    """Return what was done to the cells of the layer in play.

    Parameters
    ----------
    viewer : whose layers they are.
    control : of the dock.
    """
    uid, tables, states = control.uid, control.tables, control.states
    table = None if uid is None else control.session.cells(uid)
    if uid is None or table is None:
        return Draft()
    base = segmentation_steps(viewer, control.session, uid)
    plane = tables.plane_of(uid)
    if plane:
        words = (
            f"cells of plane {', '.join(map(str, plane))} of the masks were measured, which no step repeats."
        )
        return Draft(base.images, steps=base.steps, beside=base.beside, notes=(*base.notes, words))
    regions = tables.pixels.images(uid, plane)
    on = [(layer_by_id(viewer, i), regions[i].plane) for i in tables.images_in_use(uid) if i in regions]
    labels, measured = tables.measured_on(uid)
    draft = measure_steps(base, on, measured.pixel_size, list(measured.channels))
    names = list(states.head_embeddings)
    if states.prediction is None or draft is base or not names or len(on) != 1:
        return draft
    found = control.session.segmentation(uid)
    kept = found is not None and found.features is not None and found.features.shape == np.shape(labels)
    step = dict(base.steps).get("segment", {})
    planes = {}
    for name in names:
        of_pass = kept and table.uns["blocks"][name].get("recipe") == MAP
        planes[name] = step.get("projection") if of_pass else (on[0][1] or (None,))[0]
    return classify_steps(draft, planes, states.min_probability, control.files.save_head)
