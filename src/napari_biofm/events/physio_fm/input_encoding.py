"""How a trace is encoded for physio-FM: kinds, units, classes, and what the network is told about a trace.

numpy only, shared by training and inference so that both prepare a trace in exactly the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.types import Trace

# kinds in the order of their tokens; one more stands for "unknown"
TOKEN_KINDS = tuple(name for name, spec in KINDS.items() if spec.network == name)
UNITS = ("pA", "mV", "dF/F", "uV", "other")
CLASSES = ("AP", "EPSC", "IPSC", "PSP", "calcium", "spike", "R", "open")
RHYTHMS = ("N", "A", "O", "~")
PATCH = 8  # samples per token
LONGEST_STRIDE = 128  # samples per token at the bottom of the U; windows are multiples of it
N_INPUTS = 3  # robust trace, trace on the unit's own scale, normalised difference
N_TOKENS = 5 + len(UNITS) + len(TOKEN_KINDS) + 1

# What one step of asinh means on the absolute input, per unit.
REFERENCE = {"pA": 20.0, "mV": 20.0, "dF/F": 0.3, "uV": 50.0, "other": np.inf}

# Factor that brings a spelled unit to one of UNITS.
_UNIT_SPELLINGS = {
    "pa": ("pA", 1.0),
    "na": ("pA", 1e3),
    "ua": ("pA", 1e6),
    "µa": ("pA", 1e6),
    "a": ("pA", 1e12),
    "mv": ("mV", 1.0),
    "v": ("mV", 1e3),
    "uv": ("uV", 1.0),
    "µv": ("uV", 1.0),
    "μv": ("uV", 1.0),
    "df/f": ("dF/F", 1.0),
    "dff": ("dF/F", 1.0),
    "df/f0": ("dF/F", 1.0),
    "δf/f": ("dF/F", 1.0),
    "%df/f": ("dF/F", 0.01),
    "% df/f": ("dF/F", 0.01),
}


def known_unit(unit: str) -> tuple[str, float]:
    """Return the unit the network knows and the factor that converts to it.

    Parameters
    ----------
    unit : as written in a recording, e.g. "nA".

    Returns
    -------
    name, factor : one of `UNITS` ("other" where it is not understood), and value * factor is in it.
    """
    return _UNIT_SPELLINGS.get(unit.strip().lower(), ("other", 1.0))


def network_unit(signal: Trace, kind: str) -> tuple[str, float]:
    """Return the unit in which a signal is shown to the network as a kind, and the factor that converts to it.

    As `known_unit`, except for kinds that the network knows by another name (no unit is told), membrane potentials in microvolts (the network knows them in mV), fluorescence
    in "%", and dF/F in percent whose unit does not say so (see `in_percent`).
    """
    if kind in KINDS and KINDS[kind].network != kind:
        return "other", 1.0
    unit, factor = known_unit(signal.unit)
    if unit == "uV" and kind == "ap":
        return "mV", factor * 1e-3
    percent = signal.unit.strip() == "%" and kind == "calcium"
    if percent or (unit == "dF/F" and factor == 1.0 and in_percent(signal)):
        return "dF/F", 0.01
    return unit, factor


def in_percent(signal: Trace) -> bool:
    """Return whether a trace of dF/F is in percent though its unit does not say so, from its first 20,000 frames.

    Fluorescence is never below zero, so that a fraction never lies below -1: a trace that does, with noise to match, is in
    percent, and so is one whose noise is larger than 0.6. (Of 510 recorded cells, noise of 0.01 to 0.42 as a fraction,
    all are told right both ways.)
    """
    start = np.asarray(signal.values[:20_000], np.float32)
    start = start[np.isfinite(start)]
    if len(start) <= 9:
        return False
    noise = float(np.median(np.abs(np.diff(start)))) * 1.4826 / np.sqrt(2)
    return noise > 0.6 or (noise > 0.15 and float(np.quantile(start, 0.001)) < -1.0)


def robust_scale(x: NDArray[Any], axis: int = -1) -> NDArray[np.float32]:
    """Return 1.4826 * median |x - median x|; the standard deviation where that is zero; at least 1e-30.

    Parameters
    ----------
    x : (..., T)
    """
    middle = np.median(x, axis=axis, keepdims=True)
    scale = 1.4826 * np.median(np.abs(x - middle), axis=axis)
    scale = np.where(scale > 0, scale, np.std(x, axis=axis))
    return np.maximum(scale, 1e-30).astype(np.float32)


def encode_input(
    x: NDArray[np.float32], sampling_rate: float, unit: str, kind: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Turn windows of a trace into the network's input.

    Parameters
    ----------
    x : (B, T) float32 in `unit`, finite.
    sampling_rate : Hz of `x`.
    unit : one of `UNITS`.
    kind : index into `TOKEN_KINDS`, or None for unknown.

    Returns
    -------
    inputs : (B, N_INPUTS, T) float32
    tokens : (B, N_TOKENS) float32
    middle, scale : (B,) float32; input 0 is asinh((x - middle) / scale).
    """
    middle = np.median(x, axis=1).astype(np.float32)
    centred = x - middle[:, None]
    scale = robust_scale(centred)
    step = np.diff(x, axis=1, prepend=x[:, :1])
    step_scale = robust_scale(step[:, 1:]) if x.shape[1] > 1 else np.ones(len(x), np.float32)
    reference = REFERENCE[unit]
    absolute = (x if unit == "mV" else centred) / np.float32(reference)
    inputs = np.stack(
        [np.arcsinh(centred / scale[:, None]), np.arcsinh(absolute), np.arcsinh(step / step_scale[:, None])],
        1,
    )
    tokens = np.zeros((len(x), N_TOKENS), np.float32)
    tokens[:, 0] = (np.log2(sampling_rate) - 10.0) / 4.0
    tokens[:, 1] = np.clip(np.log10(scale / step_scale), -1, 3)
    if unit != "other":
        tokens[:, 2] = np.clip(np.log10(scale / min(reference, 1e9)), -4, 4)
        tokens[:, 3] = np.clip(np.log10(step_scale / min(reference, 1e9)), -5, 4)
        tokens[:, 4] = np.clip(middle / (3.0 * reference), -4, 4) if unit == "mV" else 0.0
    tokens[:, 5 + UNITS.index(unit)] = 1.0
    tokens[:, 5 + len(UNITS) + (len(TOKEN_KINDS) if kind is None else kind)] = 1.0
    return inputs.astype(np.float32), tokens, middle, scale
