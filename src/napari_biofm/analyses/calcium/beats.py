"""Beats of heart and muscle in calcium, voltage or contraction: rate, times up and down, durations, and how they spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.calcium.common import Cells, Floats, cells_of
from napari_biofm.analyses.description import Analysis, Column, Curve, OfCells, Plot, Result, Source, option
from napari_biofm.types import RecordingError

MOST_PIXELS = 1024  # along a side of a map
GROUP = "Heart and muscle"
LEVELS = (10, 50, 90)  # per cent
LEAST_CONTRAST = 4.0  # height of a beat over the noise of the trace: less is no beat
NAMES = (
    "time_s", "interval_s", "amplitude", "t10_up", "t50_up", "t90_up", "t10_down", "t50_down", "t90_down",
    "duration_30", "duration_50", "duration_90", "max_rise_per_s", "activation_s",
)  # fmt: skip


@dataclass(frozen=True)
class BeatsParameters(OfCells):
    """How beats are found and listed."""

    rows: Literal["cell", "beat"] = option("cell", "A row per cell and one for the field, or a row per beat.")
    direction: Literal["auto", "up", "down"] = option(
        "auto", "Whether beats go up (calcium, voltage) or down (length, dyes)."
    )
    slowest_bpm: float = option(6.0, "Slowest rate that is looked for.", unit="beats/min", low=0.1)
    fastest_bpm: float = option(600.0, "Fastest rate that is looked for.", unit="beats/min", low=1)
    smooth_ms: float = option(
        0.0, "Standard deviation of the Gaussian before; it makes fast rises slower.", unit="ms", low=0
    )
    least: float = option(0.4, "A beat has at least this share of the usual height.", low=0.05, high=1)


def find_beats(trace: Floats, rate: float, p: BeatsParameters) -> NDArray[np.intp]:
    """Return the samples at which beats peak, (k,); none where the trace shows no beat above its noise.

    Parameters
    ----------
    trace : (T,) without gaps, beats upwards.
    rate : Hz.
    p : slowest and fastest rate, and least height.
    """
    from scipy import ndimage, signal

    noise = float(np.median(np.abs(np.diff(trace)))) / 0.954
    apart = max(int(60 / p.fastest_bpm * rate), 1)
    smooth = ndimage.gaussian_filter1d(trace, max(0.1 * apart, 0.5))
    floor = ndimage.minimum_filter1d(smooth, max(int(60 / p.slowest_bpm * rate), 3))
    height = float(np.percentile(smooth - floor, 99))
    if height < LEAST_CONTRAST * max(noise, 1e-12):
        return np.zeros(0, np.intp)
    at, _ = signal.find_peaks(smooth, prominence=p.least * height, distance=apart)
    half = max(apart // 4, 1)
    return np.array(
        [max(i - half, 0) + int(np.argmax(trace[max(i - half, 0) : i + half + 1])) for i in at], np.intp
    )


def measure_beats(trace: Floats, rate: float, peaks: NDArray[np.intp]) -> dict[str, Floats]:
    """Measure each beat that is whole in the trace.

    Parameters
    ----------
    trace : (T,) without gaps, beats upwards. rate : Hz. peaks : (k,) samples.

    Returns
    -------
    Column -> (k,): times in s, from the start of the upstroke, where the line through 10 and 50 % meets the base (`t10_up` .. to that share of the height), or from the peak
    (`t10_down` .. until that share of the height is lost); `duration_90` from half the upstroke to 90 % recovered, as an action
    potential's APD90; NaN where the next beat or the end comes first.
    """
    found = {name: np.full(len(peaks), np.nan) for name in NAMES}
    found["time_s"] = peaks / rate
    found["interval_s"][:-1] = np.diff(peaks) / rate
    for i, peak in enumerate(peaks.tolist()):
        low = int(peaks[i - 1]) if i else 0
        high = int(peaks[i + 1]) if i + 1 < len(peaks) else len(trace)
        foot = _foot(trace, low, peak)
        base = float(np.median(trace[max(low, foot - max(int(0.02 * rate), 1)) : foot + 1]))
        top = float(trace[peak])
        if top <= base or foot == low == 0:
            continue
        up, down = trace[foot : peak + 1], trace[peak:high]
        found["amplitude"][i] = top - base
        found["max_rise_per_s"][i] = float(np.diff(trace[foot : peak + 1]).max(initial=0)) * rate
        rise = {q: _crossing(up, base + q / 100 * (top - base), True) for q in LEVELS}
        start = rise[10] - (rise[50] - rise[10]) / 4  # the line through 10 and 50 % at the base
        fall = {q: _crossing(down, top - q / 100 * (top - base), False) for q in (10, 30, 50, 90)}
        for q in LEVELS:
            found[f"t{q}_up"][i] = (rise[q] - start) / rate
            found[f"t{q}_down"][i] = fall[q] / rate
        found["activation_s"][i] = (foot + rise[50]) / rate
        for q in (30, 50, 90):
            found[f"duration_{q}"][i] = (peak + fall[q] - foot - rise[50]) / rate
    return found


def _foot(trace: Floats, low: int, peak: int) -> int:
    """Return the sample at which the upstroke begins: the last one near the lowest level since the former beat."""
    part = trace[low : peak + 1]
    start = low + int(np.argmin(part)) if low == 0 else low + len(part) // 3
    part = trace[start : peak + 1]
    bottom = float(np.percentile(part, 10))
    level = bottom + 0.08 * (float(trace[peak]) - bottom)
    below = np.flatnonzero(part <= level)
    return start + (int(below[-1]) if len(below) else int(np.argmin(part)))


def _crossing(part: Floats, level: float, up: bool) -> float:
    """Return where a piece first reaches a level, in samples, between samples by a line; NaN if it does not."""
    beyond = part >= level if up else part <= level
    if not beyond.any():
        return float("nan")
    i = int(np.argmax(beyond))
    if i == 0:
        return 0.0
    a, b = float(part[i - 1]), float(part[i])
    return i - 1 + (level - a) / (b - a) if b != a else float(i)


def beats(source: Source, p: BeatsParameters) -> Result:
    """Measure the beats of every cell and of the field."""
    from scipy import ndimage

    cells = cells_of(source, any_signal=True)
    if p.slowest_bpm >= p.fastest_bpm:
        raise RecordingError(
            f"the slowest rate is {p.slowest_bpm:g}, the fastest {p.fastest_bpm:g} beats/min"
        )
    rows = cells.filled()
    if p.smooth_ms > 0:
        rows = ndimage.gaussian_filter1d(rows, p.smooth_ms / 1e3 * cells.rate, axis=1)
    names = [str(i) for i in cells.ids.tolist()]
    if len(rows) > 1:
        rows, names = np.vstack([rows, cells.filled().mean(axis=0)]), [*names, "field"]
    flipped = -1.0 if p.direction == "down" or (p.direction == "auto" and _downwards(rows[-1])) else 1.0
    each = [measure_beats(row, cells.rate, find_beats(row, cells.rate, p)) for row in flipped * rows]
    still = [name for name, one in zip(names, each, strict=True) if len(one["time_s"]) < 2]
    notes = [f"no beats above the noise in {', '.join(still[:20])}"] if still else []
    if cells.rate < 60:
        notes.append(
            f"{cells.rate:g} frames a second: upstrokes faster than {2000 / cells.rate:.0f} ms are not resolved"
        )
    columns = _per_beat(names, each, cells.unit) if p.rows == "beat" else _per_cell(names, each, cells.unit)
    field = each[-1]
    bpm = 60 / np.median(field["interval_s"][:-1]) if len(field["time_s"]) > 1 else float("nan")
    plots = (_plot_trace(cells, rows[-1], field, names[-1]), _plot_intervals(field))
    beating = len(names) - len(still) - (len(rows) > 1 and "field" not in still)
    return Result(
        columns,
        plots,
        f"{bpm:.4g} beats/min ({names[-1]}); {beating} of {len(cells.ids)} cells beat.",
        tuple(notes),
    )


def _downwards(trace: Floats) -> bool:
    """Return whether beats go down: the trace stays near its top and leaves it for a short time."""
    low, middle, high = np.percentile(trace, [1, 50, 99])
    return bool(middle - low > 1.5 * (high - middle))


def _per_beat(names: list[str], each: list[dict[str, Floats]], unit: str) -> tuple[Column, ...]:
    who = np.concatenate(
        [np.full(len(one["time_s"]), name, "U12") for name, one in zip(names, each, strict=True)]
    )
    units = {"amplitude": unit, "max_rise_per_s": unit}
    return (
        Column("cell", who),
        *(Column(k, np.concatenate([one[k] for one in each]), units.get(k, "")) for k in NAMES),
    )


def _per_cell(names: list[str], each: list[dict[str, Floats]], unit: str) -> tuple[Column, ...]:
    intervals = [one["interval_s"][np.isfinite(one["interval_s"])] for one in each]

    def of(function: object, least: int = 1) -> Floats:
        assert callable(function)
        return np.array([function(one) if len(one) >= least else np.nan for one in intervals])

    columns = [
        Column("cell", np.array(names)), Column("beats", np.array([len(one["time_s"]) for one in each])),
        Column("rate_bpm", of(lambda one: 60 / np.median(one)), "", "60 over the median interval"),
        Column("interval_s", of(np.mean), "", "mean"), Column("interval_sd_s", of(lambda one: one.std(ddof=1), 2)),
        Column("rmssd_s", of(lambda one: np.sqrt(np.mean(np.diff(one) ** 2)), 2), "", "of successive intervals"),
    ]  # fmt: skip
    for name in NAMES[2:13]:
        values = [one[name][np.isfinite(one[name])] for one in each]
        medians = np.array([np.median(one) if len(one) else np.nan for one in values])
        shown = name if name in ("amplitude", "max_rise_per_s") else f"{name}_s"
        columns.append(Column(shown, medians, unit if name == "amplitude" else "", "median over beats"))
    return tuple(columns)


def _plot_trace(cells: Cells, row: Floats, field: dict[str, Floats], name: str) -> Plot:
    at = (field["time_s"] * cells.rate).round().astype(int)
    curves = (Curve(cells.times, row, name), Curve(field["time_s"], row[at], "beats", "points"))
    return Plot("Time", "Signal", curves, "s", cells.unit)


def _plot_intervals(field: dict[str, Floats]) -> Plot:
    return Plot(
        "Time", "Beat to beat", (Curve(field["time_s"][:-1], field["interval_s"][:-1], "", "both"),), "s", "s"
    )


@dataclass(frozen=True)
class PropagationParameters(OfCells):
    """Where cells lie, and how beats are found."""

    masks: str = option("", "Label image of the cells, where the traces do not know it.", role="file")
    pixel_um: float | None = option(None, "Side of a pixel; not given: pixels.", unit="um", low=1e-6)
    direction: Literal["auto", "up", "down"] = option("auto", "Whether beats go up or down.")
    fastest_bpm: float = option(600.0, "Fastest rate that is looked for.", unit="beats/min", low=1)


def fitted_wave(at: Floats, delay: Floats) -> tuple[Floats, float, NDArray[np.bool_]]:
    """Return the plane through delays: slowness (2,) in s per unit (y, x), r squared, and which cells count (n,).

    Parameters
    ----------
    at : (n, 2) y and x. delay : (n,) s. Cells farther than three times the usual misfit are left out.
    """
    keep = np.isfinite(delay) & np.isfinite(at).all(axis=1)
    slope, r2 = np.full(2, np.nan), float("nan")
    for _ in range(3):
        if keep.sum() < 4:
            break
        design = np.column_stack([at[keep], np.ones(keep.sum())])
        fit, *_ = np.linalg.lstsq(design, delay[keep], rcond=None)
        left = delay - at @ fit[:2] - fit[2]
        slope = fit[:2]
        r2 = 1 - float(np.var(left[keep]) / max(float(np.var(delay[keep])), 1e-30))
        spread = 1.4826 * float(np.median(np.abs(left[keep])))
        keep = keep & (np.abs(np.nan_to_num(left, nan=np.inf)) <= max(3 * spread, 1e-9))
    return slope, r2, keep


def propagation(source: Source, p: PropagationParameters) -> Result:
    """Map when each cell is activated in a beat, and fit the speed of the wave."""
    cells = cells_of(source, p.masks, least=4)
    if cells.masks is None:
        raise RecordingError("these traces do not know where their cells are: give the label image (masks)")
    settings = BeatsParameters(direction=p.direction, fastest_bpm=p.fastest_bpm)
    rows = cells.filled()
    field = rows.mean(axis=0)
    sign = -1.0 if p.direction == "down" or (p.direction == "auto" and _downwards(field)) else 1.0
    common = measure_beats(sign * field, cells.rate, find_beats(sign * field, cells.rate, settings))
    period = float(np.nanmedian(common["interval_s"])) if len(common["time_s"]) > 1 else float("nan")
    if not np.isfinite(period):
        raise RecordingError("the field shows fewer than two beats: no wave can be told")
    delays = np.full((len(rows), len(common["time_s"])), np.nan)
    for i, row in enumerate(sign * rows):
        mine = measure_beats(row, cells.rate, find_beats(row, cells.rate, settings))["activation_s"]
        mine = mine[np.isfinite(mine)]
        if len(mine):
            away = mine[None, :] - common["activation_s"][:, None]
            nearest = np.abs(np.nan_to_num(away, nan=np.inf)).argmin(axis=1)
            found = away[np.arange(len(away)), nearest]
            delays[i] = np.where(np.abs(found) < 0.4 * period, found, np.nan)
    there = np.isfinite(delays).any(axis=1)
    delay = np.full(len(rows), np.nan)
    delay[there] = np.nanmedian(delays[there], axis=1)
    unit, side = ("um", p.pixel_um) if p.pixel_um else ("px", 1.0)
    at = cells.centres() * side
    slope, r2, keep = fitted_wave(at, delay)
    slowness = float(np.hypot(*slope))
    notes = []
    if not np.isfinite(r2) or r2 < 0.3:
        notes.append(
            f"no plane wave can be told: it explains {0 if not np.isfinite(r2) else max(r2, 0):.0%} of the delays"
        )
    speed = 1 / slowness if slowness > 0 else float("inf")
    angle = float(np.degrees(np.arctan2(-slope[0], slope[1])))
    columns = (
        Column("cell", cells.ids), Column("y", at[:, 0], unit), Column("x", at[:, 1], unit),
        Column("delay", 1e3 * delay, "ms", "activation (half the upstroke) after that of the field, median over beats"),
        Column("beats", np.isfinite(delays).sum(axis=1)), Column("in_plane", keep, "", "fits the plane wave"),
    )  # fmt: skip
    along = at @ (slope / slowness) if slowness > 0 else at[:, 0]
    plot = Plot(
        "Distance along the wave", "Delay", (Curve(along, 1e3 * delay, "cells", "points"),), unit, "ms"
    )
    summary = f"{speed:.4g} {unit}/s towards {angle:.0f} degrees (0 is right, 90 up), r2 {r2:.2f}, {int(keep.sum())} cells."
    said = summary if not notes else f"{int(there.sum())} cells beat."
    return Result(columns, (_delay_map(cells, 1e3 * delay), plot), said, tuple(notes))


def _delay_map(cells: Cells, delay_ms: Floats) -> Plot:
    """Draw each cell where it lies in the colour of its delay: blue before the field, red after it."""
    assert cells.masks is not None
    order = np.argsort(cells.ids)
    rows = np.minimum(np.searchsorted(cells.ids[order], cells.masks), len(order) - 1)
    inside = cells.ids[order][rows] == cells.masks
    picture = np.where(inside, delay_ms[order][rows], np.nan)
    step = max(-(-max(picture.shape) // MOST_PIXELS), 1)
    most = float(np.nanmax(np.abs(delay_ms))) if np.isfinite(delay_ms).any() else 0.0
    most = most if most > 0 else 1.0
    return Plot(
        "x (px)" if step == 1 else f"x ({step} px)",
        "Delay",
        (),
        y_unit="ms",
        matrix=picture[::step, ::step],
        matrix_range=(-most, most),
    )


ANALYSES = (
    Analysis(
        "beats", "Beats", GROUP, "Rate, times up and down, durations and intervals of beats, per cell and for the field.",
        ("recording",), beats, BeatsParameters,
        "Beats were found as peaks; times to 10, 50 and 90 % up and down are interpolated between samples, durations run from half "
        "the upstroke to 30, 50 and 90 % recovery.",
    ),
    Analysis(
        "propagation", "Spread of a beat over cells", GROUP, "When each cell is activated, and speed and direction of the wave.",
        ("traces",), propagation, PropagationParameters,
        "Activation is half the upstroke; speed and direction are those of a plane through the delays of cells (Bayly et al., IEEE "
        "Trans Biomed Eng 45:563, 1998).",
    ),
)  # fmt: skip
