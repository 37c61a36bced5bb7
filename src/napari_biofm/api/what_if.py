"""What a cell would do under a command that was not given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.signals import AnyRecording, WhichChannel, channels_of, opened
from napari_biofm.types import RecordingError


@dataclass(frozen=True, eq=False)
class WhatIf:
    """The sweep that a command would give.

    Attributes
    ----------
    time_s : (n,) from the start of the sweep. command : (n,) in `command_unit`.
    mean, low, high : (n,) response of a typical run in `unit`, and the band that holds 90 % of samples between spikes.
    spikes_s : (k,) action potentials of that run. counts : (runs,) action potentials of each run.
    unit, command_unit : as in the recording.
    nearest_sweep : number of the recorded sweep whose command is most like this one.
    beyond : how far the command leaves the range of those given, as a fraction of it; 0 inside.
    """

    time_s: NDArray[np.float64]
    command: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    spikes_s: NDArray[np.float64]
    counts: NDArray[np.int64]
    unit: str
    command_unit: str
    nearest_sweep: int
    beyond: float

    @property
    def text(self) -> str:
        """What is predicted, in words."""
        low, middle, high = np.quantile(self.counts, [0.05, 0.5, 0.95])
        words = [f"sweep {self.nearest_sweep} is the nearest recorded one"]
        if self.counts.any():
            words.append(f"{middle:.0f} action potentials (90 % of runs: {low:.0f} to {high:.0f})")
        if self.beyond > 0:
            words.append(
                f"the command leaves the recorded range by {100 * self.beyond:.0f} % of it: take care"
            )
        return "; ".join(words)


def what_if(
    recording: AnyRecording,
    command: NDArray[Any] | None = None,
    *,
    step: float | None = None,
    ramp: tuple[float, float] | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
    sampling_rate: float | None = None,
    channel: WhichChannel = None,
) -> WhatIf:
    """Predict the sweep for a command that was not given, from the sweeps of a protocol.

    The response is a bent line through linear filters with after-effects of spikes, action potentials come from a
    threshold with escape noise: a generalised integrate-and-fire neuron, fitted to all sweeps. In voltage clamp the
    same filters give the current.

    Parameters
    ----------
    recording : or its path; at least three sweeps with different, known commands.
    command : (n,) waveform in the command's unit.
    step : level of a step, instead of `command`.
    ramp : levels at both ends of a ramp, instead of `command`.
    start_s, stop_s : of step or ramp; None takes where the commands of sweeps differ.
    sampling_rate : Hz of `command`; None takes the recording's.
    channel : counted from 0; None takes the first that is no command or trigger.

    Returns
    -------
    WhatIf
        Response with its band, spike times, spike counts, and the nearest recorded sweep.

    Raises
    ------
    RecordingError
        If the commands are not known, too few differ, or not exactly one of command, step and ramp is given.
    """
    from napari_biofm.events.what_if.commands import line_command, waveform_command
    from napari_biofm.events.what_if.model import learn, predict
    from napari_biofm.events.what_if.sweeps import read_protocol

    if sum(one is not None for one in (command, step, ramp)) != 1:
        raise RecordingError("what if: give exactly one of a waveform, a step and a ramp")
    trace = opened(recording)
    chosen = channels_of(trace, channel)[0]
    protocol = read_protocol(trace, chosen)
    if command is not None:
        rate = sampling_rate or trace.channels[chosen].sampling_rate
        wanted = waveform_command(protocol, np.asarray(command), rate)
    else:
        ends = ramp if ramp is not None else (float(step or 0.0),) * 2
        wanted = line_command(protocol, ends[0], ends[1], start_s, stop_s)
    said = predict(learn(protocol), wanted)
    time = np.asarray((np.arange(len(wanted)) + 0.5) / protocol.rate, np.float64)
    return WhatIf(
        time, wanted, said.mean, said.low, said.high, np.asarray(said.spikes / protocol.rate, np.float64), said.counts,
        protocol.unit, protocol.command_unit, said.nearest, said.beyond,
    )  # fmt: skip
