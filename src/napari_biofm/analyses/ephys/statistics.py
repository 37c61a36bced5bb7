"""Statistics of events: amplitude against rise, scaling between groups, nested mixed models, noise analysis."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import CHANNEL_HELP, Floats, picked_channel
from napari_biofm.types import BiofmError, RecordingError

GROUP = "Events"
_MOST_POINTS = 5000


@dataclass(frozen=True)
class RelationParameters:
    """Which columns of the table of events."""

    x: str = option(
        "rise_s",
        "Column along the x axis; rise against amplitude tells of filtering by dendrites.",
        role="column",
    )
    y: str = option("amplitude", "Column along the y axis.", role="column")
    cell: str = option(
        "", "Column with the cell of each row: correlations within cells as well.", role="column"
    )


def relation(source: Source, p: RelationParameters) -> Result:
    """Correlate two columns, over all rows and within cells."""
    from scipy import stats

    x, y = source.numbers(p.x), source.numbers(p.y)
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 4:
        raise BiofmError(
            f"{int(known.sum())} rows hold both {p.x} and {p.y}: four are the least for a correlation"
        )
    names = np.asarray(source.column(p.cell), str) if p.cell else np.full(len(x), "all")
    groups = ["all", *dict.fromkeys(names[known].tolist())] if p.cell else ["all"]
    rows = []
    for name in groups:
        mine = known & ((names == name) | (name == "all"))
        if mine.sum() < 4 or not np.ptp(x[mine]) or not np.ptp(y[mine]):
            continue
        rank, line = stats.spearmanr(x[mine], y[mine]), stats.linregress(x[mine], y[mine])
        rows.append(
            (
                name,
                int(mine.sum()),
                rank.statistic,
                rank.pvalue,
                line.rvalue,
                line.pvalue,
                line.slope,
                line.intercept,
            )
        )
    if not rows:
        raise BiofmError(f"{p.x} or {p.y} does not vary: there is nothing to correlate")
    data = list(zip(*rows, strict=True))
    columns = tuple(
        Column(name, np.array(values), meaning=meaning)
        for (name, meaning), values in zip(
            (("cell", "all rows, or one cell"), ("n", "rows"), ("spearman", "rank correlation"), ("spearman_p", "its p"),
             ("pearson", "linear correlation"), ("pearson_p", "its p"), ("slope", "of the line"), ("intercept", "of the line")),
            data, strict=True,
        )
    )  # fmt: skip
    step = max(1, int(known.sum()) // _MOST_POINTS)
    ends = np.array([x[known].min(), x[known].max()])
    line = Curve(ends, rows[0][6] * ends + rows[0][7], "line")
    plot = Plot(p.x, p.y, (Curve(x[known][::step], y[known][::step], style="points", faint=True), line))
    return Result(
        columns, (plot,), f"Spearman {rows[0][2]:.3f} (p = {rows[0][3]:.2g}) over {rows[0][1]} rows."
    )


@dataclass(frozen=True)
class ScalingParameters:
    """Which groups."""

    value: str = option("amplitude", "Column whose distributions are compared.", role="column")
    group: str = option("group", "Column with the group of each row.", role="column")
    control: str = option("", "The group that is scaled; empty: the first.")
    least: float = option(0.0, "Detection limit: scaled values below it are left out.", low=0)


def scaling(source: Source, p: ScalingParameters) -> Result:
    """Ask whether one distribution is the other, multiplied by a factor."""
    from napari_biofm.analyses.ephys.scaling import best_factor, rank_line
    from napari_biofm.events.statistics import cumulative

    groups, values = np.asarray(source.column(p.group), str), np.abs(source.numbers(p.value))
    known = np.isfinite(values)
    names = list(dict.fromkeys(groups[known].tolist()))
    if len(names) < 2:
        raise BiofmError(f"{len(names)} group in {p.group}: two are needed")
    control = p.control or names[0]
    if control not in names:
        raise BiofmError(f"no group {control!r} in {p.group}; there are: {', '.join(names)}")
    one = values[known & (groups == control)]
    rows, curves = [], [Curve(*cumulative(one), control, "steps")]
    for name in [n for n in names if n != control]:
        two = values[known & (groups == name)]
        factor, ks, chance = best_factor(one, two, p.least)
        slope, offset = rank_line(one, two)
        rows.append((name, len(one), len(two), factor, ks, chance, slope, offset))
        curves += [
            Curve(*cumulative(two), name, "steps"),
            Curve(*cumulative(_kept(one * factor, p.least)), f"{control} x {factor:.3g}", "steps"),
        ]
    data = list(zip(*rows, strict=True))
    names_ = (
        ("group", "compared with the control"), ("n_control", "rows"), ("n", "rows"), ("factor", "that makes the control most alike"),
        ("ks", "largest difference of the distributions after scaling"),
        ("p", "of Kolmogorov and Smirnov; small: not a multiple. The factor was fitted, so p is too large"),
        ("rank_slope", "of values in order of rank against those of the control"), ("rank_offset", "of that line"),
    )  # fmt: skip
    columns = tuple(Column(name, np.array(v), meaning=m) for (name, m), v in zip(names_, data, strict=True))
    said = "; ".join(
        f"{r[0]} = {control} x {r[3]:.4g}, KS after scaling {r[4]:.3f} (p = {r[5]:.2g})" for r in rows
    )
    return Result(columns, (Plot(p.value, "Cumulative share", tuple(curves)),), f"{said}.")


def _kept(values: Floats, least: float) -> Floats:
    return values[values >= least]


@dataclass(frozen=True)
class MixedParameters:
    """Which columns."""

    value: str = option("amplitude", "Column that is compared.", role="column")
    group: str = option("group", "Column with the group of each row.", role="column")
    cell: str = option("file", "Column with the cell.", role="column")
    animal: str = option("", "Column with the animal; empty: cells are independent.", role="column")
    log: bool = option(False, "Compare logarithms: differences become ratios.")


def mixed(source: Source, p: MixedParameters) -> Result:
    """Compare groups by a linear mixed model with random intercepts per cell and per animal."""
    from napari_biofm.analyses.ephys.mixed import mixed_model

    values = source.numbers(p.value)
    values = np.log(np.abs(values)) if p.log else values
    names = [np.asarray(source.column(name), str) if name else None for name in (p.group, p.cell, p.animal)]
    assert names[0] is not None and names[1] is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance at 0 is an answer, too
        rows, notes = mixed_model(values, names[0], names[1], names[2])
    keys = {
        "term": "group against the first, or the intercept (the first group)", "estimate": "difference", "error": "standard error",
        "low": "95 % interval", "high": "95 % interval", "p": "Wald", "n_rows": "rows", "n_cells": "cells", "n_animals": "animals",
    }  # fmt: skip
    columns = tuple(
        Column(key, np.array([row[key] for row in rows]), meaning=meaning) for key, meaning in keys.items()
    )
    said = [
        f"{row['term']}: {row['estimate']:+.4g} ({row['low']:.4g} to {row['high']:.4g}, p = {row['p']:.2g})"
        for row in rows[1:]
    ]
    return Result(columns, summary=f"{'; '.join(said)}.", notes=tuple(notes))


@dataclass(frozen=True)
class NoiseParameters:
    """How events are cut and scaled."""

    before_ms: float = option(5.0, "Cut before the peak of each event.", unit="ms", low=0.5, high=500)
    after_ms: float = option(40.0, "Cut after the peak.", unit="ms", low=1, high=5000)
    bins: int = option(30, "Bins of the mean current over the decay.", low=5, high=500)
    name: str = option("", "Class of the events; empty: all.", role="class")
    mode: Literal["scaled", "raw"] = option(
        "scaled", "Scaled to the peak of each event (for mPSCs), or raw (for evoked currents)."
    )
    driving_mv: float | None = option(
        None, "Driving force, for the conductance of one channel.", unit="mV", low=-300, high=300
    )
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def noise_analysis(source: Source, p: NoiseParameters) -> Result:
    """Tell the current of one channel from the variance about the mean event."""
    from napari_biofm.analyses.ephys.noise import variance_against_mean

    recording = source.the_recording
    if source.events is None or not len(source.events):
        raise RecordingError("noise analysis needs events: find them first")
    channel = picked_channel(recording, p.channel)
    found = variance_against_mean(
        recording,
        source.events,
        channel,
        p.name,
        (1e-3 * p.before_ms, 1e-3 * p.after_ms),
        p.bins,
        p.mode == "scaled",
    )
    unit = recording.channels[channel].unit
    columns = (
        Column("mean", found.mean, unit, "mean event in the bin, without its sign"),
        Column(
            "variance",
            found.variance,
            f"{unit}^2",
            "of the events about the (scaled) mean, background taken off",
        ),
        Column("fitted", found.fitted, f"{unit}^2", "i I - I^2 / N"),
    )
    summary = f"{found.n} events: current of one channel {found.current:.4g} +- {found.error:.2g} {unit}"
    summary += f", {found.channels:.4g} open at the peak" if np.isfinite(found.channels) else ""
    if p.driving_mv:
        summary += (
            f", {1e3 * found.current / abs(p.driving_mv):.4g} pS at {p.driving_mv:g} mV"
            if unit == "pA"
            else ""
        )
    order = np.argsort(found.mean)
    plots = (
        Plot("Mean current", "Variance", (Curve(found.mean[order], found.variance[order], style="points"), Curve(found.mean[order], found.fitted[order], "fit")), unit, f"{unit}^2"),
        Plot("Time", "Mean event", (Curve(found.t_ms, found.course),), "ms", unit, scale_bars=True),
    )  # fmt: skip
    return Result(columns, plots, f"{summary}.", found.notes)


ANALYSES = (
    Analysis(
        "relation", "Amplitude against rise, and other pairs", GROUP, "Two columns against each other, with correlations.",
        ("table",), relation, RelationParameters, "Columns were correlated by rank (Spearman) and linearly (SciPy).",
    ),
    Analysis(
        "scaling", "Scaling test", GROUP, "Whether one distribution is another multiplied by a factor.",
        ("table",), scaling, ScalingParameters,
        "Multiplicative scaling was tested by the factor that makes the distributions most alike (Kim, Tsien & Alger, PLoS ONE "
        "7:e37364, 2012) and by the line through ranked values (Turrigiano et al., Nature 391:892, 1998).",
    ),
    Analysis(
        "mixed-model", "Mixed model", GROUP, "Groups compared with random intercepts of cells within animals.",
        ("table",), mixed, MixedParameters,
        "Groups were compared by a linear mixed model with random intercepts of animals and of cells within them, restricted "
        "likelihood (statsmodels; Seabold & Perktold, SciPy 2010).",
    ),
    Analysis(
        "noise-analysis", "Non-stationary noise analysis", GROUP, "The current of one channel from the variance about the mean event.",
        ("recording", "events"), noise_analysis, NoiseParameters,
        "Peak-scaled non-stationary noise analysis (Traynelis, Silver & Cull-Candy, Neuron 11:279, 1993): variance = i I - I^2 / N.",
    ),
)  # fmt: skip
