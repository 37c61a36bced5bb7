"""Movie and masks -> traces of cells: raw, neuropil, dF/F. The movie streams by, never whole in memory.

Sources: neuropil annulus and factor 0.7, Chen et al., Nature 499:295 (2013) and suite2p (Pachitariu et
al., 2017); running-percentile baseline, Dombeck et al., Neuron 56:43 (2007).

scipy is imported where it is used: loading it takes longer than opening the dock.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.signals.filters import running_percentile
from napari_biofm.signals.recording import Recording, checked_rate
from napari_biofm.signals.samples import Mapped, release_pages, unpacked
from napari_biofm.types import LazyArray, Progress, RecordingError, Task

_CHUNK_BYTES = 48 << 20  # of float32 frames held at once


@dataclass(frozen=True)
class TraceSettings:
    """How traces are made.

    Attributes
    ----------
    neuropil_factor : share of the neuropil that is subtracted from the cell; 0 leaves it in.
    inner, outer : pixels between the cell and its annulus, and to the annulus' far side.
    percentile, window : of the running baseline F0, and its length in seconds.
    correct_bleaching : divide by a fitted exponential decay of the whole field first.
    check_motion : measure how far the field moves.
    """

    neuropil_factor: float = 0.7
    inner: int = 2
    outer: int = 9
    percentile: float = 8.0
    window: float = 30.0
    correct_bleaching: bool = False
    check_motion: bool = True


@dataclass(frozen=True, eq=False)
class CellTraces:
    """Traces of cells, as `napari-biofm traces` writes them.

    Attributes
    ----------
    labels : (n,) cell ids.
    raw, neuropil, dff : (n, T) float32; intensities, intensities, and (F - F0) / F0.
    frame_rate : Hz.
    bleaching : (T,) relative brightness of the field that was divided out, all ones if none was.
    shifts : (m, 2) pixels (y, x) that the field had moved at `shift_frames`; empty if not checked.
    shift_frames : (m,) frames.
    warnings : what the user should know.
    settings : with which they were made.
    """

    labels: NDArray[np.int64]
    raw: NDArray[np.float32]
    neuropil: NDArray[np.float32]
    dff: NDArray[np.float32]
    frame_rate: float
    bleaching: NDArray[np.float32]
    shifts: NDArray[np.float32]
    shift_frames: NDArray[np.int64]
    warnings: tuple[str, ...]
    settings: TraceSettings

    def recording(self, rois: NDArray[np.int32] | None = None, name: str = "traces") -> Recording:
        """Return dF/F as a recording whose channels are the cells."""
        return Recording.from_arrays(
            self.dff, self.frame_rate, "dF/F", labels=self.labels, rois=rois, format="traces",
            metadata={"name": name, "settings": dataclasses.asdict(self.settings)},
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write `.npz` atomically, with the keys of the command line's contract."""
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(
                file, labels=self.labels, dff=self.dff, raw=self.raw, neuropil=self.neuropil,
                frame_rate=self.frame_rate,
            )  # fmt: skip


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

    Returns
    -------
    CellTraces
        Cells in the order of their ids. Progress counts frames; it can be cancelled between chunks.

    Raises
    ------
    RecordingError
        If shapes do not fit, the frame rate is no positive number, or there are no cells.
    """
    settings = settings or TraceSettings()
    movie = unpacked(movie)
    rate = checked_rate(frame_rate)
    shape = tuple(int(n) for n in movie.shape)
    if len(shape) != 3 or labels.shape != shape[1:]:
        raise RecordingError(
            f"a movie of shape {shape} with masks of shape {labels.shape}: the movie must be (T, Y, X) "
            "and the masks (Y, X) of one frame"
        )
    ids = np.unique(labels)
    ids = ids[ids > 0]
    if ids.size == 0 or shape[0] == 0:
        raise RecordingError("no cells in the masks, or no frames in the movie: nothing to measure")
    weights = _weights(labels, ids, settings)
    summed, motion = yield from _stream(movie, weights, settings.check_motion)
    raw, neuropil = summed[: len(ids)], summed[len(ids) : 2 * len(ids)]
    neuropil[~np.isfinite(neuropil[:, 0])] = summed[-1]  # no annulus left between cells: the whole field
    bleaching = _bleaching(summed[-1], rate) if settings.correct_bleaching else np.ones(shape[0], np.float32)
    dff = np.empty_like(raw)
    for i in range(len(ids)):
        if i % 64 == 0:
            yield Progress(shape[0], shape[0], f"dF/F of cell {i + 1} of {len(ids)}")
        cell = (raw[i] - settings.neuropil_factor * neuropil[i]) / bleaching
        dff[i] = dff_of(cell, rate, settings, least=0.05 * float(np.median(raw[i])))
    frames, shifts = motion
    return CellTraces(
        ids.astype(np.int64), raw, neuropil, dff, rate, bleaching, shifts, frames,
        _warnings(shifts, summed[-1]), settings,
    )  # fmt: skip


def dff_of(
    trace: NDArray[np.float32], frame_rate: float, settings: TraceSettings, least: float = 1e-6
) -> NDArray[np.float32]:
    """Return (F - F0) / F0 with F0 the running percentile of a lightly smoothed trace.

    Parameters
    ----------
    trace : (T,) fluorescence, neuropil already subtracted.
    least : smallest F0, so that a cell that is nearly all neuropil does not explode.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter1d(trace.astype(np.float32), max(0.15 * frame_rate, 0.5))
    floor = running_percentile(smooth, max(int(settings.window * frame_rate), 3), settings.percentile)
    return np.asarray((trace - floor) / np.maximum(floor, max(least, 1e-6)), np.float32)


def neuropil_masks(
    labels: NDArray[Any], ids: NDArray[Any], inner: int = 2, outer: int = 9
) -> list[NDArray[np.intp]]:
    """Return per cell the flat pixel indices of its annulus, other cells and their rims left out."""
    from scipy import ndimage

    taken = ndimage.binary_dilation(labels > 0, iterations=inner) if inner > 0 else labels > 0
    numbers = np.searchsorted(ids, labels) * (labels > 0) + (labels > 0)  # 1 .. n, whatever the ids are
    annuli = []
    for label, box in zip(ids, ndimage.find_objects(numbers), strict=True):
        y0, x0 = (max(0, one.start - outer - 1) for one in box)
        y1, x1 = (min(size, one.stop + outer + 1) for one, size in zip(box, labels.shape, strict=True))
        away = ndimage.distance_transform_edt(labels[y0:y1, x0:x1] != label)
        y, x = np.nonzero((away > inner) & (away <= outer) & ~taken[y0:y1, x0:x1])
        annuli.append(np.ravel_multi_index((y + y0, x + x0), labels.shape))
    return annuli


def _weights(labels: NDArray[Any], ids: NDArray[Any], settings: TraceSettings) -> Any:
    """Return the sparse (2 n + 1, pixels) matrix of means: cells, annuli, the whole field."""
    from scipy import sparse

    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    starts, stops = (np.searchsorted(flat[order], ids, side) for side in ("left", "right"))
    groups = [order[a:b] for a, b in zip(starts, stops, strict=True)]
    groups += neuropil_masks(labels, ids, settings.inner, settings.outer)
    counts = np.array([len(group) for group in groups])
    rows = np.repeat(np.arange(len(groups)), counts)
    columns = np.concatenate(groups)
    with np.errstate(divide="ignore"):
        values = np.repeat((1.0 / counts).astype(np.float32), counts)
    means = sparse.csr_matrix((values, (rows, columns)), (len(groups), flat.size), dtype=np.float32)
    return means, counts > 0


def _stream(
    movie: Any, weights: Any, check_motion: bool
) -> Task[tuple[NDArray[np.float32], tuple[NDArray[np.int64], NDArray[np.float32]]]]:
    """Return means (2 n + 1, T) and what moved; NaN where a group has no pixels."""
    means, there = weights
    n_frames, height, width = (int(n) for n in movie.shape)
    chunk = _frames_per_chunk(movie, height * width)
    result = np.full((means.shape[0] + 1, n_frames), np.nan, np.float32)
    tracker = _Motion(height, width) if check_motion else None
    frames: list[int] = []
    shifts: list[tuple[float, float]] = []
    for start in range(0, n_frames, chunk):
        block = np.asarray(movie[start : start + chunk])
        pixels = block.reshape(len(block), -1).astype(np.float32)
        result[:-1, start : start + len(block)][there] = (means @ pixels.T)[there]
        result[-1, start : start + len(block)] = pixels.mean(axis=1)
        if tracker is not None:
            frames.append(start + len(block) // 2)
            shifts.append(tracker.shift(pixels.mean(axis=0).reshape(height, width)))
        release_pages(movie)  # else a mapped movie stays resident as it streams by
        yield Progress(min(start + chunk, n_frames), n_frames, f"frame {start + len(block)} of {n_frames}")
    moved = np.array(shifts, np.float32).reshape(-1, 2)
    return result, (np.array(frames, np.int64), moved)


def _frames_per_chunk(movie: Any, n_pixels: int) -> int:
    """Return frames read at once: bounded memory, whole chunks of a chunked file."""
    most = max(int(_CHUNK_BYTES // (4 * n_pixels)), 1)
    stored = getattr(movie, "chunks", None) or getattr(movie, "chunksize", None)
    if stored is not None and len(stored):
        first = stored[0][0] if isinstance(stored[0], tuple) else stored[0]
        if 0 < int(first) <= most:
            return int(most // first * first)
    return most


class _Motion:
    """How far the mean image of a chunk lies from that of the first, by phase correlation."""

    def __init__(self, height: int, width: int) -> None:
        self._window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
        self._reference: NDArray[np.complexfloating[Any, Any]] | None = None

    def shift(self, image: NDArray[np.float32]) -> tuple[float, float]:
        """Return (y, x) pixels."""
        from scipy import ndimage

        smooth = ndimage.gaussian_filter(image - image.mean(), 1.0) * self._window
        spectrum = np.fft.rfft2(smooth)
        if self._reference is None:
            self._reference = spectrum
            return 0.0, 0.0
        cross = spectrum * np.conj(self._reference)
        peak = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-6), image.shape)
        at = np.unravel_index(int(np.argmax(peak)), peak.shape)
        return tuple(  # type: ignore[return-value]
            float(i if i <= n // 2 else i - n) for i, n in zip(at, image.shape, strict=True)
        )


def _bleaching(field: NDArray[np.float32], frame_rate: float) -> NDArray[np.float32]:
    """Return the fitted decay of the whole field, 1 at the first frame; ones where it does not decay."""
    from scipy import optimize

    n = len(field)
    time = np.arange(n) / frame_rate
    floor = running_percentile(field, max(n // 20, 3), 20.0).astype(np.float64)
    if n < 20 or floor[0] <= 0 or floor[-max(n // 10, 1) :].mean() >= floor[: max(n // 10, 1)].mean():
        return np.ones(n, np.float32)

    def decay(t: NDArray[np.float64], amplitude: float, tau: float, rest: float) -> NDArray[np.float64]:
        return amplitude * np.exp(-t / tau) + rest

    guess = (floor[0] - floor[-1], max(time[-1] / 2, 1e-3), floor[-1])
    bounds = ([0, 1 / frame_rate, 0], [np.inf, 100 * max(time[-1], 1.0), np.inf])
    try:
        found, _ = optimize.curve_fit(decay, time, floor, guess, bounds=bounds, maxfev=2000)
    except (RuntimeError, ValueError):
        return np.ones(n, np.float32)
    fitted = decay(time, *found)
    return np.asarray(np.maximum(fitted / fitted[0], 0.05), np.float32)


def _warnings(shifts: NDArray[np.float32], field: NDArray[np.float32]) -> tuple[str, ...]:
    said = []
    if len(shifts) and (far := float(np.hypot(*shifts.T).max())) >= 2:
        said.append(
            f"The field moves by up to {far:.0f} pixels: register the movie before trusting small events."
        )
    tenth = max(len(field) // 10, 1)
    loss = 1 - float(field[-tenth:].mean() / max(field[:tenth].mean(), 1e-9))
    if loss > 0.15:
        said.append(f"The field loses {loss:.0%} of its brightness: consider bleaching correction.")
    return tuple(said)
