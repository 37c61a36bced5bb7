"""The log of a session: records back into actions, and a log replayed over an earlier state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from napari_biofm.actions.base import Action, SessionState
from napari_biofm.actions.behaviour import SetBehaviour
from napari_biofm.actions.cells import JudgeCells
from napari_biofm.actions.classes import EditClasses, LabelCells
from napari_biofm.actions.clocks import SetClock
from napari_biofm.actions.detector import UseDetector
from napari_biofm.actions.events import EditEvents, SetEvents
from napari_biofm.actions.group import Group
from napari_biofm.actions.labels import EditLabels, ReplaceMasks
from napari_biofm.actions.links import EditLinks
from napari_biofm.actions.units import SetUnit
from napari_biofm.types import SessionError


def _group(record: Mapping[str, Any]) -> Group:
    parts = [from_record(part) for part in record["actions"]]
    return Group(str(record["action"]), tuple(part for part in parts if part is not None))


MAKERS: dict[str, Callable[[Mapping[str, Any]], Action]] = {
    EditLabels.kind: EditLabels.from_record,
    ReplaceMasks.kind: ReplaceMasks.from_record,
    EditClasses.kind: EditClasses.from_record,
    LabelCells.kind: LabelCells.from_record,
    SetEvents.kind: SetEvents.from_record,
    EditEvents.kind: EditEvents.from_record,
    EditLinks.kind: EditLinks.from_record,
    SetClock.kind: SetClock.from_record,
    SetUnit.kind: SetUnit.from_record,
    JudgeCells.kind: JudgeCells.from_record,
    SetBehaviour.kind: SetBehaviour.from_record,
    UseDetector.kind: UseDetector.from_record,
    Group.kind: _group,
}


def from_record(record: Mapping[str, Any]) -> Action | None:
    """Return the action of a record.

    Parameters
    ----------
    record : as `Action.record` gave it, possibly written to JSON and read again.

    Returns
    -------
    The action, or None for records of version 0.1 that hold an account only, not the edit.

    Raises
    ------
    SessionError
        If the record is damaged or of a kind that this version does not know.
    """
    kind = record.get("kind")
    if kind is None:
        if "patches" not in record:
            return None
        kind = EditLabels.kind  # version 0.1 named no kinds; edits of labels were whole
    if kind not in MAKERS:
        raise SessionError(f"The log holds an edit of the kind '{kind}', which this version does not know.")
    try:
        return MAKERS[kind](record)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SessionError(f"The log holds an edit '{kind}' that cannot be read ({error!r}).") from error


def replay(records: Iterable[Mapping[str, Any]], state: SessionState) -> int:
    """Carry the edits of a log out again and return their number.

    Parameters
    ----------
    records : oldest first, undos included.
    state : as it was when the log began.

    Raises
    ------
    SessionError
        If a record is damaged, or does not fit the state.
    """
    count = 0
    for number, record in enumerate(records, 1):
        action = from_record(record)
        if action is None:
            continue
        try:
            action.apply(state)
        except SessionError as error:
            raise SessionError(f"Edit {number} of the log, '{action.name}', does not fit: {error}") from error
        count += 1
    return count


def moved(
    record: Mapping[str, Any], layers: Mapping[str, str], recordings: Mapping[str, str]
) -> dict[str, Any]:
    """Return a record with the ids that its layers and recordings have now.

    Parameters
    ----------
    record : as `Action.record` gave it.
    layers, recordings : ids now by ids when it was written; what is not named keeps its id.
    """
    made = dict(record)
    for key, ids in (("layer", layers), ("image", layers), ("recording", recordings)):
        if isinstance(made.get(key), str):
            made[key] = ids.get(made[key], made[key])
    if made.get("kind") == EditLinks.kind:
        for key in ("added", "removed"):
            made[key] = [
                [recordings.get(uid, uid), channel, layers.get(layer, layer), label]
                for uid, channel, layer, label in made.get(key, ())
            ]
    if made.get("kind") == SetClock.kind:
        for key in ("before", "after"):
            if made.get(key):
                uid = made[key]["recording"]
                made[key] = {**made[key], "recording": recordings.get(uid, uid)}
    if made.get("kind") == Group.kind:
        made["actions"] = [moved(part, layers, recordings) for part in made["actions"]]
    return made
