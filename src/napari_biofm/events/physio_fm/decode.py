"""Heat -> events: peaks, their place between samples, their scores and their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOOR = 0.02  # heat below this is never a candidate


@dataclass
class Candidates:
    """Candidates of one signal. Times in s, `logit` before calibration, amplitude in the network's unit."""

    time: NDArray[np.float64]
    logit: NDArray[np.float32]
    artefact: NDArray[np.float32]  # artefact heat at the same place
    token: NDArray[np.float32]  # (n, token outputs)
    amplitude: NDArray[np.float32]
    features: NDArray[np.float32]  # (n, width)

    @property
    def is_artefact(self) -> NDArray[np.bool_]:
        """Which candidates look more like an artefact than like an event; (n,)."""
        return np.asarray(self.artefact > np.maximum(self.logit, 0))

    @classmethod
    def join(cls, parts: list[Candidates]) -> Candidates:
        """Put parts in order of time."""
        joined = [np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__]
        order = np.argsort(joined[0], kind="stable")
        return cls(*(j[order] for j in joined))


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.clip(x, -60, 60))))


def peaks(logit: NDArray[np.float32], reach: int, floor: float = FLOOR) -> NDArray[np.int64]:
    """Return the samples that are the highest within `reach` on both sides and above `floor`
    (probability).
    """
    from scipy.ndimage import maximum_filter1d

    least = np.log(floor / (1 - floor))
    above = logit > least
    if not above.any():
        return np.zeros(0, np.int64)
    highest = maximum_filter1d(logit, 2 * reach + 1, mode="nearest")
    at = np.flatnonzero(above & (logit >= highest))
    return at[np.diff(at, prepend=-(10**9)) > reach] if len(at) else at  # the first of a plateau


def between(logit: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the places of peaks between samples, by the parabola through three of them."""
    inner = np.clip(at, 1, max(1, len(logit) - 2))
    left, here, right = (logit[np.clip(inner + k, 0, len(logit) - 1)].astype(float) for k in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.where((bend < -1e-9) & (inner == at), 0.5 * (left - right) / np.minimum(bend, -1e-9), 0.0)
    return np.asarray(at + np.clip(shift, -0.5, 0.5))


def heights(
    x: NDArray[np.float32],
    clean: NDArray[np.float32],
    at: NDArray[np.int64],
    before: NDArray[np.float64],
    kind: str,
) -> NDArray[np.float32]:
    """Return the amplitude of events above what preceded them, in the unit of x.

    Parameters
    ----------
    x, clean : (T,) trace, and the network's denoised trace in the same unit.
    at : (n,) peaks.
    before : (n,) samples from the foot to the peak, as the network sees it.
    kind : a slow event is read from the denoised trace, a fast one from the trace itself.
    """
    n = len(x)
    out = np.empty(len(at), np.float32)
    for i, (k, w) in enumerate(zip(at, before, strict=True)):
        reach = int(np.clip(2.5 * w, 6, 400))
        a = max(0, k - reach - int(np.clip(w, 8, 100)))
        foot_x = np.median(x[a : max(a + 1, k - reach)])
        if kind in ("psc", "psp"):
            first = max(0, k - reach)
            segment = clean[first : k + 1]
            sign = np.sign(clean[k] - segment.mean()) or 1.0
            out[i] = clean[k] - (segment.min() if sign > 0 else segment.max())
        else:
            b = x[max(0, k - 1) : min(n, k + 2)]
            out[i] = b[np.argmax(np.abs(b - foot_x))] - foot_x
    return out
