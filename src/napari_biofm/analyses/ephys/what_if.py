"""The sweep that a step or a ramp would give that was not recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import CHANNEL_HELP, picked_channel
from napari_biofm.types import RecordingError

if TYPE_CHECKING:
    from napari_biofm.api.what_if import WhatIf
    from napari_biofm.signals.recording import Recording

METHODS = (
    "The sweep for a command that was not given was predicted by a generalised integrate-and-fire model fitted to all "
    "sweeps of the protocol (Pozzorini et al., PLoS Comput Biol 11:e1004275, 2015)."
)


@dataclass(frozen=True)
class WhatIfParameters:
    """The command that was not given."""

    step: float | None = option(None, "Level of the step, or of the start of a ramp, in the command's unit.")
    ramp_to: float | None = option(None, "Level at the end of a ramp; not given: a step.")
    start_s: float | None = option(
        None, "From this time of the sweep; not given: where sweeps differ.", unit="s", low=0, role="from", said_as="start"
    )  # fmt: skip
    stop_s: float | None = option(
        None, "To this time of the sweep.", unit="s", low=0, role="to", said_as="stop"
    )
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def predicted(source: Source, p: WhatIfParameters) -> Result:
    """Return the predicted sweep over the recorded one whose command is most like it."""
    from napari_biofm.api.what_if import what_if

    if p.step is None:
        raise RecordingError("what if: give the level of the step, in the command's unit")
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    said = what_if(
        recording,
        step=p.step if p.ramp_to is None else None,
        ramp=None if p.ramp_to is None else (p.step, p.ramp_to),
        start_s=p.start_s,
        stop_s=p.stop_s,
        channel=channel,
    )
    notes = (
        [] if said.beyond <= 0 else [f"the command lies {100 * said.beyond:.0f} % beyond the recorded range"]
    )
    return Result(
        columns_of(said), _plots(said, recording, channel), f"{said.text[0].upper()}{said.text[1:]}.", tuple(notes)
    )  # fmt: skip


def columns_of(said: WhatIf) -> tuple[Column, ...]:
    """Return the table of a predicted sweep: a row per sample of the model."""
    spikes = np.zeros(len(said.time_s), np.int64)
    np.add.at(spikes, np.clip(np.searchsorted(said.time_s, said.spikes_s), 0, len(spikes) - 1), 1)
    return (
        Column("time_s", said.time_s, "s", "from the start of the sweep"),
        Column("command", said.command, said.command_unit, "that was asked for"),
        Column("response", said.mean, said.unit, "of a typical run"),
        Column("low", said.low, said.unit, "lower border of the 90 % band between spikes"),
        Column("high", said.high, said.unit, "upper border"),
        Column("spikes", spikes, "", "action potentials in this sample"),
    )


def _plots(said: WhatIf, recording: Recording, channel: int) -> tuple[Plot, ...]:
    """Return the prediction with its band over the nearest recorded sweep, and the command below."""
    nearest = np.asarray(recording.values(said.nearest_sweep, channel), float)
    at = np.arange(len(nearest)) / recording.channels[channel].sampling_rate
    curves = (
        Curve(said.time_s, said.low, "90 % band", style="band", high=said.high),
        Curve(at, nearest, f"sweep {said.nearest_sweep}"),
        Curve(said.time_s, said.mean, "predicted"),
    )
    name = recording.channels[channel].name or "Response"
    return (
        Plot("Time", name, curves, "s", said.unit),
        Plot("Time", "Command", (Curve(said.time_s, said.command),), "s", said.command_unit),
    )


ANALYSES = (
    Analysis(
        "what-if", "What if: another step", "Protocol and membrane",
        "The sweep for a step or ramp that was not given, learned from the sweeps of a protocol.",
        ("recording",), predicted, WhatIfParameters, METHODS, own_verb=True,
    ),
)  # fmt: skip
