"""A trace through the network, window by window, and its heat decoded with exact seams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm import decode
from napari_biofm.events.physio_fm.input_encoding import CLASSES, PATCH
from napari_biofm.events.physio_fm.resampling import BATCH, TILE, ResampledTrace, Window, windows
from napari_biofm.events.physio_fm.runner import NetworkRunner

NOTHING = -20.0  # logit of a window without any movement


@dataclass
class Piece:
    """What the network says of the used part of one window.

    sample : (n, 5) outputs, features : (m, width) and token : (m, ...) of the whole window, x : (T,) its
    trace.
    """

    window: Window
    x: NDArray[np.float32]
    gap: NDArray[np.bool_]
    scale: float
    sample: NDArray[np.float32]
    token: NDArray[np.float32]
    features: NDArray[np.float32]
    summary: NDArray[np.float32]


def pieces(
    runner: NetworkRunner, trace: ResampledTrace, unit: str, kind: str | None
) -> Iterator[list[Piece]]:
    """Yield what the network says, a fixed number of windows at a time, in order."""
    group: list[tuple[Window, NDArray[np.float32], NDArray[np.bool_]]] = []
    todo = list(windows(trace.length, TILE if kind is None else KINDS[kind].window))
    for i, window in enumerate(todo):
        group.append((window, *trace.read(window.start, window.stop)))
        if len(group) < BATCH and i + 1 < len(todo):
            continue
        out = runner.run(np.stack([g[1] for g in group]), trace.resampling.sampling_rate, unit, kind)
        flat = np.array([np.ptp(g[1]) == 0 for g in group])
        out["sample"][flat, :, :2] = NOTHING
        yield [
            Piece(
                w,
                x,
                gap,
                float(out["scale"][j]),
                *(out[k][j] for k in ("sample", "token", "features", "window")),
            )
            for j, (w, x, gap) in enumerate(group)
        ]
        group = []


def decode_trace(
    runner: NetworkRunner, trace: ResampledTrace, others: list[ResampledTrace], unit: str, kind: str
) -> Iterator[tuple[int, int, decode.Candidates]]:
    """Decode the heat of one resampling rate, mixed with that of coarser rates, group by group with exact seams.

    A peak needs its neighbourhood: what lies within `reach` of the end of a group waits for the next one.
    """
    reach, rate = KINDS[kind].reach, trace.resampling.sampling_rate
    coarse = [_Follower(runner, other, unit, kind, other.resampling.sampling_rate / rate) for other in others]
    tail: dict[str, NDArray[Any]] | None = None
    tokens: NDArray[np.float32] | None = None  # token outputs of this group and the one before
    # Both in resampled samples: where `now` begins, and from where peaks are still to be reported.
    offset = decided = 0
    for group in pieces(runner, trace, unit, kind):
        now = _join(group, 0 if tokens is None else len(tokens))
        for follower in coarse:
            now["logit"] = now["logit"] + follower.logits(group[0].window.first, group[-1].window.last)
        now["logit"] = now["logit"] / np.float32(1 + len(coarse))
        fresh = np.concatenate([np.concatenate([p.token, p.features], 1) for p in group])
        both = fresh if tokens is None else np.concatenate([tokens, fresh])
        if tail is not None:
            now = {k: np.concatenate([tail[k], v]) for k, v in now.items()}
        last = group[-1].window.last
        upto = trace.length if last >= trace.length else last - reach - 1
        yield last, trace.length, _candidates(now, both, offset, decided, upto, rate, kind)
        keep = max(0, upto - offset - 600)
        tail = {k: v[keep:] for k, v in now.items()}
        tail["row"] = tail["row"] - (len(both) - len(fresh))
        tokens = fresh
        offset += keep
        decided = upto


class _Follower:
    """Heat of a coarser resampling, read at the samples of the finer one."""

    def __init__(
        self, runner: NetworkRunner, trace: ResampledTrace, unit: str, kind: str, ratio: float
    ) -> None:
        self.groups = pieces(runner, trace, unit, kind)
        self.ratio, self.length = ratio, trace.length
        self.logit = np.zeros(0, np.float32)
        self.first = 0

    def logits(self, start: int, stop: int) -> NDArray[np.float32]:
        need = min(self.length, int(stop * self.ratio) + 2)
        while self.first + len(self.logit) < need:
            group = _join(next(self.groups))
            self.logit = np.concatenate([self.logit, group["logit"]])
        at = np.arange(start, stop) * self.ratio - self.first
        out = np.interp(at, np.arange(len(self.logit)), self.logit).astype(np.float32)
        drop = max(0, int(start * self.ratio) - 4 - self.first)
        self.logit, self.first = self.logit[drop:], self.first + drop
        return out


def _join(group: list[Piece], rows: int = 0) -> dict[str, NDArray[Any]]:
    """Put the used parts of windows end to end; `row` is the token of a sample, counted from `rows`."""
    cut = [(p, slice(p.window.first - p.window.start, p.window.last - p.window.start)) for p in group]
    size = len(group[0].token)
    return {
        "logit": np.concatenate([p.sample[s, 0] for p, s in cut]),
        "artefact": np.concatenate([p.sample[s, 1] for p, s in cut]),
        "clean": np.concatenate(
            [np.sinh(np.clip(p.sample[s, 2], -15, 15)) * np.float32(p.scale) for p, s in cut]
        ),
        "x": np.concatenate([p.x[s] for p, s in cut]),
        "gap": np.concatenate([p.gap[s] for p, s in cut]),
        "row": np.concatenate(
            [rows + i * size + np.arange(s.start, s.stop) // PATCH for i, (_, s) in enumerate(cut)]
        ),
    }


def _candidates(
    now: Mapping[str, Any],
    tokens: NDArray[np.float32],
    offset: int,
    start: int,
    stop: int,
    rate: float,
    kind: str,
) -> decode.Candidates:
    """Return the candidates with peaks in [start, stop) of the resampled trace."""
    at = decode.peaks(now["logit"], KINDS[kind].reach)
    at = at[(at + offset >= start) & (at + offset < stop)]
    at = at[~_beside(now["gap"], round(KINDS[kind].cut_s * rate))[at]]
    place = decode.between(now["logit"], at)
    both = tokens[np.maximum(now["row"][at], 0)]
    token, features = both[:, : 4 + len(CLASSES)], both[:, 4 + len(CLASSES) :]
    before = (
        10.0 ** np.clip(token[:, 1] - 3, -6, 1) * rate
        if kind in ("psc", "psp")
        else np.full(len(at), 0.002 * rate)
    )
    amplitude = decode.heights(now["x"], now["clean"], at, before, kind)
    return decode.Candidates(
        (place + offset) / rate, now["logit"][at], now["artefact"][at], token, amplitude, features
    )


def _beside(gap: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return which samples lie in a gap or within `reach` of one: what is there is cut, and cannot be judged."""
    if not gap.any():
        return gap
    total = np.concatenate([[0], np.cumsum(gap)])
    at = np.arange(len(gap))
    return np.asarray(total[np.minimum(at + reach + 1, len(gap))] > total[np.maximum(at - reach, 0)])
