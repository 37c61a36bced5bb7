"""Which cells answer to stimuli, how large, and to which of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.calcium.common import Cells, Floats, cells_of, fdr, given_file, row_of
from napari_biofm.analyses.description import Analysis, Column, Curve, OfCells, Plot, Result, Source, option
from napari_biofm.types import RecordingError

LEAST_TRIALS = 3


@dataclass(frozen=True)
class ResponsesParameters(OfCells):
    """When stimuli were given, what is measured around them, and how it is tested."""

    times: str = option("", "When stimuli began, such as 10, 25.5, 40.", unit="s")
    stimuli: str = option(
        "", "CSV with a column time_s and, if they differ, what each stimulus was.", role="file"
    )
    value: str = option("", "Column of that CSV which says what each stimulus was (angle, sound ...).")
    pulses: str = option("", "Recording on the clock of the movie whose pulses are the stimuli.", role="file")
    pulse_channel: int = option(0, "Channel of the pulses, counted from 0.", low=0)
    behaviour: str = option(
        "",
        "CSV with a time and a value column, or a recording, whose crossings of the threshold are the stimuli.",
        role="file",
    )
    behaviour_channel: int = option(0, "Channel of it, counted from 0; the column of time is none.", low=0)
    threshold: float | None = option(None, "Value that the behaviour signal crosses, in its unit.")
    falling: bool = option(False, "A stimulus is where the behaviour signal falls below the threshold.")
    least_s: float = option(
        0.5,
        "The behaviour signal stays beyond the threshold so long, and was not beyond it before.",
        unit="s",
        low=0,
    )
    offset_s: float = option(0.0, "Second of the traces at which the clock of the stimuli is 0.", unit="s")
    before_s: float = option(1.0, "Baseline before each stimulus.", unit="s", low=0.01)
    from_s: float = option(0.0, "The response is the mean from here after the stimulus.", unit="s")
    to_s: float = option(2.0, "To here.", unit="s", low=0.01)
    shown_s: float = option(4.0, "How long averages are drawn.", unit="s", low=0.05)
    shuffles: int = option(
        1000, "Sets of random times that responses are tested against.", low=20, high=100000
    )
    alpha: float = option(
        0.05, "False discovery rate up to which a cell is called responsive.", low=0, high=1
    )
    seed: int = option(0, "Of the shuffles.", low=0)
    cell: int | None = option(
        None, "Label of the cell whose tuning is drawn; not given: the strongest.", low=0
    )


def stimulus_responses(cells: Cells, at: Floats, before_s: float, from_s: float, to_s: float) -> Floats:
    """Return the response of each cell to each stimulus: mean in a window minus mean before.

    Parameters
    ----------
    cells : traces.
    at : (k,) seconds of the stimuli.
    before_s, from_s, to_s : length of the baseline, and window after the stimulus, s.

    Returns
    -------
    (n, k) in the unit of the traces; NaN where a window leaves the recording or has no number.
    """
    n, length = cells.values.shape
    good = np.isfinite(cells.values)
    total = np.concatenate([np.zeros((n, 1)), np.cumsum(np.where(good, cells.values, 0), axis=1)], axis=1)
    count = np.concatenate([np.zeros((n, 1)), np.cumsum(good, axis=1)], axis=1)

    def mean(start: Floats, stop: Floats) -> Floats:
        a = np.ceil(start * cells.rate - 1e-6).astype(int)
        b = np.maximum(np.ceil(stop * cells.rate - 1e-6).astype(int), a + 1)
        there = (a >= 0) & (b <= length)
        a, b = np.clip(a, 0, length), np.clip(b, 0, length)
        k = count[:, b] - count[:, a]
        found = np.divide(total[:, b] - total[:, a], k, out=np.full(k.shape, np.nan), where=k > 0)
        found[:, ~there] = np.nan
        return found

    return mean(at + from_s, at + to_s) - mean(at - before_s, at)


def shuffled_p(
    cells: Cells, at: Floats, what: NDArray[np.str_] | None, p: ResponsesParameters, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return mean responses (n,) and their two-sided p (n,) against as many stimuli at random times.

    Where stimuli differ, the largest of their mean responses is tested, so that a cell that answers to one of many counts.
    Random times and not a shift of all stimuli: regular stimuli, shifted by their interval, meet the responses again.

    Parameters
    ----------
    cells : traces. at : (k,) s. what : (k,) what each stimulus was, or None. p : windows and shuffles. rng : of the times.
    """
    windows = (p.before_s, p.from_s, p.to_s)
    latest = cells.values.shape[1] / cells.rate - p.to_s

    def strongest(trials: Floats) -> Floats:
        if what is None:
            return _mean(trials)
        means = np.column_stack([_mean(trials[:, what == name]) for name in np.unique(what)])
        means = np.nan_to_num(means)
        return np.asarray(means[np.arange(len(means)), np.abs(means).argmax(axis=1)], np.float64)

    trials = stimulus_responses(cells, at, *windows)
    seen = strongest(trials)
    null = np.empty((p.shuffles, len(cells.ids)))
    for i in range(p.shuffles):
        null[i] = strongest(stimulus_responses(cells, rng.uniform(p.before_s, latest, len(at)), *windows))
    middle = np.nanmedian(null, axis=0) if what is None else np.zeros(len(seen))
    beyond = (np.abs(null - middle) >= np.abs(seen - middle)).sum(axis=0)
    response = _mean(trials)
    return response, np.where(np.isfinite(response), (beyond + 1) / (p.shuffles + 1), np.nan)


def _mean(values: Floats) -> Floats:
    good = np.isfinite(values)
    total, count = np.where(good, values, 0).sum(axis=1), good.sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def tuning_p(trials: Floats, what: NDArray[np.str_], shuffles: int, rng: np.random.Generator) -> Floats:
    """Return the p (n,) that responses (n, k) do not depend on what was shown (k,): F against permuted stimuli."""
    names = np.unique(what)

    def f(order: NDArray[np.str_]) -> Floats:
        grand = np.nanmean(trials, axis=1)
        between = np.zeros(len(trials))
        for name in names:
            mine = trials[:, order == name]
            k = np.isfinite(mine).sum(axis=1)
            between += k * (_mean(mine) - grand) ** 2
        total = np.nansum((trials - grand[:, None]) ** 2, axis=1)
        return between / np.maximum(total - between, 1e-30)

    seen = f(what)
    beyond = sum((f(rng.permutation(what)) >= seen).astype(int) for _ in range(shuffles))
    return np.asarray((beyond + 1) / (shuffles + 1), np.float64)


def _stimuli(p: ResponsesParameters) -> tuple[Floats, NDArray[np.str_] | None, str]:
    """Return when stimuli were given, what they were, and where that is from."""
    from napari_biofm.analyses.ephys.common import numbers_in
    from napari_biofm.analyses.tables import read_table

    if p.stimuli:
        table = read_table(given_file(p.stimuli))
        name = next((one for one in ("time_s", "start_s", "onset_s", "time", "onset") if one in table), None)
        if name is None:
            raise RecordingError(f"{p.stimuli} has no column time_s; it has {', '.join(table)}")
        if p.value and p.value not in table:
            raise RecordingError(f"{p.stimuli} has no column {p.value}; it has {', '.join(table)}")
        times = np.asarray(table[name], np.float64)
        what = np.array([_word(v) for v in table[p.value]]) if p.value else None
        order = np.argsort(times)
        return times[order] + p.offset_s, None if what is None else what[order], f"from {p.stimuli}"
    if p.pulses:
        from napari_biofm.api.signals import read_recording
        from napari_biofm.timeline.triggers import triggers_of

        found = triggers_of(read_recording(given_file(p.pulses)), p.pulse_channel)
        return np.asarray(found.times) + p.offset_s, None, f"from the pulses in {p.pulses}"
    if p.behaviour:
        from napari_biofm.signals.behaviour import Behaviour, behaviour_events, read_behaviour, with_behaviour

        if p.threshold is None:
            raise RecordingError("which value of the behaviour signal is a stimulus? Give its threshold")
        recording = read_behaviour(given_file(p.behaviour))
        chosen = Behaviour(p.behaviour_channel, p.offset_s, p.threshold, p.falling, p.least_s)
        with_behaviour(recording, chosen)  # raises where there is no such channel
        at = behaviour_events(recording, chosen)
        about, way = recording.channels[p.behaviour_channel], "below" if p.falling else "above"
        return at, None, f"where {about.name} goes {way} {p.threshold:g} {about.unit} in {p.behaviour}"
    typed = numbers_in(p.times, "times")
    if not typed:
        raise RecordingError(
            "when were the stimuli? Give times, a CSV (stimuli), a recording of pulses or a behaviour signal"
        )
    return np.sort(np.array(typed, np.float64)) + p.offset_s, None, "at given times"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def responses_to_stimuli(source: Source, p: ResponsesParameters) -> Result:
    """Test each cell for responses, and measure its tuning where stimuli differ."""
    cells = cells_of(source)
    at, what, where = _stimuli(p)
    inside = (at - p.before_s >= 0) & (at + p.to_s <= cells.values.shape[1] / cells.rate)
    if inside.sum() < LEAST_TRIALS:
        raise RecordingError(
            f"{int(inside.sum())} stimuli lie inside the traces; {LEAST_TRIALS} or more are needed"
        )
    notes = [f"{int((~inside).sum())} stimuli lie outside the traces"] if not inside.all() else []
    at, what = at[inside], None if what is None else what[inside]
    rng = np.random.default_rng(p.seed)
    response, chance = shuffled_p(cells, at, what, p, rng)
    trials = stimulus_responses(cells, at, p.before_s, p.from_s, p.to_s)
    k = np.isfinite(trials).sum(axis=1)
    spread = np.array([np.nanstd(row, ddof=1) if m > 1 else np.nan for row, m in zip(trials, k, strict=True)])
    half = _t975(k - 1) * spread / np.sqrt(np.maximum(k, 1))
    q = fdr(chance)
    answering = q <= p.alpha
    columns = [
        Column("cell", cells.ids), Column("response", response, "", f"mean over trials ({cells.unit})"),
        Column("ci_low", response - half, "", "95 % confidence interval over trials"), Column("ci_high", response + half),
        Column("trials", k), Column("p", chance, "", "two-sided, against stimuli at random times; of the best stimulus where they differ"),
        Column("q", q, "", "corrected for many cells"), Column("responsive", answering),
    ]  # fmt: skip
    plots = [_average(cells, at, p, answering)]
    if what is not None:
        more, plot = _tuning(cells, trials, what, p, rng, response)
        columns += more
        plots.append(plot)
    summary = f"{int(answering.sum())} of {len(cells.ids)} cells respond to {len(at)} stimuli {where}."
    return Result(tuple(columns), tuple(plots), summary, tuple(notes))


def _t975(freedom: NDArray[np.integer]) -> Floats:
    from scipy import stats

    return np.asarray(stats.t.ppf(0.975, np.maximum(freedom, 1)), np.float64)


def _average(cells: Cells, at: Floats, p: ResponsesParameters, answering: NDArray[np.bool_]) -> Plot:
    """Draw the mean over responsive cells with its 95 % interval over cells, and that over the others."""
    lags = np.arange(-int(p.before_s * cells.rate), int(p.shown_s * cells.rate) + 1)
    index = np.round(at * cells.rate).astype(int)[:, None] + lags
    there = (index >= 0) & (index < cells.values.shape[1])
    curves: list[Curve] = []
    for chosen, name in ((answering, "responsive"), (~answering, "others")):
        if not chosen.any():
            continue
        cut = np.where(there, cells.values[chosen][:, np.clip(index, 0, cells.values.shape[1] - 1)], np.nan)
        start = np.nanmean(cut[..., lags < 0], axis=2, keepdims=True)
        each = np.nanmean(cut - start, axis=1)
        mean = np.nanmean(each, axis=0)
        if len(each) > 1:
            half = 1.96 * np.nanstd(each, axis=0, ddof=1) / np.sqrt(len(each))
            curves.append(Curve(lags / cells.rate, mean - half, "", "band", high=mean + half, faint=True))
        curves.append(Curve(lags / cells.rate, mean, f"{name} ({int(chosen.sum())})", faint=name == "others"))
    return Plot("Time after the stimulus", "Response", tuple(curves), "s", cells.unit)


def _tuning(
    cells: Cells,
    trials: Floats,
    what: NDArray[np.str_],
    p: ResponsesParameters,
    rng: np.random.Generator,
    response: Floats,
) -> tuple[list[Column], Plot]:
    """Return columns of tuning: mean per stimulus, the preferred one, selectivity, and whether it depends on it."""
    names = sorted(
        set(what.tolist()), key=lambda one: (0, float(one), one) if _is_number(one) else (1, 0.0, one)
    )
    means = np.column_stack([_mean(trials[:, what == name]) for name in names])
    errors = np.column_stack(
        [
            np.nanstd(trials[:, what == name], axis=1) / np.sqrt(max(int((what == name).sum()), 1))
            for name in names
        ]
    )
    best = np.nanargmax(np.where(np.isfinite(means), means, -np.inf), axis=1)
    positive = np.maximum(np.nan_to_num(means), 0)
    top = positive.max(axis=1)
    rest = (positive.sum(axis=1) - top) / max(len(names) - 1, 1)
    selectivity = np.divide(top - rest, top + rest, out=np.full(len(top), np.nan), where=top + rest > 0)
    columns = [
        Column("preferred", np.array(names)[best], "", "stimulus with the largest mean response"),
        Column("selectivity", selectivity, "", "(best - mean of others) / (best + mean of others), negative means as 0"),
        Column("tuned_p", tuning_p(trials, what, p.shuffles, rng), "", "F over stimuli against permuted stimuli"),
    ]  # fmt: skip
    columns += [Column(f"response_to_{name}", means[:, i]) for i, name in enumerate(names)]
    row = row_of(cells, p.cell) if p.cell is not None else int(np.nanargmax(response))
    numbers = all(_is_number(one) for one in names)
    x = np.array([float(one) for one in names]) if numbers else np.arange(len(names), dtype=float)
    title = f"cell {cells.ids[row]}" + ("" if numbers else f" ({', '.join(names)})")
    curve = Curve(x, means[row], "", "both", error=errors[row])
    return columns, Plot("Stimulus", "Response", (curve,), "", cells.unit, title=title)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


ANALYSES = (
    Analysis(
        "responsive-cells", "Responses to stimuli and tuning", "Cells", "Which cells answer to stimuli, and to which of them.",
        ("traces",), responses_to_stimuli, ResponsesParameters,
        "The response of a cell is the mean in a window after each stimulus minus that before; it was tested two-sided against "
        "as many stimuli at random times and corrected for many cells (Benjamini & Hochberg, J R Stat Soc B 57:289, 1995).",
    ),
)  # fmt: skip
