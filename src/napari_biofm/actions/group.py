"""Several edits that are one step for the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from napari_biofm.actions.base import Action, Record, SessionState
from napari_biofm.images.edit.labels_edit import undone


@dataclass(frozen=True)
class Group:
    """Edits carried out one after the other, or none of them.

    Attributes
    ----------
    name : what the user did.
    actions : in their order.
    """

    kind: ClassVar[str] = "group"
    name: str
    actions: tuple[Action, ...]

    @property
    def nbytes(self) -> int:
        return sum(action.nbytes for action in self.actions)

    def apply(self, state: SessionState) -> None:
        done: list[Action] = []
        try:
            for action in self.actions:
                action.apply(state)
                done.append(action)
        except BaseException:  # also where memory runs out: all of it is done, or nothing
            for action in reversed(done):
                action.inverse().apply(state)
            raise

    def inverse(self) -> Group:
        return Group(undone(self.name), tuple(action.inverse() for action in reversed(self.actions)))

    def record(self) -> Record:
        return {
            "kind": self.kind,
            "action": self.name,
            "actions": [action.record() for action in self.actions],
        }
