"""Quantile loss and coverage of the forecast beside AR(32), on kept-back recordings.

`python training/physio/forecast.py [--moments 40] [--split val]` prints one JSON line per kind. The peer is an
autoregression of order 32, fitted by least squares to the same past, with the Gaussian band that follows from
its residuals and impulse response.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.stats import norm  # noqa: E402

from napari_biofm.events.physio_fm.forecast import HISTORY, QUANTILES, forecast_quantiles  # noqa: E402
from training.physio.real import Real  # noqa: E402

HORIZON = 64
LEAST = 600  # samples of past


def ar_quantiles(x: NDArray[Any], n: int, order: int = 32) -> NDArray[np.float64]:
    """Return (q, n) quantiles by an autoregression with Gaussian innovations."""
    mean = x.mean()
    y = x - mean
    rows = np.lib.stride_tricks.sliding_window_view(y[:-1], order)[:, ::-1]
    weights = np.linalg.lstsq(rows, y[order:], rcond=None)[0]
    sd = float(np.std(y[order:] - rows @ weights))
    state, said = y[-order:][::-1].copy(), np.empty(n)
    impulse, response = np.zeros(order), np.empty(n)
    impulse[0], response[0] = 1.0, 1.0
    for h in range(n):
        said[h] = state @ weights
        state = np.r_[said[h], state[:-1]]
        if h:
            response[h] = impulse @ weights
            impulse = np.r_[response[h], impulse[:-1]]
    spread = sd * np.sqrt(np.cumsum(np.clip(response, -1e3, 1e3) ** 2))
    return np.asarray(mean + said + norm.ppf(QUANTILES)[:, None] * spread)


def pinball(quantiles: NDArray[Any], came: NDArray[Any]) -> float:
    """Return the mean quantile loss."""
    error = came[None] - quantiles
    q = QUANTILES[:, None]
    return float(np.mean(np.maximum(q * error, (q - 1) * error)))


def traces(kind: str, real: Real) -> list[NDArray[Any]]:
    """Return the recordings of a kind."""
    if kind == "voltage clamp":
        return [x for x, _ in real.clamped]
    if kind == "current clamp":
        return [a[0] for a in real.aps]
    if kind == "ecg":
        return [clip for clip, _ in real.clips]
    return [cell[0] for cell in real.cells]


def measure(kind: str, real: Real, moments: int) -> dict[str, Any]:
    """Return relative loss (sum over moments, each scaled by the spread of its past) and coverage."""
    rng = np.random.default_rng(0)
    long = [x for x in traces(kind, real) if len(x) > LEAST + HORIZON and np.ptp(x) > 0]
    ours, peer, covered = [], [], []
    for k in (
        rng.permutation(len(long))[:moments]
        if len(long) >= moments
        else rng.integers(len(long), size=moments)
    ):
        x = np.asarray(long[k], float)
        at = int(rng.integers(LEAST, len(x) - HORIZON))
        past, came = x[max(0, at - HISTORY) : at], x[at : at + HORIZON]
        scale = past.std() + 1e-12
        said = forecast_quantiles(past, HORIZON)
        ours.append(pinball(said, came) / scale)
        peer.append(pinball(ar_quantiles(past, HORIZON), came) / scale)
        covered.append(float(np.mean((came >= said[0]) & (came <= said[-1]))))
    return {
        "kind": kind, "moments": len(ours), "relative_to_AR32": round(sum(ours) / sum(peer), 4),
        "median_ratio": round(float(np.median(np.array(ours) / np.array(peer))), 4),
        "coverage_90": round(float(np.mean(covered)), 4),
    }  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    parser.add_argument("--moments", type=int, default=40)
    parser.add_argument("--split", choices=("val", "train"), default="val")
    parser.add_argument("--only", nargs="*", default=["voltage clamp", "current clamp", "ecg", "calcium"])
    arguments = parser.parse_args()
    real = Real(arguments.data, arguments.cache, arguments.split)
    for kind in arguments.only:
        sys.stdout.write(json.dumps(measure(kind, real, arguments.moments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
