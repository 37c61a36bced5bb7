"""What the docks ask of physio-FM as jobs: teach, look ahead, say how unexpected each moment is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.physio_fm.adapt import Marks, adapt
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.model import PhysioFM
from napari_biofm.events.reviewed import verdicts_of
from napari_biofm.events.table import NOT_EVENTS
from napari_biofm.signals import Recording
from napari_biofm.types import Events, Progress, RecordingError, Task

MAX_SURPRISE_S = 600.0  # of a sweep; the score is looked at, not stored for hours


@dataclass(frozen=True)
class MarkedSweep:
    """What was marked in one channel of one sweep.

    Attributes
    ----------
    recording, sweep, channel : where.
    time_s, names : (n,) events that are right, and their classes.
    rejected_s, open_s : places that are none, and places nobody has judged.
    """

    recording: Recording
    sweep: int
    channel: int
    time_s: NDArray[np.float64]
    names: tuple[str, ...]
    rejected_s: NDArray[np.float64]
    open_s: NDArray[np.float64]


@dataclass(frozen=True)
class Ahead:
    """A forecast and what then came.

    Attributes
    ----------
    quantiles : (q, n) in the channel's unit. q : (q,) levels. time_s : (n,) in the sweep.
    covered : share of the samples that came which lie inside the outermost quantiles; NaN where none came.
    """

    sweep: int
    channel: int
    quantiles: NDArray[np.float32]
    q: NDArray[np.float64]
    time_s: NDArray[np.float64]
    covered: float

    @property
    def text(self) -> str:
        """How the forecast met what came."""
        start = f"From {self.time_s[0]:.4f} s"
        if math.isnan(self.covered):
            return f"{start}; nothing of what follows is recorded."
        return f"{start}: {self.covered:.0%} of what came lies inside the 90 % band."


def marked_sweeps(recording: Recording, events: Events, name: str = "") -> list[MarkedSweep]:
    """Return the judged events of a recording, for each channel of a sweep where one was accepted.

    Parameters
    ----------
    events : of REVIEWED_DTYPE, with their verdicts.
    name : replaces the class of the accepted ones where it is not "".
    """
    sweeps = []
    verdicts, no_class = verdicts_of(events), np.isin(events["class"], NOT_EVENTS)
    for sweep, channel in sorted({(int(e["sweep"]), int(e["channel"])) for e in events}):
        here = (events["sweep"] == sweep) & (events["channel"] == channel)
        accepted = here & (verdicts == "accept") & ~no_class
        rejected = here & ((verdicts == "reject") | no_class)
        if accepted.any():
            names = tuple(name or str(c) for c in events["class"][accepted])
            times = (events["time_s"][rows] for rows in (accepted, rejected, here & ~accepted & ~rejected))
            accepted_s, rejected_s, open_s = times
            sweeps.append(MarkedSweep(recording, sweep, channel, accepted_s, names, rejected_s, open_s))
    return sweeps


def teach(marked: Sequence[MarkedSweep], kind: str = "auto", beside: bool = False) -> Task[AdaptedHead]:
    """Teach a head from marks; see `adapt.adapt`."""
    marks = [
        Marks(
            m.recording.sweep(m.sweep, m.channel), m.time_s, m.names, rejected_s=m.rejected_s, open_s=m.open_s
        )
        for m in marked
    ]
    return (yield from adapt(PhysioFM(), marks, kind, beside=beside))


def look_ahead(recording: Recording, sweep: int, channel: int, at_s: float, horizon: int) -> Task[Ahead]:
    """Forecast `horizon` samples from a moment of a sweep and compare them with what came.

    Raises
    ------
    RecordingError : nothing lies before the moment.
    """
    yield Progress(0, 1, "forecast")
    quantiles, q, time_s = PhysioFM().forecast(recording.sweep(sweep, channel), at_s, horizon)
    first = round(at_s * recording.channels[channel].sampling_rate)
    last = min(first + horizon, recording.n_samples(sweep, channel))
    came = np.asarray(recording.values(sweep, channel, first, last))
    inside = (came >= quantiles[0, : len(came)]) & (came <= quantiles[-1, : len(came)])
    known = np.isfinite(came)
    covered = float(inside[known].mean()) if known.any() else float("nan")
    return Ahead(sweep, channel, quantiles, q, time_s, covered)


def surprise_recording(recording: Recording, channel: int) -> Task[Recording]:
    """Return a recording of how unexpected each moment of a channel is, sweep by sweep.

    Raises
    ------
    RecordingError : a sweep is longer than ten minutes.
    """
    model, rows, rate = PhysioFM(), [], 1.0
    longest = max(recording.duration(sweep) for sweep in range(recording.n_sweeps))
    if longest > MAX_SURPRISE_S:
        raise RecordingError(
            f"{recording.name} has a sweep of {longest:.0f} s: surprise is shown for up to "
            f"{MAX_SURPRISE_S:.0f} s; export a part of it and open that."
        )
    kind: str | None = None
    for sweep in range(recording.n_sweeps):
        yield Progress(sweep, recording.n_sweeps, f"surprise of sweep {sweep}")
        signal = recording.sweep(sweep, channel)
        kind = kind or model.recognise(signal)[0]
        values, rate = model.surprise(signal, kind)
        rows.append([values])
    details = recording.channels[channel]
    return Recording.from_arrays(rows, rate, ["sd"], names=[f"surprise of {details.name}"])
