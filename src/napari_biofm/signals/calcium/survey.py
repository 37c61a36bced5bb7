"""A first look at a movie: its usual picture, what a pixel without light reads, and whether it holds dF/F already.

Source of the estimate from noise: the photon transfer curve (Janesick, Photon Transfer, SPIE 2007): the variance of
light that is counted grows in proportion to its mean, so the line through both meets zero at the dark level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.calcium.settings import TraceSettings
from napari_biofm.signals.samples import release_pages
from napari_biofm.types import LazyArray, Progress, RecordingError, Task

_MOST_FRAMES, _LEAST_FRAMES = 48, 8  # looked at
_BYTES = 64 << 20  # of float32 held for it
_BINS = 24
_HALF = 32768.0  # what is added to signed numbers to store them unsigned


@dataclass(frozen=True)
class Dark:
    """What a pixel without light reads.

    Attributes
    ----------
    level : in units of the movie.
    error : standard error of an estimate, 0 where it was stated or assumed.
    message : what the user should know of it, "" where there is nothing.
    """

    level: float
    error: float = 0.0
    message: str = ""


@dataclass(frozen=True, eq=False)
class Survey:
    """What some frames from the whole movie say.

    Attributes
    ----------
    template : (pixels,) median of the frames, NaN where there is never a number.
    dark : what a pixel without light reads.
    is_dff : whether the movie holds dF/F already.
    """

    template: NDArray[np.float32]
    dark: Dark
    is_dff: bool


def survey(movie: LazyArray, settings: TraceSettings) -> Task[Survey]:
    """Look at pairs of successive frames, evenly over the movie.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    settings : what the user said of its values and its dark level.

    Raises
    ------
    RecordingError
        If no frame that was looked at holds a number.
    """
    n_frames, height, width = (int(n) for n in movie.shape)
    n = int(np.clip(_BYTES // (4 * height * width), _LEAST_FRAMES, _MOST_FRAMES))
    starts = np.unique(np.linspace(0, max(n_frames - 2, 0), max(n // 2, 1)).astype(int))
    blocks = []
    for at in starts:
        yield Progress(0, n_frames, "a first look at the movie")
        blocks.append(np.array(movie[int(at) : int(at) + 2]))
    release_pages(movie)
    dtype = blocks[0].dtype
    if dtype.kind not in "buif":
        raise RecordingError(f"the movie holds values of type {dtype}; real numbers are needed")
    frames = np.concatenate(blocks).reshape(-1, height * width).astype(np.float32)
    frames[~np.isfinite(frames)] = np.nan
    template = _median(frames)
    if not np.isfinite(template).any():
        raise RecordingError("the movie holds no numbers, only NaN or inf: export it again from its source")
    is_dff = settings.values == "dff" or (
        settings.values == "auto" and dtype.kind == "f" and _looks_like_dff(frames, template)
    )
    pairs = [block.reshape(len(block), -1) for block in blocks if len(block) == 2]
    dark = Dark(0.0) if is_dff else _dark(settings, dtype, template, pairs)
    return Survey(template, dark, is_dff)


def _median(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median over frames without those that hold no number."""
    holes = np.isnan(frames)
    if not holes.any():
        return np.asarray(np.median(frames, axis=0), np.float32)
    frames = frames[~holes.all(axis=1)]
    result = np.full(frames.shape[1], np.nan, np.float32)
    some = ~np.isnan(frames).all(axis=0) if len(frames) else np.zeros(frames.shape[1], bool)
    result[some] = np.nanmedian(frames[:, some], axis=0)
    return result


def _looks_like_dff(frames: NDArray[np.float32], template: NDArray[np.float32]) -> bool:
    """Return whether the usual picture is about zero, a good part of it below, and values are those of dF/F."""
    usual = template[np.isfinite(template)]
    low, high = np.nanpercentile(frames[:: max(len(frames) // 8, 1)], (1, 99))
    around_zero = abs(float(np.median(usual))) < 0.5 and float((usual < 0).mean()) > 0.02
    return bool(around_zero and low > -3 and high < 30)


def _dark(
    settings: TraceSettings,
    dtype: np.dtype[Any],
    template: NDArray[np.float32],
    pairs: list[NDArray[Any]],
) -> Dark:
    """Return the level that was given, else what the noise says, else zero, or the darkest pixels where zero cannot be."""
    if settings.dark_level is not None:
        source = settings.dark_source
        level = float(settings.dark_level)
        return Dark(level, 0.0, f"Dark level {level:g} ({source})." if source and level else "")
    usual = template[np.isfinite(template)]
    low, dim, median, bright = (float(v) for v in np.percentile(usual, (0.5, 5, 50, 99)))
    remedy = "type the true one (--dark-level) if you know it"
    if dtype == np.uint16 and low > 0.97 * _HALF and bright < 1.25 * _HALF:
        return Dark(
            _HALF,
            0.0,
            f"All values lie about 32768, signed numbers stored unsigned: dark level 32768; {remedy}.",
        )
    level, error = photon_transfer(template, pairs)
    negative = low < 0
    if np.isfinite(level) and (negative or level > max(3 * error, 0.1 * median)):
        return Dark(
            level,
            error,
            f"Dark level {level:.4g} +- {error:.2g}, estimated from noise against brightness; {remedy}.",
        )
    if negative:
        return Dark(
            low,
            dim - low,
            f"Dark level {low:.4g}, that of the darkest pixels, for the movie is below zero; {remedy}.",
        )
    if low > 10 * max(bright - low, 1e-9):
        return Dark(
            0.0, 0.0, f"All of the field lies between {low:.4g} and {bright:.4g}: if that holds an offset of the "
            f"camera, dF/F is too small; {remedy}.",
        )  # fmt: skip
    return Dark(0.0)


def photon_transfer(template: NDArray[np.float32], pairs: list[NDArray[Any]]) -> tuple[float, float]:
    """Return the dark level that noise against brightness points to and its standard error, or NaN twice.

    Parameters
    ----------
    template : (pixels,) usual picture, NaN where there is none.
    pairs : each (2, pixels), successive frames: what differs between them is noise, for the most part.
    """
    nothing = (float("nan"), float("nan"))
    valid = np.flatnonzero(np.isfinite(template))
    if len(pairs) < 4 or len(valid) < 40 * _BINS:
        return nothing
    looks = np.stack([pair[:, valid].astype(np.float32) for pair in pairs])
    level = looks.mean(axis=2)
    usual = np.abs(level - np.median(level)) <= max(
        8 * float(np.median(np.abs(level - np.median(level)))), 1e-9
    )
    looks = looks[usual.all(axis=1)]  # black frames and those without numbers say nothing here
    if len(looks) < 4:
        return nothing
    bright = looks.mean(axis=(0, 1))
    order = np.argsort(bright, kind="stable")
    step = looks[:, 1] - looks[:, 0]
    squares = np.square(step - np.median(step, axis=1, keepdims=True)) / 2
    mean, variance, spread = (np.zeros(_BINS) for _ in range(3))
    for i, part in enumerate(np.array_split(order, _BINS)):
        one = squares[:, part].ravel()
        one = one[one <= np.percentile(one, 97)]  # without onsets of transients
        mean[i] = bright[part].mean()
        variance[i], spread[i] = one.mean(), one.std() / np.sqrt(one.size)
    return _meets_zero(mean, variance, np.maximum(spread, 1e-12 + 0.01 * variance))


def _meets_zero(
    mean: NDArray[np.float64], variance: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[float, float]:
    """Return where a line through variance against mean meets zero and its error; NaN where it is no line."""
    nothing = (float("nan"), float("nan"))
    if not (np.isfinite(mean).all() and (variance > 0).all()) or np.ptp(mean) < 0.05 * max(
        abs(float(mean.mean())), 1e-9
    ):
        return nothing
    middle, scale = float(mean.mean()), float(mean.std())
    x = (mean - middle) / scale
    fits = []
    for degree in (1, 2):
        design = np.vander(x, degree + 1)
        weighted = design / error[:, None]
        coefficients, *_ = np.linalg.lstsq(weighted, variance / error, rcond=None)
        left = (variance - design @ coefficients) / error
        noise = max(float((left**2).sum()) / (len(x) - degree - 1), 1.0)
        fits.append((coefficients, noise * np.linalg.inv(weighted.T @ weighted), noise))
    (slope, rest), covariance, noise = fits[0]
    bend, bend_error = fits[1][0][0], np.sqrt(fits[1][1][0, 0])
    if slope < 10 * np.sqrt(covariance[0, 0]) or noise > 9 or abs(bend) > max(4 * bend_error, 0.1 * slope):
        return nothing
    at = -rest / slope
    gradient = np.array([rest / slope**2, -1 / slope])
    spread = float(np.sqrt(gradient @ covariance @ gradient))
    return middle + scale * at, max(scale * spread, 1e-9)
