"""Heart beats as a sequence: what the network sees, weighed with how hearts keep time.

Every candidate has log-odds of its own. Beats that follow each other add the logarithm of how usual their
interval is, as a ratio to the typical one around them; the table of ratios was measured on labelled records
(atrial fibrillation and ectopic beats included, so that it is broad). The probability of each candidate given
all others is exact: forward and backward sums over all subsets (Rabiner, Proc IEEE 77:257, 1989, for a chain
with durations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.physio_fm.decode import Candidates, sigmoid

Floats = NDArray[np.float64]
LONGEST_S = 3.0  # an interval beyond it says nothing about its length
SHORTEST_S = 0.2  # no two beats lie closer: the refractory period
AROUND_S = 15.0  # typical intervals are told from so far on both sides
USUAL_S = 0.8  # where nothing is known
EDGE_LOGIT = 13.0


def typical_intervals(time_s: Floats, sure: Floats) -> Floats:
    """Return (n,) the median interval (s) between sure candidates around each candidate."""
    out = np.full(len(time_s), USUAL_S)
    strong = _apart(time_s, sure, 0.25)
    strong = strong[sure[strong] > 0.5]
    if len(strong) < 4:
        return out
    at, interval = time_s[strong][1:], np.diff(time_s[strong])
    keep = (interval > 0.25) & (interval < 2.2)
    at, interval = at[keep], interval[keep]
    if len(interval) < 3:
        return out
    for k, t in enumerate(time_s):
        a, b = np.searchsorted(at, [t - AROUND_S, t + AROUND_S])
        out[k] = np.median(interval[a:b] if b - a >= 5 else interval)
    return out


def _apart(time_s: Floats, score: Floats, gap_s: float) -> NDArray[np.int64]:
    """Return candidates of which none lies within `gap_s` of a better one."""
    keep = np.ones(len(time_s), bool)
    for i in np.argsort(-score, kind="stable"):
        if keep[i]:
            a, b = np.searchsorted(time_s, [time_s[i] - gap_s, time_s[i] + gap_s], side="right")
            keep[a:b] = False
            keep[i] = True
    return np.flatnonzero(keep)


def chained(time_s: Floats, log_odds: Floats, typical: Floats, prior: Mapping[str, Any]) -> Floats:
    """Return (n,) log-odds of each candidate given all of them.

    Parameters
    ----------
    time_s : (n,) sorted. log_odds : (n,) of each alone. typical : (n,) s, see `typical_intervals`.
    prior : `ratio` and `log_density` (k,), `weight` of the intervals against the network.
    """
    n = len(time_s)
    if n == 0:
        return log_odds
    ratio, table = (
        np.asarray(prior["ratio"], float),
        float(prior["weight"]) * np.asarray(prior["log_density"]),
    )
    least = float(table.min())
    starts = np.searchsorted(time_s, time_s - LONGEST_S)

    def step(i: int) -> Floats:
        """Return the log weights of the steps from starts[i] .. i - 1 to i."""
        gap = time_s[i] - time_s[starts[i] : i]
        weight = np.interp(gap / typical[i], ratio, table, right=least)
        return np.where(gap < SHORTEST_S, -np.inf, weight)

    forward, backward = np.empty(n), np.zeros(n)
    for i in range(n):
        a = starts[i]
        rest = _log_sum(forward[:a]) if a else -np.inf
        paths = np.concatenate([[least if a else 0.0, rest + least], forward[a:i] + step(i)])
        forward[i] = log_odds[i] + _log_sum(paths)
    gathered: list[list[float]] = [[0.0] for _ in range(n)]  # to stop at i is always possible
    late = -np.inf
    far = n  # candidates from here on are more than LONGEST_S after i
    for i in range(n - 1, -1, -1):
        while far > 0 and starts[far - 1] > i:
            far -= 1
            late = float(np.logaddexp(late, log_odds[far] + backward[far] + least))
        backward[i] = _log_sum(np.array([*gathered[i], late]))
        a = starts[i]
        for j, w in zip(range(a, i), step(i), strict=True):
            gathered[j].append(float(log_odds[i] + backward[i] + w))
        gathered[i] = []
    whole = np.logaddexp(_log_sum(forward), 0.0)
    inside = np.clip(forward + backward - whole, -60, -1e-9)
    return np.clip(inside - np.log(-np.expm1(inside)), -EDGE_LOGIT, EDGE_LOGIT)


def _log_sum(x: Floats) -> float:
    top = float(np.max(x))
    return top + float(np.log(np.sum(np.exp(x - top)))) if np.isfinite(top) else -np.inf


def in_sequence(found: Candidates, prior: Mapping[str, Any] | None) -> Candidates:
    """Return candidates with log-odds in view of all others (artefacts stay what they are); unchanged without a
    prior.
    """
    if prior is None or not len(found.time):
        return found
    own = (found.logit.astype(float) - prior["bias"]) / prior["temperature"]
    none = found.is_artefact
    own = np.where(none, -EDGE_LOGIT, own)
    typical = typical_intervals(found.time, sigmoid(own))
    logit = chained(found.time, own, typical, prior).astype(np.float32)
    return replace(
        found, logit=logit, artefact=np.where(none, found.artefact, -EDGE_LOGIT).astype(np.float32)
    )
