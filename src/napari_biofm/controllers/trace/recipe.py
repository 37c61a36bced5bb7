"""The recipe of the Traces dock: events of the shown recording, and traces of a movie's cells."""

from __future__ import annotations

import dataclasses
from typing import Any

from napari_biofm.batch.draft import Draft
from napari_biofm.controllers.common.recipes import events_steps, segmentation_steps, traces_steps
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.session import Session


def recording_draft(viewer: Any, session: Session, uid: str | None) -> Draft:
    """Return what was done to a recording.

    Parameters
    ----------
    viewer : whose layers traces of cells were measured on.
    session : holds the recording.
    uid : of the recording; None where none is shown.
    """
    if uid is None or uid not in session.recordings:
        return Draft()
    recording = session.recordings[uid].recording
    taught = session.detector
    save = None if taught is None else AdaptedHead.from_plain(taught).save
    on = recording.measured_on
    if on is None:
        draft = events_steps(session, uid, save_taught=save)
        steps = [*draft.steps, ("features", {})] if draft else []
        return dataclasses.replace(draft, steps=tuple(steps))
    base = segmentation_steps(viewer, session, on.masks)
    if not (base.images or base.beside):
        return Draft(notes=("the movie or the masks of these traces were closed.",))
    traced = traces_steps(base, recording, recording.channels[0].sampling_rate, on.part)
    return events_steps(session, uid, traced, save_taught=save)
