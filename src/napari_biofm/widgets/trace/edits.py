"""Edits of events by hand, each an action of the session that can be undone. No Qt here.

A verdict (accept, unclear, reject) is kept beside the table in `provenance["review"]`, one word per
event. Rejecting sets the class to "rejected"; the class before is kept in `provenance["was"]`, so that
accepting brings it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_biofm.session import RecordingEntry, Session
from napari_biofm.session.history import CallAction
from napari_biofm.signals.export import BY_HAND
from napari_biofm.types import EVENT_CLASSES, EVENT_DTYPE, Events, RecordingError

VERDICTS = ("accept", "unclear", "reject")
State = tuple[Events, list[str], list[str]]  # table, review, class before rejection


class EventEditor:
    """Changes the events of one recording.

    Parameters
    ----------
    session : that holds the recording.
    uid : id of the recording.
    """

    def __init__(self, session: Session, uid: str) -> None:
        self._session = session
        self.uid = uid

    @property
    def entry(self) -> RecordingEntry:
        return self._session.recordings[self.uid]

    @property
    def events(self) -> Events:
        return self._session.events(self.uid)

    @property
    def review(self) -> list[str]:
        """One verdict per event, "" where nobody looked yet."""
        return _aligned(self.entry.provenance.get("review"), len(self.events))

    def add(self, sweep: int, channel: int, time_s: float, name: str) -> int:
        """Add an event by hand and return its row.

        Its score is 1, its amplitude the sample there; rise and decay are unknown.

        Raises
        ------
        RecordingError
            If the time is not in the sweep.
        """
        recording = self.entry.recording
        about = recording.channels[channel]
        index = round(time_s * about.sampling_rate)
        if not 0 <= index < recording.n_samples(sweep, channel):
            raise RecordingError(
                f"an event at {time_s:.4f} s: sweep {sweep} of {recording.name} ends at "
                f"{recording.duration(sweep):.4f} s"
            )
        row = np.zeros(1, EVENT_DTYPE)
        value = float(recording.values(sweep, channel, index, index + 1)[0])
        row[0] = (sweep, channel, time_s, _checked(name), 1.0, value, about.unit, np.nan, np.nan)
        at = _place(self.events, row[0])
        self._change(
            "add event",
            lambda s: _insert(s, [at], row, ["accept"], [""]),
            lambda s: _delete(s, [at]),
            {"row": at, "sweep": sweep, "channel": channel, "time_s": time_s, "class": name},
        )
        return at

    def delete(self, rows: Sequence[int]) -> None:
        """Delete events."""
        index = sorted(set(rows))
        if not index:
            return
        gone = self.events[index].copy()
        review, was = self.review, _aligned(self.entry.provenance.get("was"), len(self.events))
        verdicts, classes = [review[i] for i in index], [was[i] for i in index]
        before = [i - k for k, i in enumerate(index)]  # where np.insert puts them back
        self._change(
            "delete events",
            lambda s: _delete(s, index),
            lambda s: _insert(s, before, gone, verdicts, classes),
            {"rows": index},
        )

    def move(self, row: int, time_s: float) -> None:
        """Move an event in its sweep; its amplitude stays as it was measured."""
        old = float(self.events[row]["time_s"])
        sweep, channel = int(self.events[row]["sweep"]), int(self.events[row]["channel"])
        recording = self.entry.recording
        last = (recording.n_samples(sweep, channel) - 1) / recording.channels[channel].sampling_rate
        new = float(np.clip(time_s, 0.0, last))
        self._change(
            "move event",
            lambda s: _set(s, [row], "time_s", [new]),
            lambda s: _set(s, [row], "time_s", [old]),
            {"row": row, "from_s": old, "to_s": new},
        )

    def reclass(self, rows: Sequence[int], name: str) -> None:
        """Give events another class."""
        index, former = list(rows), self.events["class"][list(rows)].tolist()
        if index:
            self._change(
                "reclass events",
                lambda s: _set(s, index, "class", [_checked(name)] * len(index)),
                lambda s: _set(s, index, "class", former),
                {"rows": index, "class": name},
            )

    def judge(self, rows: Sequence[int], verdict: str) -> None:
        """Accept, leave unclear, or reject events; "" takes a verdict back."""
        index = list(rows)
        if verdict not in (*VERDICTS, ""):
            raise RecordingError(f"'{verdict}' is no verdict: choose one of {', '.join(VERDICTS)}")
        if not index:
            return
        review = self.review
        was = _aligned(self.entry.provenance.get("was"), len(self.events))
        old = [(str(self.events["class"][i]), review[i], was[i]) for i in index]
        new = []
        for name, _, before in old:
            if verdict == "reject":
                new.append(("rejected", verdict, before if name == "rejected" else name))
            else:
                new.append((before if name == "rejected" and before else name, verdict, ""))
        self._change(
            verdict or "take verdict back",
            lambda s: _judged(s, index, new),
            lambda s: _judged(s, index, old),
            {"rows": index, "verdict": verdict},
        )

    def _change(
        self,
        name: str,
        forward: Callable[[State], State],
        backward: Callable[[State], State],
        details: dict[str, Any],
    ) -> None:
        """Do an edit that holds its changed rows only; the table is copied, never changed in place."""
        session, uid = self._session, self.uid

        def put(edit: Callable[[State], State], by: int) -> None:
            entry = session.recordings.get(uid)
            if entry is None:
                return  # the recording was closed since
            n = len(entry.events)
            state = (
                entry.events,
                _aligned(entry.provenance.get("review"), n),
                _aligned(entry.provenance.get("was"), n),
            )
            events, review, was = edit(state)
            entry.events = events
            done = dict(entry.provenance.get(BY_HAND, {}))
            if name not in (*VERDICTS, "take verdict back"):  # those are counted by `review`
                done[name] = done.get(name, 0) + by
            entry.provenance = {**entry.provenance, "review": review, "was": was, BY_HAND: done}
            session.events_changed.emit(uid)

        session.history.do(
            CallAction(
                name, lambda: put(forward, 1), lambda: put(backward, -1), {"recording": uid, **details}
            )
        )


def carry_verdicts(
    former: Events, review: Sequence[str], found: Events, near_s: float
) -> tuple[Events, list[str]]:
    """Return a new table with what a person said about the former one.

    Parameters
    ----------
    former, review : the table before, and its verdicts.
    found : what replaces it.
    near_s : a found event this close to a judged one takes its verdict. An accepted event that was not found
        again is put back; a rejected one that was not is forgotten.
    """
    verdicts = np.full(len(found), "", "U8")
    back = []
    for row, verdict in zip(former, review, strict=True):
        if not verdict:
            continue
        same = (found["sweep"] == row["sweep"]) & (found["channel"] == row["channel"])
        gap = np.where(same, np.abs(found["time_s"] - row["time_s"]), np.inf)
        if len(gap) and gap.min() <= near_s:
            verdicts[int(gap.argmin())] = verdict
        elif verdict == "accept":
            back.append(row)
    both = np.concatenate([found, np.array(back, EVENT_DTYPE)]) if back else found
    words = np.concatenate([verdicts, np.full(len(back), "accept", "U8")])
    order = np.lexsort((both["channel"], both["time_s"], both["sweep"]))
    return both[order], words[order].tolist()


def _aligned(words: Any, n: int) -> list[str]:
    """Return one word per event, whatever was stored."""
    found = [str(word) for word in words] if isinstance(words, (list, tuple)) else []
    return found if len(found) == n else [""] * n


def _checked(name: str) -> str:
    if name not in EVENT_CLASSES:
        raise RecordingError(f"'{name}' is no class of events: choose one of {', '.join(EVENT_CLASSES)}")
    return name


def _place(events: Events, row: Any) -> int:
    """Return where a row belongs in a table sorted by sweep, time and channel."""
    before = (events["sweep"] < row["sweep"]) | (
        (events["sweep"] == row["sweep"]) & (events["time_s"] <= row["time_s"])
    )
    return int(before.sum())


def _insert(
    state: State, at: Sequence[int], rows: Events, review: Sequence[str], was: Sequence[str]
) -> State:
    events, verdicts, classes = state
    index = list(at)
    return (
        np.insert(events, index, rows),
        np.insert(np.array(verdicts, "U8"), index, list(review)).tolist(),
        np.insert(np.array(classes, "U12"), index, list(was)).tolist(),
    )


def _delete(state: State, index: Sequence[int]) -> State:
    events, verdicts, classes = state
    gone = set(index)
    return (
        np.delete(events, list(index)),
        [v for i, v in enumerate(verdicts) if i not in gone],
        [c for i, c in enumerate(classes) if i not in gone],
    )


def _set(state: State, index: Sequence[int], field: str, values: Sequence[Any]) -> State:
    events = state[0].copy()
    events[field][list(index)] = values
    return events, state[1], state[2]


def _judged(state: State, index: Sequence[int], rows: Sequence[tuple[str, str, str]]) -> State:
    events, review, was = state[0].copy(), list(state[1]), list(state[2])
    for i, (name, verdict, before) in zip(index, rows, strict=True):
        events["class"][i], review[i], was[i] = name, verdict, before
    return events, review, was
