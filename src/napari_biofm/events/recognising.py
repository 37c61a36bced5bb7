"""What kind of signal each channel holds: one decision for all sweeps of a recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import numpy as np

from napari_biofm.events.classical.choice import finer_kind
from napari_biofm.events.kinds import KINDS
from napari_biofm.signals import Recording
from napari_biofm.signals.curation import accepted_cells
from napari_biofm.types import Kind, Progress, Task, Trace

_MOST_SWEEPS = 8  # that vote
_MOST_SPANS = 400  # sweeps whose span is looked at, to let the liveliest vote
_LOOK = 200_000  # samples of a sweep for its span
_SEEN = 0.5  # share with which one lively sweep settles it
_HELD_BACK: Mapping[str, tuple[str, ...]] = {
    "ap": ("psp", "spike")
}  # what is seen in one sweep, and in the others


@runtime_checkable
class Recogniser(Protocol):
    """A detector that can tell what a trace holds."""

    def recognise(self, signal: Trace) -> tuple[str, dict[str, float]]:
        """Return the kind of a signal and the probability of each that is possible."""
        ...


@dataclass(frozen=True)
class KindChoice:
    """What a channel was taken for.

    Attributes
    ----------
    channel : number, from 0.
    kind : of all its sweeps.
    share : mean probability of the kind over the sweeps that were looked at.
    sweeps : how many were.
    given : whether the user said it.
    """

    channel: int
    kind: Kind
    share: float
    sweeps: int
    given: bool = False

    @property
    def text(self) -> str:
        """The choice in words, such as "action potentials (11 sweeps looked at, 0.97)"."""
        title = KINDS[self.kind].title.lower()
        if self.given:
            return f"{title}, as was said"
        sweeps = f"{self.sweeps} sweep{'s' * (self.sweeps != 1)} looked at"
        return f"{title} ({sweeps}, {self.share:.2f} sure)"


def choose_kinds(
    recording: Recording, detector: Recogniser, channels: Sequence[int]
) -> Task[dict[int, KindChoice]]:
    """Decide what each channel holds, once for all of its sweeps.

    Up to eight sweeps vote, among them those that span most: a protocol has silent sweeps, and those do not make
    a firing cell a silent one. The kind with the largest mean probability is taken; action potentials that are seen in
    one sweep go before smaller potentials in the others. Traces of cells are of one kind: eight of them vote, none that is
    rejected where there are others.

    Parameters
    ----------
    recording : whose sweeps are looked at.
    detector : that says what a sweep holds.
    channels : counted from 0.

    Returns
    -------
    channel -> choice.
    """
    found: dict[int, KindChoice] = {}
    total = max(1, len(channels))
    if recording.is_cells and len(channels):
        accepted = accepted_cells(recording)
        able = [c for c in channels if accepted[c]] or list(channels)
        voters = [able[i] for i in np.unique(np.linspace(0, len(able) - 1, _MOST_SWEEPS).astype(int))]
        choice = _choice(detector, [recording.sweep(0, c) for c in voters], channels[0])
        yield Progress(total, total, f"taken for {choice.text}")
        return {c: KindChoice(c, choice.kind, choice.share, choice.sweeps) for c in channels}
    for done, channel in enumerate(channels):
        sweeps = _voters(recording, channel)
        found[channel] = _choice(detector, [recording.sweep(s, channel) for s in sweeps], channel)
        name = recording.channels[channel].name
        yield Progress(done + 1, total, f"{name} taken for {found[channel].text}")
    return found


def _choice(detector: Recogniser, traces: Sequence[Trace], channel: int) -> KindChoice:
    """Return the kind with the largest mean probability; what is rare in a sweep is looked for in all of them."""
    votes: dict[str, float] = defaultdict(float)
    sure: dict[str, float] = defaultdict(float)
    for trace in traces:
        kind, table = detector.recognise(trace)
        for name, share in (table or {kind: 1.0}).items():
            votes[name] += share / len(traces)
            sure[name] = max(sure[name], share)
    if not votes:
        return KindChoice(channel, "psc", 0.0, 0)
    best = max(votes, key=lambda name: votes[name])
    for stronger, weaker in _HELD_BACK.items():
        if best in weaker and sure[stronger] >= _SEEN:
            best = stronger
    kind = finer_kind(cast("Kind", best), *traces) if len(traces) > 1 else cast("Kind", best)
    return KindChoice(channel, kind, votes[best], len(traces))


def _voters(recording: Recording, channel: int) -> list[int]:
    """Return the sweeps that are looked at: the two that span most, and others at even distances."""
    there = [s for s in range(recording.n_sweeps) if recording.n_samples(s, channel) > 2]
    if len(there) <= _MOST_SWEEPS:
        return there
    spans = {}
    for sweep in there[:: -(-len(there) // _MOST_SPANS)]:
        values = recording.values(sweep, channel, 0, min(recording.n_samples(sweep, channel), _LOOK))
        finite = values[np.isfinite(values)]
        spans[sweep] = float(np.ptp(finite)) if len(finite) else 0.0
    lively = sorted(spans, key=lambda s: -spans[s])[:2]
    even = [there[i] for i in np.linspace(0, len(there) - 1, _MOST_SWEEPS - len(lively)).astype(int)]
    return sorted({*lively, *even})
