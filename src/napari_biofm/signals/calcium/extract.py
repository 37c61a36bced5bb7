"""From a movie and masks to traces, frame by frame.

Sources: neuropil annulus and factor 0.7, Chen et al., Nature 499:295 (2013) and suite2p (Pachitariu et al., 2017).

scipy is imported where it is used: loading it takes longer than opening the dock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.calcium.bad_frames import FrameFacts, bad_in_words
from napari_biofm.signals.calcium.baseline import LEAST_SHARE, bleaching_of, relative_to_baseline
from napari_biofm.signals.calcium.drift import common_drift, unsteady
from napari_biofm.signals.calcium.groups import PixelGroups, pixel_groups
from napari_biofm.signals.calcium.motion import MotionCheck, motion_in_words
from napari_biofm.signals.calcium.neuropil import other_shares, shares_of
from napari_biofm.signals.calcium.result import CellTraces
from napari_biofm.signals.calcium.settings import TraceSettings
from napari_biofm.signals.calcium.survey import Survey, survey
from napari_biofm.signals.filters import bridged
from napari_biofm.signals.samples import Mapped, release_pages, unpacked
from napari_biofm.types import LazyArray, Progress, RecordingError, Task

_CHUNK_BYTES = 48 << 20  # of float32 frames held at once
_MOST_CELLS, _LEAST_CELLS = 64, 6  # that bleaching is read from
_BRIDGED_S = 1.0  # the longest gap over which a line is drawn
Values = NDArray[np.float32]


def extract_traces(
    movie: LazyArray | Mapped, labels: NDArray[Any], frame_rate: float, settings: TraceSettings | None = None
) -> Task[CellTraces]:
    """Measure every cell in every frame.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices: numpy, memory map, Dask, zarr, h5py; or what
        `samples.packed` makes of a memory map, to send its address to a worker and not its pixels.
    labels : (Y, X) int, 0 is background.
    frame_rate : Hz.
    settings : how; the usual way if None.

    Returns
    -------
    CellTraces
        Cells in the order of their ids. Progress counts frames; it can be cancelled between chunks.

    Raises
    ------
    RecordingError
        If shapes do not fit, the frame rate is no positive number, or there are no cells or no numbers.
    """
    settings = settings or TraceSettings()
    movie = unpacked(movie)
    rate = checked_rate(frame_rate)
    ids = _checked_cells(movie, labels)
    first = yield from survey(movie, settings)
    groups = pixel_groups(labels, ids, settings, first.template, first.dark.level)
    summed, facts, motion = yield from _stream(movie, groups, first, rate, settings.check_motion)
    bad = facts.bad()
    if settings.bad_frames != "keep":
        summed[:, list(bad)] = np.nan
    if settings.bad_frames == "bridge":
        for row in summed:
            row[:] = bridged(row, max(int(_BRIDGED_S * rate), 3))
    raw, neuropil, field = summed[: len(ids)], summed[len(ids) : -1], summed[-1]
    neuropil[~groups.there[len(ids) :]] = field  # no annulus left between cells: the whole field
    dark = first.dark.level
    decay, shares = np.ones(len(field), np.float32), np.zeros(len(raw), np.float32)
    drift, share_words = None, ""
    if not first.is_dff:
        light, around = raw - np.float32(dark), neuropil - np.float32(dark)
        shares = shares_of(light, around, rate, settings)
        decay, drift = _common_course(raw, neuropil, shares, field, dark, rate, settings)
        if (
            drift is None and settings.neuropil != "regression"
        ):  # a lamp that wanders moves cell and surround alike
            other, share_words = other_shares(light, around, rate, settings)
            if other is not None:
                shares = other
                decay, drift = _common_course(raw, neuropil, shares, field, dark, rate, settings)
    dff, zscore, trusted, moving = yield from _relative(raw, neuropil, decay, first, rate, settings, shares)
    bleaching = decay if settings.correct_bleaching else np.ones_like(decay)
    frames, shifts = (
        motion.result() if motion is not None else (np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    )
    warnings = [
        bad_in_words(bad, settings.bad_frames),
        _values_in_words(first, ids, trusted, groups.there[: len(ids)]),
        motion_in_words(motion) if motion is not None else "",
        "" if settings.correct_bleaching or first.is_dff else _bleaching_in_words(field - dark),
        "" if drift is None else _drift_in_words(drift),
        _moving_in_words(ids[moving], settings.window),
        share_words,
    ]
    return CellTraces(
        ids.astype(np.int64), raw, neuropil, dff, rate, bleaching, shifts, frames,
        tuple(one for one in warnings if one), settings, zscore, trusted, bad, dark,
        shares,
    )  # fmt: skip


def _checked_cells(movie: Any, labels: NDArray[Any]) -> NDArray[Any]:
    shape = tuple(int(n) for n in movie.shape)
    if len(shape) != 3 or labels.shape != shape[1:]:
        raise RecordingError(
            f"a movie of shape {shape} with masks of shape {labels.shape}: the movie must be (T, Y, X) "
            "and the masks (Y, X) of one frame"
        )
    ids: NDArray[Any] = np.unique(labels)
    ids = ids[ids > 0]
    if ids.size == 0 or shape[0] == 0:
        raise RecordingError("no cells in the masks, or no frames in the movie: nothing to measure")
    return ids


def _stream(
    movie: Any, groups: PixelGroups, first: Survey, rate: float, check_motion: bool
) -> Task[tuple[Values, FrameFacts, MotionCheck | None]]:
    """Return means (2 n + 1, T) of cells, annuli and the field, facts of every frame, and what moved."""
    n_frames, height, width = (int(n) for n in movie.shape)
    chunk = _frames_per_chunk(movie, height * width)
    result = np.full((groups.means.shape[0] + 1, n_frames), np.nan, np.float32)
    facts = FrameFacts.of(n_frames, first.template)
    motion = MotionCheck(n_frames, (height, width), rate, first.template) if check_motion else None
    for start in range(0, n_frames, chunk):
        block = np.asarray(movie[start : start + chunk])
        pixels = block.reshape(len(block), -1).astype(np.float32)
        finite = None
        if block.dtype.kind == "f":
            known = np.isfinite(pixels)
            if not known.all():
                finite, pixels = known, np.where(known, pixels, np.float32(0))
        span = slice(start, start + len(block))
        result[:-1, span] = groups.measure(pixels, finite)
        facts.look(start, block, pixels, finite)
        if motion is not None:
            motion.look(start, pixels, finite)
        release_pages(movie)  # else a mapped movie stays resident as it streams by
        yield Progress(span.stop, n_frames, f"frame {span.stop} of {n_frames}")
    result[-1] = facts.mean
    return result, facts, motion


def _frames_per_chunk(movie: Any, n_pixels: int) -> int:
    """Return frames read at once: bounded memory, whole chunks of a chunked file."""
    most = max(int(_CHUNK_BYTES // (4 * n_pixels)), 1)
    stored = getattr(movie, "chunks", None) or getattr(movie, "chunksize", None)
    if stored is not None and len(stored):
        first = stored[0][0] if isinstance(stored[0], tuple) else stored[0]
        if 0 < int(first) <= most:
            return int(most // first * first)
    return most


def _common_course(
    raw: Values,
    neuropil: Values,
    shares: Values,
    field: Values,
    dark: float,
    rate: float,
    settings: TraceSettings,
) -> tuple[Values, Values | None]:
    """Return what all cells follow (T,): the decay of the light with its drift, and the drift if there is one."""
    cells = _usual_cells(raw, neuropil, shares, dark)
    decay = bleaching_of(_usual_course(cells, field - np.float32(dark)), rate)
    drift = common_drift(cells / decay, rate, settings)
    return (decay if drift is None else decay * drift), drift


def _usual_cells(raw: Values, neuropil: Values, shares: Values, dark: float) -> Values:
    """Return up to 64 cells without their neuropil, each over its median; those with too little own light left out."""
    rows = np.unique(np.linspace(0, len(raw) - 1, min(len(raw), _MOST_CELLS)).astype(int))
    rows = rows[np.isfinite(raw[rows] - neuropil[rows]).sum(axis=1) > 0.5 * raw.shape[1]]
    light = raw[rows] - np.float32(dark)
    cells = light - shares[rows, None] * (neuropil[rows] - np.float32(dark))
    if len(cells):
        middle = np.nanmedian(cells, axis=1)
        good = middle > LEAST_SHARE * np.maximum(np.nanmedian(light, axis=1), 1e-9)
        cells = cells[good] / middle[good, None]
    return cells


def _usual_course(cells: Values, field: Values) -> Values:
    """Return the brightness that bleaching is read from: the median over cells, of the field where there are few.

    What cells have in common after the neuropil is subtracted is bleaching; the field has its neuropil's waves, too.
    """
    if len(cells) < _LEAST_CELLS:
        return field
    known = np.isfinite(cells).any(axis=0)
    usual = np.full(cells.shape[1], np.nan, np.float32)
    usual[known] = np.nanmedian(cells[:, known], axis=0)
    return usual


def _relative(
    raw: Values,
    neuropil: Values,
    decay: Values,
    first: Survey,
    rate: float,
    settings: TraceSettings,
    shares: Values,
) -> Task[tuple[Values, Values, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return dF/F and z-scores (n, T), which cells have an F0 to trust (n,), and of which it moves too fast (n,)."""
    dff, zscore = np.empty_like(raw), np.empty_like(raw)
    trusted, moving = np.zeros(len(raw), bool), np.zeros(len(raw), bool)
    dark = np.float32(first.dark.level)
    for i in range(len(raw)):
        if i % 64 == 0:
            yield Progress(raw.shape[1], raw.shape[1], f"dF/F of cell {i + 1} of {len(raw)}")
        light = raw[i] - dark
        cell = light - shares[i] * (neuropil[i] - dark)
        if first.is_dff:
            cell = raw[i]
        known = light[np.isfinite(light)]
        own = float(np.median(known)) if known.size else 0.0
        least = max(LEAST_SHARE * own, 3 * first.dark.error)
        one = relative_to_baseline(cell, rate, settings, least * float(decay.min()), decay)
        dff[i], zscore[i], trusted[i] = one.dff, one.zscore, one.trusted
        if first.is_dff and known.size:
            dff[i], trusted[i] = raw[i], True
        elif trusted[i]:
            moving[i] = unsteady(cell, one.floor, rate, settings)
    return dff, zscore, trusted, moving


def _values_in_words(
    first: Survey, ids: NDArray[Any], trusted: NDArray[np.bool_], there: NDArray[np.bool_]
) -> str:
    """Return what the user should know of dark level, F0 and cells without pixels."""
    said = [first.dark.message] if first.dark.message else []
    if first.is_dff:
        said.append(
            "The movie seems to hold dF/F already: traces are its means, nothing is subtracted or divided "
            "(--movie-values fluorescence if it does not)."
        )
    if not there.all():
        said.append(f"{_cells(ids[~there])}: no pixel that ever holds a number, so no trace.")
    doubtful = ids[~trusted & there]
    if len(doubtful):
        said.append(
            f"{_cells(doubtful)}: F0 cannot be trusted, less than {LEAST_SHARE:.0%} of the light is left as baseline; "
            "shown in z-scores. A smaller neuropil factor or the true dark level may help."
        )
    return " ".join(said)


def _cells(ids: NDArray[Any]) -> str:
    names = ", ".join(str(int(i)) for i in ids[:12])
    return f"{len(ids)} cell{'s' if len(ids) > 1 else ''} ({names}{' ...' if len(ids) > 12 else ''})"


def _drift_in_words(drift: Values) -> str:
    return (
        f"The brightness of all cells moves together by {float(np.ptp(drift)) / float(np.median(drift)):.0%} "
        "(lamp, laser or focus): F0 follows it."
    )


def _moving_in_words(ids: NDArray[Any], window: float) -> str:
    if not len(ids):
        return ""
    return (
        f"{_cells(ids)}: the baseline moves within the window of {window:g} s (focus, drift or lasting activity): dF/F "
        "may be too large by a tenth and more; try a shorter window."
    )


def _bleaching_in_words(field: Values) -> str:
    tenth = max(len(field) // 10, 1)
    ends = [part[np.isfinite(part)] for part in (field[:tenth], field[-tenth:])]
    if not all(part.size for part in ends) or ends[0].mean() <= 0:
        return ""
    loss = 1 - float(ends[1].mean() / ends[0].mean())
    if loss <= 0.15:
        return ""
    return f"The field loses {loss:.0%} of its brightness: F0 follows the bleaching; brightness and z-scores do so with bleaching correction only."
