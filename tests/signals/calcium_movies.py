"""Small calcium movies with a known truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

RATE = 30.0


@dataclass(frozen=True, eq=False)
class Known:
    """A movie (T, Y, X), its masks (Y, X), and the dF/F (n, T) of its cells, the first five of which are active."""

    movie: np.ndarray
    labels: np.ndarray
    dff: np.ndarray


def known_movie(
    n_frames: int = 900,
    *,
    offset: float = 0.0,
    decay_s: float | None = None,
    neuropil: float = 40.0,
    dtype: Any = np.uint16,
    gain: float = 2.0,
    read_noise: float = 1.0,
    seed: int = 0,
) -> Known:
    """Return nine discs over a neuropil that fluctuates, .7 of which lies in the cells, with shot and read noise."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((64, 80), np.int32)
    yy, xx = np.mgrid[:64, :80]
    for k in range(9):
        labels[(yy - 12 - k // 3 * 20) ** 2 + (xx - 14 - k % 3 * 25) ** 2 <= 25] = k + 1
    time = np.arange(n_frames) / RATE
    kernel = (1 - np.exp(-time / 0.05)) * np.exp(-time / 0.6)
    dff = np.zeros((9, n_frames))
    for k in range(5):
        spikes = np.bincount(rng.integers(0, n_frames, n_frames // 120), minlength=n_frames)
        dff[k] = 0.7 * np.convolve(spikes, kernel / kernel.max())[:n_frames]
    slow = np.convolve(rng.standard_normal(n_frames), np.ones(30) / 30, "same")
    ground = neuropil * (1 + 0.5 * slow)
    light = np.repeat(ground[:, None], labels.size, axis=1).reshape(n_frames, *labels.shape)
    for k, bright in enumerate(rng.uniform(60, 140, 9)):
        light[:, labels == k + 1] = (0.7 * ground + bright * (1 + dff[k]))[:, None]
    if decay_s is not None:
        light *= np.exp(-time / decay_s)[:, None, None]
    movie = gain * rng.poisson(light / gain) + rng.normal(0, read_noise, light.shape) + offset
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        movie = np.clip(np.round(movie), info.min, info.max)
    return Known(movie.astype(dtype), labels, dff)


def gain_and_r(found: np.ndarray, known: Known) -> tuple[float, float]:
    """Return the median slope and correlation of the active cells' dF/F (n, T) against the truth, gaps left out."""
    slopes, rs = [], []
    for k in range(5):
        there = np.isfinite(found[k])
        slopes.append(np.polyfit(known.dff[k, there], found[k, there], 1)[0])
        rs.append(np.corrcoef(known.dff[k, there], found[k, there])[0, 1])
    return float(np.median(slopes)), float(np.median(rs))
