"""Which regions are cells: signal, shape, neighbours and events of each, with rules to accept and reject; spike rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.calcium.common import Cells, Floats, cells_of, given_file, row_of
from napari_biofm.analyses.description import Analysis, Column, Curve, OfCells, Plot, Result, Source, option
from napari_biofm.signals.curation import file_accepts, verdicts_of
from napari_biofm.types import RecordingError

GROUP = "Cells"
SMOOTH_S = 0.1  # standard deviation of the Gaussian before the signal is read


@dataclass(frozen=True)
class CurationParameters:
    """Rules; an empty one is not applied."""

    least_snr: float | None = option(2.0, "Cells with a lower signal to noise are rejected.", low=0)
    most_compactness: float | None = option(
        1.6,
        "Regions less compact are rejected: mean distance of pixels from the centre over that of a disc.",
        low=1,
    )
    most_alike: float | None = option(
        0.9,
        "Of neighbours whose traces correlate more, the smaller is rejected (parts of one cell).",
        low=0,
        high=1,
    )
    near_px: float = option(30.0, "Cells whose centres are nearer are neighbours.", unit="px", low=1)
    least_events: float | None = option(
        None, "Cells with fewer events are rejected.", unit="events/min", low=0
    )
    masks: str = option("", "Label image of the cells, where the traces do not know it.", role="file")
    iscell: str = option(
        "",
        "suite2p's iscell.npy, a row per cell: what it rejects stays rejected. Else what the file of results says.",
        role="file",
    )
    write_iscell: str = option("", "Write the decision as iscell.npy for suite2p to this file.")


def signal_to_noise(values: Floats, rate: float) -> Floats:
    """Return the signal to noise of traces (n,): 99th percentile of the smoothed trace above its median over the noise.

    Parameters
    ----------
    values : (n, T) without gaps. rate : Hz. The noise is the standard deviation of a frame, from steps between frames.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter1d(values, max(SMOOTH_S * rate, 0.5), axis=1)
    noise = np.median(np.abs(np.diff(values, axis=1)), axis=1) / 0.954
    top = np.percentile(smooth, 99, axis=1) - np.median(smooth, axis=1)
    return np.divide(top, noise, out=np.zeros(len(values)), where=noise > 0)


def noise_level(values: Floats, rate: float, unit: str) -> Floats:
    """Return the noise of dF/F (n,) in % / sqrt(Hz): median absolute step over the root of the frame rate; NaN of other units.

    As in CASCADE: Rupprecht et al., Nat Neurosci 24:1324 (2021).

    Parameters
    ----------
    values : (n, T). rate : Hz. unit : "dF/F", a fraction, or "%".
    """
    percent = {"dF/F": 100.0, "%": 1.0}.get(unit, np.nan)
    return np.asarray(
        percent * np.nanmedian(np.abs(np.diff(values, axis=1)), axis=1) / np.sqrt(rate), np.float64
    )


def compactness(masks: NDArray[np.int32], ids: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Return for each cell the mean distance of its pixels from their centre over that of a disc (>= 1), and its pixels.

    Parameters
    ----------
    masks : (Y, X) labels. ids : (n,).
    """
    found, counts = np.full(len(ids), np.nan), np.zeros(len(ids), np.int64)
    for i, label in enumerate(ids.tolist()):
        at = np.argwhere(masks == label).astype(float)
        counts[i] = len(at)
        if len(at) > 3:
            away = np.hypot(*(at - np.median(at, axis=0)).T).mean()
            found[i] = max(away / (2 / 3 * np.sqrt(len(at) / np.pi)), 1.0)
    return found, counts


def neighbours(cells: Cells, near_px: float) -> tuple[Floats, NDArray[np.int64]]:
    """Return the highest correlation of each cell with a neighbour (n,), and the row of that one (n,), -1 for none.

    Parameters
    ----------
    cells : with masks. near_px : distance of centres.
    """
    scores, centres = cells.scores(), cells.centres()
    best, which = np.full(len(scores), np.nan), np.full(len(scores), -1, np.int64)
    for i in range(len(scores)):
        near = np.flatnonzero(np.hypot(*(centres - centres[i]).T) <= near_px)
        near = near[near != i]
        if len(near):
            r = scores[near] @ scores[i] / scores.shape[1]
            best[i], which[i] = r.max(), near[int(r.argmax())]
    return best, which


def curate(source: Source, p: CurationParameters) -> Result:
    """Describe every cell and accept or reject it by the rules."""
    cells = cells_of(source, p.masks)
    filled, n = cells.filled(), len(cells.ids)
    snr, notes = signal_to_noise(filled, cells.rate), []
    shape, pixels, alike, other = (
        np.full(n, np.nan),
        np.zeros(n, np.int64),
        np.full(n, np.nan),
        np.full(n, -1, np.int64),
    )
    if cells.masks is None:
        notes.append("the traces do not know their masks: shape and neighbours cannot be told (give masks)")
    else:
        shape, pixels = compactness(cells.masks, cells.ids)
        alike, other = neighbours(cells, p.near_px)
    rates = _event_rates(source, cells)
    reasons: list[list[str]] = [[] for _ in range(n)]
    recording = source.the_recording
    given = _read_iscell(p.iscell, n) if p.iscell else file_accepts(recording)
    said = verdicts_of(recording)
    for i in range(n):
        if not given[i]:
            reasons[i].append("rejected in iscell" if p.iscell else "rejected in the file")
        if p.least_snr is not None and snr[i] < p.least_snr:
            reasons[i].append("signal to noise")
        if p.most_compactness is not None and shape[i] > p.most_compactness:
            reasons[i].append("shape")
        if p.least_events is not None and rates[i] < p.least_events:
            reasons[i].append("events")
        twin = int(other[i])
        if p.most_alike is not None and alike[i] > p.most_alike and (pixels[i], -i) < (pixels[twin], -twin):
            reasons[i].append(f"part of cell {cells.ids[twin]}")
    for i, label in enumerate(cells.ids.tolist()):  # what a person said of a cell goes before every rule
        if label in said:
            reasons[i] = [] if said[label] == "accept" else ["rejected by hand"]
    accepted = np.array([not why for why in reasons])
    if said:
        notes.append(f"{len(said)} cells were judged by hand; rules do not touch them")
    if p.write_iscell:
        write_iscell(Path(p.write_iscell), accepted, snr)
        notes.append(f"wrote {p.write_iscell}")
    columns = (
        Column("cell", cells.ids), Column("accepted", accepted), Column("reason", np.array(["; ".join(why) for why in reasons])),
        Column("snr", snr, "", "99th percentile above the median over the noise of a frame"),
        Column("noise_level", noise_level(cells.values, cells.rate, cells.unit), "",
               "% / sqrt(Hz), as in CASCADE; empty where traces are no dF/F"),
        Column("events_per_min", rates), Column("pixels", pixels), Column("compactness", shape, "", "1 is a disc"),
        Column("neighbour_r", alike, "", "highest correlation with a neighbour"),
    )  # fmt: skip
    order = np.argsort(snr)
    plot = Plot("Cell", "Signal to noise", (Curve(np.arange(n), snr[order], "", "points"),))
    return Result(columns, (plot,), f"{int(accepted.sum())} of {n} cells accepted.", tuple(notes))


def _event_rates(source: Source, cells: Cells) -> Floats:
    """Return events per minute of each cell; minutes without numbers do not count."""
    events = source.events
    minutes = np.isfinite(cells.values).sum(axis=1) / cells.rate / 60
    if events is None or not len(events):
        return np.where(minutes > 0, 0.0, np.nan)
    real = events[~np.isin(events["class"], ("artefact", "rejected"))]
    counts = np.bincount(real["channel"], minlength=len(cells.ids))[: len(cells.ids)]
    return np.divide(counts, minutes, out=np.full(len(cells.ids), np.nan), where=minutes > 0)


def _read_iscell(path: str, n: int) -> NDArray[np.bool_]:
    from napari_biofm.files import load_numpy

    values = np.asarray(load_numpy(given_file(path)))
    decision = values[:, 0] if values.ndim == 2 else values
    if len(decision) != n:
        raise RecordingError(
            f"{path} has {len(decision)} rows, the traces {n} cells: take the iscell.npy of the same cells"
        )
    return np.asarray(decision) > 0.5


def write_iscell(path: Path, accepted: NDArray[np.bool_], score: Floats) -> Path:
    """Write `iscell.npy` as suite2p has it, (n, 2) float32: accepted, and a score from 0 to 1 that grows with `score`.

    Parameters
    ----------
    path : of the file, ending in .npy. accepted, score : (n,).
    """
    from napari_biofm.files import atomic_write

    if path.suffix != ".npy":
        raise RecordingError(f"{path.name}: iscell is written as .npy")
    table = np.column_stack([accepted, score / (1 + np.abs(score))]).astype(np.float32)
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.save(file, table, allow_pickle=False)
    return path


Indicator = Literal["GCaMP6f", "GCaMP6s", "GCaMP7f", "GCaMP8s", "GCaMP8m", "GCaMP8f", "OGB-1", "unknown"]
# rise to peak and half decay after one spike, ms: Chen et al., Nature 499:295 (2013); Dana et al., Nat Methods 16:649
# (2019); Zhang et al., Nature 615:884 (2023); OGB-1: Chen et al. 2013
KERNELS_MS: dict[str, tuple[float, float]] = {
    "GCaMP6f": (45, 142), "GCaMP6s": (179, 550), "GCaMP7f": (75, 265), "GCaMP8s": (10, 198), "GCaMP8m": (7, 108),
    "GCaMP8f": (7, 67), "OGB-1": (30, 335),
}  # fmt: skip


@dataclass(frozen=True)
class RateParameters(OfCells):
    """Which cell is drawn, and the indicator."""

    cell: int | None = option(None, "Label of the cell that is drawn; not given: the first.", low=0)
    indicator: Indicator = option(
        "unknown", "Says how fast spikes can be told apart; the rate itself is the model's."
    )


def cell_rates(source: Source, p: RateParameters) -> Result:
    """Infer spikes per second, with the band that holds 90 % of frames."""
    from napari_biofm.api.rates import spike_rate

    cells = cells_of(source)
    found = spike_rate(source.the_recording, channel="all")
    noise = noise_level(cells.values, cells.rate, cells.unit)
    row = row_of(cells, p.cell)
    notes = [*found.warnings, "rates and bands are those of spikes smoothed with a Gaussian of 50 ms"]
    if p.indicator in KERNELS_MS:
        rise, decay = KERNELS_MS[p.indicator]
        notes.append(
            f"{p.indicator}: one spike rises for {rise:g} ms and halves in {decay:g} ms (published medians)"
        )
        if cells.rate < 1000 / decay:
            notes.append(
                f"{cells.rate:g} frames a second are few for {p.indicator}: a spike's transient has one frame or none"
            )
    columns = (
        Column("cell", cells.ids), Column("mean_rate", np.nanmean(found.rate, axis=1) if len(cells.ids) else noise, "", "spikes/s"),
        Column("mean_low", np.nanmean(found.low, axis=1), "", "mean of the 5 % quantile"),
        Column("mean_high", np.nanmean(found.high, axis=1), "", "mean of the 95 % quantile"),
        Column("peak_rate", np.nanmax(found.rate, axis=1), "", "spikes/s"),
        Column("noise_level", noise, "", "% / sqrt(Hz), as in CASCADE"),
    )  # fmt: skip
    curves = (
        Curve(cells.times, found.low[row], "90 % band", "band", high=found.high[row], faint=True),
        Curve(cells.times, found.rate[row], f"cell {cells.ids[row]}"),
    )
    summary = f"Median rate of {len(cells.ids)} cells {np.nanmedian(columns[1].values):.3g} spikes/s"
    summary += f", noise {np.nanmedian(noise):.3g} %/sqrt(Hz)." if np.isfinite(noise).any() else "."
    return Result(columns, (Plot("Time", "Spike rate", curves, "s", "1/s"),), summary, tuple(notes))


ANALYSES = (
    Analysis(
        "curate", "Accept and reject cells", GROUP, "Signal, shape, neighbours and events of cells, and rules that reject them.",
        ("traces", "events"), curate, CurationParameters,
        "Compactness as in suite2p (Pachitariu et al., bioRxiv 061507, 2017), noise as in CASCADE (Rupprecht et al., Nat Neurosci "
        "24:1324, 2021).",
    ),
    Analysis(
        "cell-rates", "Spike rates", GROUP, "Spikes per second of cells with a band, and their noise level.", ("traces",),
        cell_rates, RateParameters,
        "Spike rates were inferred by physio-FM; noise level as in CASCADE (Rupprecht et al., Nat Neurosci 24:1324, 2021).",
    ),
)  # fmt: skip
