"""What a trace of single channels says before any model: its noise, its steps, its filter, likely unit currents."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.channels.kernels import constant_pieces

Floats = NDArray[np.float64]
ORDER = 3  # of the autoregression that whitens the noise
STEADIEST = 0.92  # sum of its coefficients at most: noise is no random walk
HELD = 6  # samples a level is held to count
NEAR = 24  # samples of a level that its mean beside a step is taken over
REACH = 24  # samples of a step response to either side


@dataclass(frozen=True)
class Noise:
    """Noise as an autoregression.

    Attributes
    ----------
    ar : (ORDER,) coefficients, newest sample first.
    sigma : standard deviation of what each sample adds.
    """

    ar: Floats
    sigma: float

    @property
    def slow(self) -> float:
        """Standard deviation that a mean over many samples, n of them, has times root n."""
        return float(self.sigma / (1 - self.ar.sum()))

    def alike(self) -> Floats:
        """Return (24,) correlation of samples 0, 1, 2, ... apart."""
        from scipy.signal import lfilter

        answer = lfilter([1.0], np.r_[1.0, -self.ar], np.eye(1, 128)[0])
        product = np.correlate(answer, answer, "full")[127:151]
        return np.asarray(product / product[0])


def quiet_noise(x: Floats, width: int) -> Noise:
    """Return the noise of the quietest stretches of `width` samples, in which no channel moves.

    Parameters
    ----------
    x : (n,) trace, n at least `width`.
    """
    from scipy.linalg import solve_toeplitz

    rows = x[: len(x) // width * width].reshape(-1, width)
    rows = rows - rows.mean(1, keepdims=True)
    spread = rows.var(1)
    rows = rows[spread <= max(2 * np.quantile(spread, 0.05), np.sort(spread)[min(len(spread), 16) - 1])]
    lags = range(ORDER + 6)
    cov = np.array([np.mean((rows[:, d:] * rows[:, : width - d]).sum(1)) / (width - d) for d in lags])
    cov = cov + max(cov[0] + 2 * cov[1:].clip(min=0).sum(), 0.3 * cov[0]) / width  # the mean taken away
    if cov[0] <= 0:
        return Noise(np.zeros(ORDER), 0.0)
    rho = cov / cov[0]
    ar = solve_toeplitz(np.r_[1.0001, rho[1:ORDER]], rho[1 : ORDER + 1])
    ar = ar * min(1.0, STEADIEST / max(ar.sum(), 1e-12)) if ar.sum() > STEADIEST else ar
    fresh = rows[:, ORDER:].copy()
    for i in range(1, ORDER + 1):
        fresh -= ar[i - 1] * rows[:, ORDER - i : width - i]
    return Noise(np.asarray(ar), float(np.sqrt(np.mean(fresh**2) * width / (width - ORDER))))


@dataclass(frozen=True)
class Steps:
    """Steps between held levels.

    Attributes
    ----------
    size, error : (n,) in the trace's unit; error is a standard deviation.
    at : (n,) sample at which the earlier level ends. gap : (n,) samples between the two levels.
    level : (n,) of the earlier. near : (n,) samples that the shorter of the two levels was measured on.
    piece : median length of constant pieces, samples.
    """

    size: Floats
    error: Floats
    at: NDArray[np.int64]
    gap: NDArray[np.int64]
    level: Floats
    near: NDArray[np.int64]
    piece: float

    def __len__(self) -> int:
        return len(self.size)


def find_steps(x: Floats, restart: NDArray[np.bool_], noise: Noise) -> Steps:
    """Return the clear steps of a trace, measured beside each step so that drift does not matter.

    Parameters
    ----------
    x : (n,) trace. restart : (n,) where a stretch begins.
    """
    total = np.r_[0.0, np.cumsum(x)]
    price = 2.5 * np.log(len(x)) * noise.slow**2
    rows: list[tuple[NDArray[np.float64], ...]] = []
    lengths = []
    for a, b in itertools.pairwise([*np.flatnonzero(restart), len(x)]):
        cuts = constant_pieces(x[a:b], price, 400) + a
        length = np.diff(cuts)
        lengths.append(length)
        held = np.flatnonzero(length >= HELD)
        i, j = held[:-1], held[1:]
        gap = cuts[j] - cuts[i + 1]
        n1, n2 = np.minimum(length[i] - 1, NEAR), np.minimum(length[j] - 1, NEAR)
        end, begin = cuts[i + 1] - 1, cuts[j] + 1
        level = (total[end] - total[end - n1]) / n1
        size = (total[begin + n2] - total[begin]) / n2 - level
        error = noise.slow * np.sqrt(1 / n1 + 1 / n2)
        keep = (gap <= 40) & (np.abs(size) > 4 * error)
        rows.append(tuple(v[keep] for v in (size, error, cuts[i + 1], gap, level, np.minimum(n1, n2))))
    size, error, at, gap, level, near = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Steps(
        size,
        error,
        at.astype(np.int64),
        gap.astype(np.int64),
        level,
        near.astype(np.int64),
        float(np.median(np.concatenate(lengths))),
    )


def rise_samples(x: Floats, steps: Steps, noise: Noise) -> float:
    """Return the samples in which a step rises from 10 to 90 %, from the median of the clearest; 1 if unknown."""
    clear = np.flatnonzero(steps.near >= 8)
    clear = clear[np.argsort(-np.abs(steps.size[clear]) / max(noise.slow, 1e-300))[:300]]
    shapes = []
    for k in clear:
        at, a, b = int(steps.at[k]), int(steps.at[k]) - REACH, int(steps.at[k] + steps.gap[k]) + REACH
        if a < REACH or b + REACH > len(x):
            continue
        y = (x[a:b] - steps.level[k]) / steps.size[k]
        up = np.flatnonzero((y[:-1] < 0.5) & (y[1:] >= 0.5))
        if len(up):
            centre = a + int(up[np.argmin(np.abs(up + a - at))])
            shapes.append((x[centre - REACH + 1 : centre + REACH] - steps.level[k]) / steps.size[k])
    if len(shapes) < 5:
        return 1.0
    y = np.median(shapes, axis=0)
    low = REACH - 1 - int(np.argmax(y[REACH - 1 :: -1] <= 0.1))
    high = REACH - 1 + int(np.argmax(y[REACH - 1 :] >= 0.9))
    if low >= high or y[low] > 0.1 or y[high] < 0.9:
        return 1.0
    first = low + (0.1 - y[low]) / max(y[low + 1] - y[low], 1e-9)
    final = high - (y[high] - 0.9) / max(y[high] - y[high - 1], 1e-9)
    return float(max(final - first, 0.5))


def unit_currents(steps: Steps, noise: Noise) -> tuple[list[float], bool]:
    """Return up to three currents that the steps may be multiples of, best first, and whether the first stands out.

    The likelihood of a mixture of Gaussians at one, two, ... times the current, in which singles are the commonest:
    halves and thirds explain the steps too, but spread their probability over steps that are never seen.
    """
    size, error = np.abs(steps.size), steps.error
    if len(size) < 3:
        return [], False
    if len(size) > 1500:
        some = np.linspace(0, len(size) - 1, 1500).astype(int)
        size, error = size[some], error[some]
    low, high = max(noise.slow, 0.3 * np.quantile(size, 0.05)), 1.2 * np.quantile(size, 0.9)
    if not high > low > 0:
        return [], False
    units = np.geomspace(low, high, int(np.log(high / low) / 0.015) + 2)
    times = np.arange(1, 7)
    score = np.empty(len(units))
    for i, unit in enumerate(units):
        var = error[:, None] ** 2 + (0.03 * unit) ** 2
        law = np.exp(-0.5 * (size[:, None] - times * unit) ** 2 / var) / np.sqrt(2 * np.pi * var)
        share = np.array([0.8, 0.12, 0.04, 0.02, 0.01, 0.01])
        for _ in range(2):
            part = law * share
            whole = part.sum(1) + 0.03 / high
            share = (part / whole[:, None]).sum(0) + np.array([1, 0.3, 0.1, 0.05, 0.02, 0.02])
            share = np.sort(share / share.sum())[::-1]
        score[i] = np.log(whole).sum()
    best: list[int] = []
    for i in np.argsort(-score):
        if all(abs(units[i] / units[k] - 1) > 0.12 for k in best):
            best.append(int(i))
        if len(best) == 3:
            break
    clear = len(best) < 2 or score[best[0]] - score[best[1]] > 0.15 * len(size)
    return [float(units[i]) for i in best], bool(clear)
