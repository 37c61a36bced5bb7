"""Candidates -> the table of events, with calibrated scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.decode import Candidates, sigmoid
from napari_biofm.events.physio_fm.input_encoding import network_unit
from napari_biofm.types import EVENT_DTYPE, DetectionSettings, Events, Trace, no_events


def scores(kind: str, logit: NDArray[np.float32], card: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return calibrated probabilities: sigmoid((logit - bias) / temperature) of the kind."""
    c = card["calibration"].get(kind) or card["calibration"].get(KINDS[kind].network, _PLAIN)
    return np.asarray(sigmoid((logit - c["bias"]) / c["temperature"]), np.float32)


_PLAIN = {"temperature": 1.0, "bias": 0.0}
_PRESETS = {"balanced": 0.5, "precise": 0.8}
SMALLEST_AP_MV = 3.0  # below it a depolarisation is a synaptic potential, however much it looks like a spike


def threshold(kind: str, card: Mapping[str, Any], settings: DetectionSettings) -> float:
    """Return the score from which a candidate counts in a preset; `options["threshold"]` overrides it."""
    if "threshold" in settings.options:
        return float(settings.options["threshold"])
    presets = card["presets"].get(kind) or card["presets"].get(KINDS[kind].network, _PRESETS)
    return float(presets[settings.preset])


def likely_best(score: NDArray[np.floating], least: float = 0.1) -> float:
    """Return the threshold with the best F1 to be expected of one recording, given its calibrated scores.

    Of the k best candidates as many are true as their scores add up to, of `sum(score)` in all (the threshold
    then lies at half the best F1: Lipton, Elkan & Naryanaswamy 2014, ECML PKDD 8725:225). A quiet recording,
    with few clear events among many unlikely ones, so gets a higher threshold than one full of weak events.

    Parameters
    ----------
    score : (n,) probabilities. least : candidates below it are left out of the sums.
    """
    falling = np.sort(score[score >= least])[::-1].astype(np.float64)
    if not len(falling):
        return least
    expected = 2 * np.cumsum(falling) / (np.arange(1, len(falling) + 1) + falling.sum())
    return float(falling[np.argmax(expected)])


def as_events(
    signal: Trace,
    kind: str,
    found: Candidates,
    card: Mapping[str, Any],
    settings: DetectionSettings,
    score: NDArray[np.float32] | None = None,
) -> Events:
    """Return the rows of a table for candidates of one kind, above the preset's threshold or all of them.

    `score` : (n,) of a judge; the network's own where there is none.
    """
    score = scores(kind, found.logit, card) if score is None else score
    names = _classes(kind, found)
    least = threshold(kind, card, settings)
    unit, factor = network_unit(signal, kind)
    if kind == "ap" and unit == "mV":
        names = np.where(np.abs(found.amplitude) < SMALLEST_AP_MV, "rejected", names)
    names = np.where(found.is_artefact, "artefact", names)
    wanted = (score >= least) & ~np.isin(names, ("artefact", "rejected"))
    keep = np.ones(len(score), bool) if settings.all_scores else wanted
    table = no_events() if not keep.any() else np.zeros(int(keep.sum()), EVENT_DTYPE)
    if not len(table):
        return table
    table["sweep"], table["channel"], table["unit"] = signal.sweep, signal.channel, signal.unit[:8]
    table["time_s"], table["class"] = found.time[keep], names[keep]
    table["score"] = score[keep]
    table["amplitude"] = found.amplitude[keep] / factor
    rise = 10.0 ** (found.token[keep, 1].astype(float) - 3)
    decay = 10.0 ** (found.token[keep, 2].astype(float) - 2)
    known = kind in ("psc", "psp", "ap")
    table["rise_s"] = rise if known else np.nan
    table["decay_s"] = decay if known else np.nan
    return table


def _classes(kind: str, found: Candidates) -> NDArray[np.str_]:
    """Return a class per candidate."""
    sole = KINDS[kind].sole_class
    if sole is not None:
        return np.full(len(found.logit), sole, "U12")
    return np.full(len(found.logit), KINDS[kind].taught_class, "U12")  # PSC or PSP; naming needs evidence
