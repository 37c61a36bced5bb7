"""What is published of single channels: dwell times, mean open time, open probability, unit current, histograms."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.channels.idealization import Idealized, idealize
from napari_biofm.events.features.channel import (
    CHANNEL_SWEEP_DEFINITIONS,
    DwellFit,
    Floats,
    dwell_histogram,
    dwell_times,
    fit_dwells,
)
from napari_biofm.events.features.definitions import Values
from napari_biofm.files import CsvWriter
from napari_biofm.types import Trace

BINS = 160  # of the amplitude histogram
_NAN = float("nan")

SUMMARY_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "n_channels": "channels; most seen open at once",
        "unit_current": "current of one channel, in the trace's unit",
        "open_probability": "mean open channels over channels (Po), with one channel corrected for missed events",
        "n_po": "mean number of open channels",
        "mean_open_ms": "of one channel, with one channel corrected for missed events",
        "mean_shut_ms": "likewise",
        "mean_open_seen_ms": "as seen, nothing corrected",
        "mean_shut_seen_ms": "likewise",
        "dead_time_ms": "shorter dwells are missed, or left out",
        "n_openings": "openings seen",
        "seconds": "duration",
        "probability": "that levels are read right",
        "notes": "what cannot be told",
    }
)


@dataclass(frozen=True)
class DwellHistogram:
    """Dwell times in logarithmic bins, and the exponentials fitted to them.

    Attributes
    ----------
    edges_s : (n + 1,). counts : (n,). fit : None for too few.
    """

    edges_s: Floats
    counts: NDArray[np.int64]
    fit: DwellFit | None

    @property
    def fitted(self) -> Floats:
        """(n,) counts that the fit expects."""
        if self.fit is None:
            return np.full(len(self.counts), np.nan)
        left = np.exp(-self.edges_s[:, None] / self.fit.tau_s) @ self.fit.share
        kept = float(np.exp(-self.edges_s[0] / self.fit.tau_s) @ self.fit.share)
        return np.asarray(self.counts.sum() * -np.diff(left) / max(kept, 1e-12))


@dataclass(frozen=True)
class AmplitudeHistogram:
    """All samples over the baseline, and one Gaussian per level fitted to them.

    Attributes
    ----------
    edges : (n + 1,) in the trace's unit. counts : (n,).
    mean, sd, share : (k,) of the Gaussians, shut level first.
    """

    edges: Floats
    counts: NDArray[np.int64]
    mean: Floats
    sd: Floats
    share: Floats

    @property
    def fitted(self) -> Floats:
        """(n,) counts that the fit expects."""
        below = scipy.special.ndtr((self.edges[:, None] - self.mean) / self.sd) @ self.share
        return np.asarray(self.counts.sum() * np.diff(below))


@dataclass(frozen=True)
class ChannelSummary:
    """One idealised sweep in numbers.

    Attributes
    ----------
    values : by the names of `SUMMARY_COLUMNS`.
    open_dwells, shut_dwells : with any channel open, with all shut.
    amplitudes : of all samples.
    dwells : (n,) fields n_open, start_s, duration_s, current; the first and the last are cut off.
    unit : of currents.
    """

    values: Mapping[str, Any]
    open_dwells: DwellHistogram
    shut_dwells: DwellHistogram
    amplitudes: AmplitudeHistogram
    dwells: NDArray[Any]
    unit: str

    @property
    def text(self) -> str:
        """The numbers in words."""
        v = self.values
        if not v["n_openings"]:
            return f"No opening in {v['seconds']:.4g} s. {v['notes']}".strip()
        words = [
            f"{v['n_channels']} channel(s) of {v['unit_current']:.3g} {self.unit}, Po {v['open_probability']:.3g}",
            f"mean open {v['mean_open_ms']:.3g} ms, shut {v['mean_shut_ms']:.3g} ms",
            f"{v['n_openings']} openings in {v['seconds']:.4g} s, dead time {v['dead_time_ms']:.2g} ms",
        ]
        return "; ".join(words) + "." + (f" {v['notes']}." if v["notes"] else "")


def summarize(signal: Trace, ideal: Idealized | None = None) -> ChannelSummary:
    """Return dwell times, probabilities and histograms of a single-channel trace.

    Parameters
    ----------
    signal : one channel of one sweep.
    ideal : of the trace, where it is known already.
    """
    ideal = idealize(signal) if ideal is None else ideal
    fs = signal.sampling_rate
    dead = max(ideal.dead_time_s, 1 / fs)
    n_open = resolved(ideal.n_open, round(dead * fs)) if len(ideal.levels) == 2 else ideal.n_open
    dwells = dwell_table(n_open, ideal, fs)
    inner = dwells[1:-1]
    is_open = inner["n_open"] > 0
    lengths = {word: inner["duration_s"][is_open == flag] for word, flag in (("open", True), ("shut", False))}
    if len(ideal.levels) > 2:  # dwells with any open, whatever their number
        lengths = _any_open(n_open, fs)
    return ChannelSummary(
        _values(n_open, lengths, dead, ideal, fs),
        _histogram(lengths["open"], dead),
        _histogram(lengths["shut"], dead),
        amplitude_fit(np.asarray(signal.values[:], np.float64) - ideal.baseline, ideal),
        dwells,
        signal.unit,
    )


def sweep_values(signal: Trace) -> Values:
    """Return the columns of `CHANNEL_SWEEP_DEFINITIONS` of a single-channel trace."""
    one = summarize(signal)
    v = one.values
    values: Values = dict.fromkeys(CHANNEL_SWEEP_DEFINITIONS, _NAN)
    values |= {
        "n_openings": float(v["n_openings"]),
        "opening_rate_Hz": v["n_openings"] / v["seconds"] if v["seconds"] else _NAN,
        "n_channels": float(v["n_channels"]),
        "open_probability": v["open_probability"] if v["n_channels"] else 0.0,
        "n_po": v["n_po"],
        "step": v["unit_current"],
        "mean_open_ms": v["mean_open_ms"],
        "mean_closed_ms": v["mean_shut_ms"],
    }
    for word, histogram in (("open", one.open_dwells), ("closed", one.shut_dwells)):
        if histogram.fit is not None:
            values[f"{word}_tau_ms"] = 1e3 * float(histogram.fit.tau_s[np.argmax(histogram.fit.share)])
    return values


def resolved(n_open: NDArray[np.int8], shortest: int) -> NDArray[np.int8]:
    """Return open channels with dwells shorter than `shortest` samples counted to the dwell before them."""
    if shortest <= 1 or not len(n_open):
        return n_open
    edges = np.flatnonzero(np.diff(n_open)) + 1
    starts = np.r_[0, edges]
    length = np.diff(np.r_[starts, len(n_open)])
    state = n_open[starts]
    long = length >= shortest
    if not long.any():
        return n_open
    before = np.maximum.accumulate(np.where(long, np.arange(len(state)), -1))
    return np.asarray(np.repeat(state[np.where(before < 0, int(np.argmax(long)), before)], length))


def dwell_table(n_open: NDArray[np.int8], ideal: Idealized, sampling_rate: float) -> NDArray[Any]:
    """Return (n,) dwells: n_open, start_s, duration_s, current over the baseline."""
    kinds = [("n_open", "i8"), ("start_s", "f8"), ("duration_s", "f8"), ("current", "f8")]
    if not len(n_open):
        return np.zeros(0, kinds)
    starts = np.r_[0, np.flatnonzero(np.diff(n_open)) + 1]
    table = np.zeros(len(starts), kinds)
    table["n_open"], table["start_s"] = n_open[starts], starts / sampling_rate
    table["duration_s"] = np.diff(np.r_[starts, len(n_open)]) / sampling_rate
    table["current"] = ideal.levels[table["n_open"]]
    return table


def _any_open(n_open: NDArray[np.int8], fs: float) -> dict[str, Floats]:
    opened, shut = dwell_times(n_open, fs)
    return {"open": opened, "shut": shut}


def _histogram(dwell: Floats, dead: float) -> DwellHistogram:
    seen = dwell[dwell >= dead * (1 - 1e-9)]
    edges, counts = dwell_histogram(seen)
    return DwellHistogram(edges, counts, fit_dwells(seen, dead))


def _values(
    n_open: NDArray[np.int8], lengths: Mapping[str, Floats], dead: float, ideal: Idealized, fs: float
) -> dict[str, Any]:
    channels = len(ideal.levels) - 1
    steps = np.diff(n_open.astype(np.int64))
    openings, closings = int(np.clip(steps, 0, None).sum()), int(np.clip(-steps, 0, None).sum())
    mean = float(n_open.mean()) if len(n_open) else 0.0
    values: dict[str, Any] = dict.fromkeys(SUMMARY_COLUMNS, _NAN)
    values |= {
        "n_channels": channels,
        "unit_current": float(ideal.levels[1]) if channels else _NAN,
        "open_probability": mean / channels if channels else _NAN,
        "n_po": mean,
        "dead_time_ms": 1e3 * dead,
        "n_openings": openings,
        "seconds": len(n_open) / fs,
        "probability": ideal.probability,
        "notes": "; ".join(ideal.notes),
    }
    if not channels or not closings:
        return values
    if channels == 1:
        opened, shut = (
            float(lengths[word].mean()) if len(lengths[word]) else _NAN for word in ("open", "shut")
        )
    else:  # all the time that channels spent open, or shut, over how often one of them left it
        opened = float(n_open.sum(dtype=np.int64)) / fs / closings
        shut = float((channels - n_open).sum(dtype=np.int64)) / fs / max(openings, 1)
    values |= {"mean_open_seen_ms": 1e3 * opened, "mean_shut_seen_ms": 1e3 * shut}
    if channels == 1:
        opened, shut = corrected_means(opened, shut, dead, fs)
        values["open_probability"] = opened / (opened + shut) if np.isfinite(opened + shut) else mean
    values |= {"mean_open_ms": 1e3 * opened, "mean_shut_ms": 1e3 * shut}
    return values


def corrected_means(opened: float, shut: float, dead: float, sampling_rate: float) -> tuple[float, float]:
    """Return the mean open and shut times (s) of a channel from those seen.

    Two states are assumed. With a dead time d, an apparent opening lasts (o + s) exp(d / s) - s on average (Colquhoun
    & Sigworth 1995, in Single-Channel Recording, eq. 57 ff.); where d is one sample, the channel is seen at samples
    only, and leaves its state between two of them with a chance of s / (o + s) (1 - exp(-t (1 / o + 1 / s))).

    Parameters
    ----------
    opened, shut : seen, s; NaN where none was complete. dead : s.
    """
    if not np.isfinite(opened + shut) or min(opened, shut) <= 0:
        return opened, shut
    step = 1 / sampling_rate
    if dead <= 1.5 * step:
        whole = opened + shut
        leave = step / opened * whole / shut  # chance per sample over the share of the other state
        if leave >= 1:
            return opened, shut
        rate = -np.log(1 - leave) / step
        return whole / shut / rate, whole / opened / rate
    o, s = max(opened - dead, 0.2 * opened), max(shut - dead, 0.2 * shut)
    for _ in range(200):
        fresh_o = (opened + s) * np.exp(-dead / s) - s
        fresh_s = (shut + o) * np.exp(-dead / o) - o
        o, s = 0.5 * (o + max(fresh_o, 0.05 * opened)), 0.5 * (s + max(fresh_s, 0.05 * shut))
    return float(o), float(s)


def amplitude_fit(current: Floats, ideal: Idealized) -> AmplitudeHistogram:
    """Return the histogram of all samples over the baseline with a Gaussian per level, fitted from the levels found.

    Parameters
    ----------
    current : (n,) samples less the baseline.
    """
    current = current[np.isfinite(current)]
    if not len(current):
        return AmplitudeHistogram(np.zeros(0), np.zeros(0, np.int64), *(np.zeros(0) for _ in range(3)))
    low, high = np.quantile(current, [0.0005, 0.9995])
    margin = 0.05 * (high - low) + 1e-12
    counts, edges = np.histogram(current, BINS, (low - margin, high + margin))
    x, weight = 0.5 * (edges[1:] + edges[:-1]), counts / max(counts.sum(), 1)
    mean = ideal.levels.astype(float).copy()
    sd = np.full(len(mean), np.nan)
    sd[: len(ideal.noise)] = ideal.noise[: len(mean)]
    sd = np.where(np.isfinite(sd) & (sd > 0), sd, current.std() + 1e-12)
    share = np.bincount(ideal.n_open, minlength=len(mean))[: len(mean)] / max(len(ideal.n_open), 1) + 1e-6
    for _ in range(20 if len(mean) > 1 else 1):
        law = share / sd * np.exp(-0.5 * ((x[:, None] - mean) / sd) ** 2) + 1e-300
        own = weight[:, None] * law / law.sum(1, keepdims=True)
        share = own.sum(0) + 1e-9
        mean = np.where(share > 1e-3, (own * x[:, None]).sum(0) / share, mean)
        spread = np.sqrt((own * (x[:, None] - mean) ** 2).sum(0) / share)
        sd = np.where(share > 1e-3, np.maximum(spread, edges[1] - edges[0]), sd)
    return AmplitudeHistogram(edges, counts.astype(np.int64), mean, sd, share / share.sum())


def to_tables(summaries: list[ChannelSummary]) -> dict[str, str]:
    """Return CSV texts by name: summary, dwells, open_dwells, shut_dwells, amplitudes; one sweep after the other."""
    rows: dict[str, list[list[Any]]] = {
        "summary": [["sweep", "current_unit", *SUMMARY_COLUMNS]],
        "dwells": [["sweep", "n_open", "start_s", "duration_s", "current", "cut_off"]],
        "open_dwells": [["sweep", "from_s", "to_s", "count", "fitted", "tau_s", "share"]],
        "shut_dwells": [["sweep", "from_s", "to_s", "count", "fitted", "tau_s", "share"]],
        "amplitudes": [["sweep", "from", "to", "count", "fitted", "level_mean", "level_sd", "level_share"]],
    }
    for sweep, one in enumerate(summaries):
        rows["summary"].append([sweep, one.unit, *one.values.values()])
        last = len(one.dwells) - 1
        rows["dwells"] += [[sweep, *d.tolist(), int(i in (0, last))] for i, d in enumerate(one.dwells)]
        for name, histogram in (("open_dwells", one.open_dwells), ("shut_dwells", one.shut_dwells)):
            fit = histogram.fit
            side = np.zeros((0, 2)) if fit is None else np.stack([fit.tau_s, fit.share], 1)
            rows[name] += _beside(sweep, histogram.edges_s, histogram.counts, histogram.fitted, side)
        a = one.amplitudes
        side = np.stack([a.mean, a.sd, a.share], 1)
        rows["amplitudes"] += _beside(
            sweep, a.edges, a.counts, a.fitted if len(a.counts) else np.zeros(0), side
        )
    return {name: _csv(these) for name, these in rows.items()}


def _beside(
    sweep: int, edges: Floats, counts: NDArray[np.int64], fitted: Floats, side: Floats
) -> list[list[Any]]:
    """Return rows of bins, with the parameters of the fit beside the first of them."""
    out: list[list[Any]] = []
    for i in range(max(len(counts), len(side) if len(counts) else 0)):
        own = [edges[i], edges[i + 1], counts[i], fitted[i]] if i < len(counts) else ["", "", "", ""]
        out.append([sweep, *own, *(side[i].tolist() if i < len(side) else ())])
    return out


def _csv(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    writer = CsvWriter(out)
    for row in rows:
        row = row + [""] * (len(rows[0]) - len(row))
        writer.writerow([f"{v:.6g}" if isinstance(v, float) and np.isfinite(v) else _plain(v) for v in row])
    return out.getvalue()


def _plain(value: Any) -> Any:
    """Return a value as it is written: nothing for what is no number."""
    return "" if isinstance(value, float) else value
