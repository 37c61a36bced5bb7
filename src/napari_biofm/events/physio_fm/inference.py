"""What the network says of a trace as a whole: its kind, its vectors, how unexpected each moment is."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.choice import finer_kind, rests_like_a_cell
from napari_biofm.events.kinds import KINDS, kinds_in_unit
from napari_biofm.events.physio_fm.input_encoding import (
    PATCH,
    TOKEN_KINDS,
    encode_input,
    known_unit,
    network_unit,
)
from napari_biofm.events.physio_fm.resampling import ResampledTrace, choose_resampling, windows
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.streaming import pieces
from napari_biofm.types import Kind, Trace


def recognise(runner: NetworkRunner, signal: Trace) -> tuple[str, dict[str, float]]:
    """Return the kind of a signal and the probability of each, from up to 16 windows over its length.

    The unit narrows the choice: pA is a current, dF/F is calcium; mV may be a membrane potential, an
    extracellular recording or an electrocardiogram; microvolts too, where they span more than 20 mV. What rests
    20 mV or more away from zero is a membrane potential.
    """
    unit, factor = known_unit(signal.unit)
    if unit == "uV" and _span(signal) * factor > 20_000:
        unit, factor = "mV", factor * 1e-3
    rate = signal.sampling_rate
    if unit == "dF/F":
        return "calcium", {"calcium": 1.0}
    possible = [kind for kind in kinds_in_unit(unit, rate) if kind in TOKEN_KINDS]
    if "ap" in possible and rests_like_a_cell(signal):
        possible = ["ap"]
    if len(possible) == 1:
        kind = finer_kind(possible[0], signal)
        return kind, {kind: 1.0}
    votes: dict[str, float] = {}
    for kind in possible:
        trace = ResampledTrace(signal.values, choose_resampling(rate, kind), factor)
        todo = list(windows(trace.length))
        todo = [todo[round(k)] for k in np.linspace(0, len(todo) - 1, min(8, len(todo)))]
        x = np.stack([trace.read(w.start, w.stop)[0] for w in todo])
        logits = runner.run(x, trace.resampling.sampling_rate, unit, None)["window"][:, : len(TOKEN_KINDS)]
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        votes[kind] = float(np.mean(log_p[:, TOKEN_KINDS.index(kind)]))
    top = np.array(list(votes.values()))
    p = np.exp(top - np.logaddexp.reduce(top))
    table = dict(zip(votes, p.round(4).tolist(), strict=True))
    likeliest = cast("Kind", max(table, key=lambda k: table[k]))
    kind = finer_kind(likeliest, signal)
    if kind != likeliest:  # what the network has no word for, told by its shape
        table = {kind: table[likeliest], **{k: p for k, p in table.items() if k != likeliest}}
    return kind, table


def _span(signal: Trace) -> float:
    """Return how far apart the extreme thousandths of up to 200,000 samples from five places lie."""
    n, size = len(signal.values), 40_000
    parts = [signal.values[a : a + size] for a in np.unique(np.linspace(0, max(0, n - size), 5).astype(int))]
    x = np.concatenate([np.asarray(part, np.float32) for part in parts])
    x = x[np.isfinite(x)]
    return float(np.subtract(*np.quantile(x, [0.999, 0.001]))) if len(x) else 0.0


def embed(
    runner: NetworkRunner, signal: Trace, times: NDArray[np.float64] | None = None, kind: str | None = None
) -> NDArray[Any]:
    """Return vectors of moments, or of the whole trace.

    Parameters
    ----------
    times : (n,) s from the start of the sweep; None for one vector of the trace.

    Returns
    -------
    (n, width) float32 features at the moments, or (1, 2 * width): their mean and standard deviation over
    the trace.
    """
    kind = kind or recognise(runner, signal)[0]
    unit, factor = network_unit(signal, kind)
    trace = ResampledTrace(signal.values, choose_resampling(signal.sampling_rate, kind), factor)
    place = (
        None if times is None else np.round(np.asarray(times) * trace.resampling.sampling_rate).astype(int)
    )
    vectors: NDArray[np.float32] | None = None
    total, squares, count = 0.0, 0.0, 0
    for group in pieces(runner, trace, unit, kind):
        for piece in group:
            w = piece.window
            if vectors is None and place is not None:
                vectors = np.zeros((len(place), piece.features.shape[1]), np.float32)
            if place is not None and vectors is not None:
                inside = np.flatnonzero((place >= w.first) & (place < w.last))
                vectors[inside] = piece.features[(place[inside] - w.start) // PATCH]
            else:
                used = piece.features[(w.first - w.start) // PATCH : -(-(w.last - w.start) // PATCH)]
                total, squares, count = total + used.sum(0), squares + (used**2).sum(0), count + len(used)
    if vectors is not None:
        return vectors
    mean = np.asarray(total) / max(count, 1)
    spread = np.sqrt(np.maximum(np.asarray(squares) / max(count, 1) - mean**2, 0))
    return np.concatenate([mean, spread])[None].astype(np.float32)


def surprise(
    runner: NetworkRunner, signal: Trace, kind: str | None = None
) -> tuple[NDArray[np.float32], float]:
    """Return how unexpected each moment is from its surroundings.

    Every patch of eight samples is hidden in turn and filled in by the network; the surprise is the
    distance between what was there and what was filled in, in robust standard deviations of the window.

    Returns
    -------
    surprise : (m,) float32 at the resampled rate, rate : that rate in Hz.
    """
    import torch

    kind = kind or recognise(runner, signal)[0]
    unit, factor = network_unit(signal, kind)
    trace = ResampledTrace(signal.values, choose_resampling(signal.sampling_rate, kind), factor)
    out = np.zeros(trace.length, np.float32)
    net = runner.network()
    for w in windows(trace.length):
        x = trace.read(w.start, w.stop)[0][None]
        inputs, tokens, _, _ = encode_input(
            x, trace.resampling.sampling_rate, unit, TOKEN_KINDS.index(KINDS[kind].network)
        )
        count = x.shape[1] // PATCH
        filled = np.zeros(x.shape[1], np.float32)
        for phase in range(4):
            hidden = (np.arange(count) % 4 == phase)[None]
            with torch.inference_mode():
                outputs = net(torch.from_numpy(inputs), torch.from_numpy(tokens), torch.from_numpy(hidden))
            where = np.repeat(hidden[0], PATCH)
            filled[where] = outputs["sample"][0, :, 4].numpy()[where]
        apart = np.abs(inputs[0, 0] - filled)
        out[w.first : w.last] = apart[w.first - w.start : w.last - w.start]
    return out, trace.resampling.sampling_rate
