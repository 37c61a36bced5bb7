"""The history of a session: undo and redo that lose no branch and never get stuck.

When something new is done after an undo, the undone actions and their inverses stay on the stack, so that every
state that was ever seen can be reached again by undoing further. An action that no longer fits, because
something outside the history changed what it was made on, is left out and told; the ones before it stay in reach.
"""

from __future__ import annotations

from collections.abc import Iterator

from psygnal import Signal

from napari_biofm.actions.base import Action, SessionState
from napari_biofm.types import SessionError

MAX_ACTIONS = 1000
MAX_BYTES = 256 << 20


class History:
    """What was done to one session, and the way back.

    Parameters
    ----------
    state : what actions change.
    max_actions, max_bytes : beyond which the oldest actions are forgotten.
    """

    changed = Signal()  # something was done, undone or forgotten
    recorded = Signal(dict)  # the record of every action carried out, undos included
    skipped = Signal(str)  # an undo or redo that no longer fits was left out: why

    def __init__(
        self, state: SessionState, max_actions: int = MAX_ACTIONS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._state = state
        self._done: list[Action] = []
        self._undone: list[Action] = []  # inverses that were applied, latest last
        self._max_actions, self._max_bytes = max_actions, max_bytes
        self._bytes = 0
        self._busy = False

    def __len__(self) -> int:
        return len(self._done)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._done)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return len(self._undone) < len(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to do again."""
        return bool(self._undone)

    @property
    def undo_name(self) -> str:
        """Name of the action that `undo` would take back, "" where there is none."""
        return self._done[self._last].name if self.can_undo else ""

    @property
    def redo_name(self) -> str:
        """Name of the action that `redo` would do again, "" where there is none."""
        return self._done[self._last + 1].name if self._undone else ""

    @property
    def nbytes(self) -> int:
        """About how much memory the actions hold."""
        return self._bytes

    @property
    def is_busy(self) -> bool:
        """Whether an action is being carried out at this moment."""
        return self._busy

    @property
    def _last(self) -> int:
        return len(self._done) - len(self._undone) - 1

    def do(self, action: Action, *, applied: bool = False) -> None:
        """Carry `action` out and remember it; `applied` where the caller (e.g. a brush) already did.

        Raises
        ------
        SessionError
            If it does not fit the state; it is not remembered then.
        """
        if not applied:
            self._run(action)
        self._done.extend(self._undone)
        self._bytes += sum(a.nbytes for a in self._undone) + action.nbytes
        self._undone.clear()
        self._done.append(action)
        self._forget_oldest()
        self._announce(action)

    def undo(self) -> str:
        """Take the last action back and return its name, "" where there was nothing, or it no longer fits."""
        if not self.can_undo:
            return ""
        at = self._last
        inverse = self._done[at].inverse()
        try:
            self._run(inverse)
        except SessionError as error:
            self._leave_out(at, "undone", error)
            return ""
        self._undone.append(inverse)
        self._announce(inverse)
        return self._done[at].name

    def redo(self) -> str:
        """Do again what was undone last and return its name, "" where there was nothing, or it no longer fits."""
        if not self._undone:
            return ""
        action = self._undone[-1].inverse()
        try:
            self._run(action)
        except SessionError as error:
            self._undone.pop()
            self._leave_out(self._last, "done again", error)
            return ""
        self._undone.pop()
        self._announce(action)
        return action.name

    def clear(self) -> None:
        """Forget everything, e.g. when another session is opened."""
        self._done.clear()
        self._undone.clear()
        self._bytes = 0
        self.changed.emit()

    def _run(self, action: Action) -> None:
        if self._busy:
            raise SessionError(f"'{action.name}' was started while another edit was being carried out.")
        self._busy = True
        try:
            action.apply(self._state)
        finally:
            self._busy = False

    def _leave_out(self, at: int, what: str, error: SessionError) -> None:
        gone = self._done.pop(at)
        self._bytes -= gone.nbytes
        self.skipped.emit(f"'{gone.name}' could not be {what} and was left out: {error}")
        self.changed.emit()

    def _forget_oldest(self) -> None:
        n = max(0, len(self._done) - self._max_actions)
        held = self._bytes - sum(a.nbytes for a in self._done[:n])
        while held > self._max_bytes and n < len(self._done) - 1:
            held -= self._done[n].nbytes
            n += 1
        del self._done[:n]
        self._bytes = held

    def _announce(self, action: Action) -> None:
        self.recorded.emit(action.record())
        self.changed.emit()
