"""What the command of a recording tells: epochs, pipette and cell over the sweeps; fits between two times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.description import Analysis, Curve, Plot, Result, Source, Table, option
from napari_biofm.analyses.ephys.tables import FIT_METHODS, MODEL_HELP, FitModel
from napari_biofm.analyses.tables import columns_of_rows
from napari_biofm.types import RecordingError

GROUP = "Protocol and membrane"
CHANNEL_HELP = "Counted from 0; not given: the first of a cell."


@dataclass(frozen=True)
class EpochsParameters:
    """As in `biofm.epochs`."""

    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def listed_epochs(source: Source, p: EpochsParameters) -> Result:
    """List the epochs of the command."""
    from napari_biofm.api.protocols import epochs

    rows = epochs(source.the_recording, channel=p.channel)
    if not rows:
        return Result((), notes=("cannot tell epochs: the file gives no command and none was recorded",))
    steps = sum(row["kind"] == "step" for row in rows)
    return Result(columns_of_rows(rows), summary=f"{len(rows)} epochs, {steps} of them steps.")


@dataclass(frozen=True)
class MembraneParameters:
    """As in `biofm.membrane`."""

    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")
    epoch: str = option("", "Letter of a step that is taken instead of the test pulse.", role="epoch")
    most_access: float | None = option(
        None, "Sweeps with a higher access resistance are excluded.", unit="MOhm", low=0
    )
    most_change: float | None = option(
        None, "Sweeps whose access changed by more since the first three are excluded.", unit="%", low=0
    )
    least_holding: float | None = option(None, "Sweeps with a lower holding current are excluded.", unit="pA")
    most_holding: float | None = option(None, "Sweeps with a higher holding current are excluded.", unit="pA")


def membrane_of_sweeps(source: Source, p: MembraneParameters) -> Result:
    """Measure access, membrane, capacitance and holding of every sweep."""
    from napari_biofm.api.protocols import membrane
    from napari_biofm.signals.stability import COLUMNS, Rule

    rule = Rule(p.most_access, p.most_change, p.least_holding, p.most_holding)
    rows = membrane(source.the_recording, channel=p.channel, epoch=p.epoch or None, rule=rule)
    columns = columns_of_rows(rows, COLUMNS)
    table = {one.name: one.values for one in columns}
    out = table["excluded"].astype(bool)
    plots = tuple(
        _over_time(table, out, name, label, unit, p.most_change if name == "access_MOhm" else None)
        for name, label, unit in (
            ("access_MOhm", "Access", "MOhm"), ("membrane_MOhm", "Membrane", "MOhm"),
            ("capacitance_pF", "Capacitance", "pF"), ("holding_pA", "Holding", "pA"),
        )
    )  # fmt: skip
    why = sorted({str(text) for text in table["reason"] if text})
    notes = tuple(f"some sweeps: {text}" for text in why[:5])
    return Result(columns, plots, f"{len(rows)} sweeps measured, {int(out.sum())} excluded.", notes)


def _over_time(
    table: Table, out: NDArray[np.bool_], name: str, label: str, unit: str, most_change: float | None
) -> Plot:
    """Draw one quantity of every channel against time, with the band that the rule allows."""
    curves: list[Curve] = []
    channels = np.unique(table["channel"])
    for channel in channels:
        mine = table["channel"] == channel
        x, y, excluded = table["time_s"][mine].astype(float), table[name][mine].astype(float), out[mine]
        known = y[np.isfinite(y)][:3]
        if most_change is not None and len(known):
            low, high = (float(np.median(known)) * (1 + k * most_change / 100) for k in (-1, 1))
            curves.append(Curve(x, np.full(len(x), low), "", "band", high=np.full(len(x), high), faint=True))
        curves.append(
            Curve(x[~excluded], y[~excluded], f"channel {channel}" if len(channels) > 1 else "", "both")
        )
        if excluded.any():
            curves.append(Curve(x[excluded], y[excluded], "excluded", "points", faint=True))
    return Plot("Time", label, tuple(curves), "s", unit)


@dataclass(frozen=True)
class FitParameters:
    """As in `biofm.fit_between`."""

    model: FitModel = option("exp1", MODEL_HELP)
    start_s: float | None = option(
        None, "From this time of the sweep.", unit="s", low=0, role="from", said_as="from"
    )
    stop_s: float | None = option(
        None, "To this time of the sweep.", unit="s", low=0, role="to", said_as="to"
    )
    sweep: int = option(0, "Counted from 0.", low=0, role="sweep")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def fitted(source: Source, p: FitParameters) -> Result:
    """Fit a curve to the samples between two times."""
    from napari_biofm.analyses.ephys.fitting import fit_result
    from napari_biofm.api.collections import fit_between
    from napari_biofm.api.signals import channels_of

    if p.start_s is None or p.stop_s is None:
        raise RecordingError("a fit needs two times: put the cursors around what is fitted, or give both")
    recording = source.the_recording
    found = fit_between(recording, p.start_s, p.stop_s, p.model, sweep=p.sweep, channel=p.channel)
    about = recording.channels[channels_of(recording, p.channel)[0]]
    return fit_result(found, "Time", "s", about.name, about.unit)


ANALYSES = (
    Analysis(
        "epochs", "Epochs of the command", GROUP, "The parts of the command of every sweep, and which of them is used.",
        ("recording",), listed_epochs, EpochsParameters, "Epochs were read from the protocol or the recorded command.",
        own_verb=True,
    ),
    Analysis(
        "membrane", "Membrane over time", GROUP,
        "Access and membrane resistance, capacitance and holding of every sweep, with an exclusion rule.",
        ("recording",), membrane_of_sweeps, MembraneParameters,
        "Access and membrane resistance and capacitance were measured by fitting the current of a test pulse with an "
        "exponential behind the filter of the amplifier (Axon Guide, 3rd ed., chapter 4).", own_verb=True,
    ),
    Analysis(
        "fit", "Fit between cursors", GROUP, "A curve fitted to the samples between two times of a sweep.",
        ("recording",), fitted, FitParameters, FIT_METHODS, own_verb=True,
    ),
)  # fmt: skip
