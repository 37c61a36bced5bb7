"""Action potentials of sweeps under a known command: found once, with their landmarks, for analyses of excitability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.ephys.common import Floats
from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.features.ap import Landmarks, landmarks
from napari_biofm.signals.epochs import CommandEpoch
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.steps import epoch_of
from napari_biofm.signals.units import si_unit
from napari_biofm.types import RecordingError


@dataclass(frozen=True, eq=False)
class SpikingSweep:
    """One sweep in current clamp.

    Attributes
    ----------
    sweep : its number. volts : (n_samples,) mV. fs : Hz.
    marks : of its action potentials.
    start, stop : samples of the epoch of the command. is_ramp : whether it is one.
    current : pA, of the step against the level before; of a ramp its end.
    command : (n_samples,) pA against the level before the epoch.
    """

    sweep: int
    volts: Floats
    fs: float
    marks: Landmarks
    start: int
    stop: int
    is_ramp: bool
    current: float
    command: Floats

    @property
    def peaks(self) -> NDArray[np.intp]:
        """Samples of the peaks in the epoch."""
        inside = (self.marks.peak >= self.start) & (self.marks.peak < self.stop)
        return self.marks.peak[inside]

    @property
    def first_begin(self) -> int:
        """Sample at which the first action potential of the epoch begins, -1 without one."""
        inside = (self.marks.peak >= self.start) & (self.marks.peak < self.stop)
        return int(self.marks.begin[inside][0]) if inside.any() else -1


def spiking_sweeps(recording: Recording, channel: int, sweeps: list[int], epoch: str) -> list[SpikingSweep]:
    """Return the sweeps of a channel with their action potentials.

    Parameters
    ----------
    recording, channel, sweeps : where.
    epoch : of the command, "" for the one that varies across sweeps.

    Raises
    ------
    RecordingError
        If the channel is no potential, or no command of current is known.
    """
    from napari_biofm.api.signals import detect_events

    about = recording.channels[channel]
    if si_unit(about.unit)[0] != "V":
        raise RecordingError(
            f"action potentials need a potential; channel {channel} of {recording.name} is in {about.unit}"
        )
    events = detect_events(recording, detector="prominence", kind="ap", channel=channel, sweeps=sweeps)
    events = events[~np.isin(events["class"], ("artefact", "rejected"))]
    out = []
    for sweep in sweeps:
        one = epoch_of(recording, sweep, channel, epoch or None)
        if one is None or si_unit(one.unit)[0] != "A":
            raise RecordingError(
                f"the command of {recording.name} is {'a potential' if one is not None else 'not known, or holds'}: excitability "
                "needs steps or ramps of current"
            )
        volts = recording.values(sweep, channel).astype(float) * millivolts(about.unit)
        at = np.round(events["time_s"][events["sweep"] == sweep] * about.sampling_rate).astype(np.intp)
        marks = landmarks(volts, about.sampling_rate, np.sort(at))
        out.append(_sweep(recording, channel, sweep, one, volts, marks))
    return out


def _sweep(
    recording: Recording, channel: int, sweep: int, one: CommandEpoch, volts: Floats, marks: Landmarks
) -> SpikingSweep:
    fs, to_pa = recording.channels[channel].sampling_rate, si_unit(one.unit)[1] * 1e12
    wave = recording.stimulus(sweep, channel)
    command = np.full(len(volts), np.nan)
    if wave is not None:
        n = min(len(wave.values), len(volts))
        command[:n] = (np.asarray(wave.values[:n], float) - one.before) * to_pa
    stop = min(one.stop, len(volts))
    return SpikingSweep(
        sweep, volts, fs, marks, one.start, stop, one.kind == "ramp", one.size * to_pa, command
    )
