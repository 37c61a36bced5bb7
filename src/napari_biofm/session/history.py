"""Invertible actions and the history they make: undo, redo, and a log that can be replayed.

An action is applied when it is done and knows its inverse. Undoing never forgets: when something new
is done after an undo, the undone actions and their inverses stay on the stack, so that every state
that was ever seen can be reached again by undoing further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from psygnal import Signal

from napari_biofm.types import SessionError


@runtime_checkable
class Action(Protocol):
    """One edit. `apply` may be called again after `inverse().apply()`; both are exact."""

    @property
    def name(self) -> str:
        """What the user did, as shown in the menu and the log."""
        ...

    def apply(self) -> None:
        """Carry the edit out."""
        ...

    def inverse(self) -> Action:
        """Return the action that takes this one back."""
        ...

    def record(self) -> dict[str, Any]:
        """Return a JSON-able account for the session's log."""
        ...


class CallAction:
    """An action made of two calls, for edits whose two directions are one line each.

    Parameters
    ----------
    name : what the user did.
    forward, backward : calls that carry it out and take it back; each must leave the state exactly
        as the other found it.
    details : JSON-able account for the log.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[[], None],
        backward: Callable[[], None],
        details: dict[str, Any] | None = None,
    ) -> None:
        self._name = name
        self._forward = forward
        self._backward = backward
        self._details = dict(details or {})

    @property
    def name(self) -> str:
        return self._name

    def apply(self) -> None:
        self._forward()

    def inverse(self) -> CallAction:
        name = self._name.removeprefix("undo ") if self._name.startswith("undo ") else f"undo {self._name}"
        return CallAction(name, self._backward, self._forward, self._details)

    def record(self) -> dict[str, Any]:
        return {"action": self._name, **self._details}


class History:
    """What was done, in order, with a way back and forth.

    Parameters
    ----------
    limit : number of actions kept; the oldest are forgotten first. Actions hold changed regions only,
        so memory stays small; `limit` bounds it.
    """

    changed = Signal()
    recorded = Signal(dict)  # every action carried out, undos included: the session's log

    def __init__(self, limit: int = 1000) -> None:
        self._done: list[Action] = []
        self._undone: list[Action] = []  # inverses that were applied, latest last
        self._limit = limit
        self._busy = False

    def __len__(self) -> int:
        return len(self._done)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._done)

    @property
    def can_undo(self) -> bool:
        return len(self._undone) < len(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    @property
    def undo_name(self) -> str:
        """Name of the action that `undo` would take back, "" where there is none."""
        return self._done[len(self._done) - len(self._undone) - 1].name if self.can_undo else ""

    def do(self, action: Action, *, applied: bool = False) -> None:
        """Carry `action` out and remember it; `applied` where the caller (e.g. a brush) already did."""
        if not applied:
            self._run(action)
        self._done.extend(self._undone)
        self._undone.clear()
        self._done.append(action)
        del self._done[: max(0, len(self._done) - self._limit)]
        self._announce(action)

    def undo(self) -> str:
        """Take the last action back and return its name, "" where there is nothing to take back."""
        if not self.can_undo:
            return ""
        action = self._done[len(self._done) - len(self._undone) - 1]
        inverse = action.inverse()
        self._run(inverse)
        self._undone.append(inverse)
        self._announce(inverse)
        return action.name

    def redo(self) -> str:
        """Do again what was undone last and return its name, "" where there is nothing."""
        if not self._undone:
            return ""
        action = self._undone[-1].inverse()
        self._run(action)
        self._undone.pop()
        self._announce(action)
        return action.name

    def clear(self) -> None:
        """Forget everything, e.g. when another session is opened."""
        self._done.clear()
        self._undone.clear()
        self.changed.emit()

    def _run(self, action: Action) -> None:
        if self._busy:
            raise SessionError(f"'{action.name}' was started while another edit was being carried out.")
        self._busy = True
        try:
            action.apply()
        finally:
            self._busy = False

    def _announce(self, action: Action) -> None:
        self.recorded.emit(action.record())
        self.changed.emit()
