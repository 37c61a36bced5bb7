"""Pipette and cell behind it, from the test pulses of a recording.

The one implementation for docks, command line and tables: which steps are test pulses is said in `steps`, what
one tells is computed in `membrane`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.epochs import CommandEpoch
from napari_biofm.signals.membrane import MembraneTest, membrane_test
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.steps import RECORDED, epoch_of, recording_epochs, test_pulses
from napari_biofm.signals.units import si_unit

Values = NDArray[np.float32]
MEAN_OF_ALL = -1  # instead of a pulse's number
_EARLY_S = 0.3e-3  # by which a step may begin before the recorded command, which is filtered, shows it


def recording_pulses(recording: Recording, sweep: int, channel: int) -> list[CommandEpoch]:
    """Return the test pulses of a sweep's command; none in current clamp or without a command."""
    return test_pulses(recording, sweep, channel)


def recording_access(
    recording: Recording, sweep: int, channel: int, pulse: int = 0, epoch: str | None = None
) -> MembraneTest | None:
    """Return what one test pulse of the command says, None in current clamp or without such a pulse.

    Parameters
    ----------
    recording, sweep, channel : where.
    pulse : number among `recording_pulses`, or `MEAN_OF_ALL` for the mean of those like the first.
    epoch : letter or number of an epoch that is taken instead, whatever its size.

    Raises
    ------
    RecordingError
        If the command has no such epoch.
    """
    like = _like(recording, sweep, channel, pulse, epoch)
    if not like:
        return None
    about, found = recording.channels[channel], recording_epochs(recording, channel)
    n = min(recording.n_samples(sweep, channel), max(one.stop for one in like))
    current = recording.values(sweep, channel, 0, n).astype(np.float64) * si_unit(about.unit)[1]
    before = min(one.start - _rest(found.sweeps[sweep], one) for one in like)
    length = min(min(one.stop, n) - one.start for one in like)
    piece = np.mean([current[one.start - before : one.start + length] for one in like], axis=0)
    return membrane_test(
        piece,
        about.sampling_rate,
        before,
        before + length,
        float(like[0].size * si_unit(found.unit)[1]),
        early=_EARLY_S if found.source == RECORDED else 0.0,
    )


def _like(
    recording: Recording, sweep: int, channel: int, pulse: int, epoch: str | None
) -> Sequence[CommandEpoch]:
    """Return the pulses that are averaged."""
    if si_unit(recording.channels[channel].unit)[0] != "A":
        return ()
    if epoch is not None:
        one = epoch_of(recording, sweep, channel, epoch)
        return () if one is None or si_unit(one.unit)[0] != "V" else (one,)
    pulses = test_pulses(recording, sweep, channel)
    if not pulses or pulse >= len(pulses):
        return ()
    chosen = pulses[max(pulse, 0)]
    if pulse != MEAN_OF_ALL:
        return (chosen,)
    return [one for one in pulses if np.isclose(one.size, chosen.size, rtol=0.02)]


def _rest(epochs: Sequence[CommandEpoch], pulse: CommandEpoch) -> int:
    """Return the first sample of the steady command before a pulse."""
    rest = pulse.start
    for one in reversed([e for e in epochs if e.stop <= pulse.start]):
        if one.kind not in ("hold", "step") or abs(one.level - pulse.before) > 0.05 * abs(pulse.size):
            break
        rest = one.start
        if abs(one.size) > 0.05 * abs(pulse.size):
            break
    return rest
