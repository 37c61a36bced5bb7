"""What a recording is, what is wrong with it, and what its unit probably is."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.inference import recognise
from napari_biofm.events.physio_fm.input_encoding import TOKEN_KINDS, UNITS, known_unit, network_unit
from napari_biofm.events.physio_fm.resampling import ResampledTrace, choose_resampling, windows
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.types import Trace


class Description(TypedDict, total=False):
    """What is said of a signal; JSON-able.

    Attributes
    ----------
    kind : kind of signal, None where it is too short to judge.
    probabilities : of each kind that is possible.
    faults : probability of each of `network.FAULTS`.
    unit : unit in which the network sees it.
    proposed_unit : what its unit probably is; not there where it is too short to judge.
    messages : sentences for the user.
    """

    kind: str | None
    probabilities: dict[str, float]
    faults: dict[str, float]
    unit: str
    proposed_unit: str
    messages: list[str]


def describe(runner: NetworkRunner, signal: Trace) -> Description:
    """Return what a recording is and what is wrong with it.

    The kind is also judged without being told the unit; where that verdict is sure and contradicts the unit,
    the usual unit of the kind is proposed. A membrane potential outside -200 to 200 mV, or a unit that is
    not understood, is told as well.
    """
    from napari_biofm.events.physio_fm.network import FAULTS

    unit, _ = known_unit(signal.unit)
    messages: list[str] = []
    if len(signal.values) < 64:
        return {
            "kind": None,
            "probabilities": {},
            "faults": {},
            "unit": unit,
            "messages": ["too short to judge"],
        }
    kind, table = recognise(runner, signal)
    unit, factor = network_unit(signal, kind)
    trace = ResampledTrace(signal.values, choose_resampling(signal.sampling_rate, kind), factor)
    todo = list(windows(trace.length))
    todo = [todo[round(k)] for k in np.linspace(0, len(todo) - 1, min(8, len(todo)))]
    x = np.stack([trace.read(w.start, w.stop)[0] for w in todo])
    outputs = runner.run(x, trace.resampling.sampling_rate, unit, None)["window"]
    blind = runner.run(x, trace.resampling.sampling_rate, "other", None)["window"][
        :, : len(TOKEN_KINDS)
    ].mean(0)
    blind = np.exp(blind - np.logaddexp.reduce(blind))
    faults = 1 / (1 + np.exp(-outputs[:, len(TOKEN_KINDS) : len(TOKEN_KINDS) + len(FAULTS)].mean(0)))
    proposed = signal.unit
    if unit == "dF/F" and factor == 0.01 and known_unit(signal.unit)[1] == 1.0:
        proposed = "%dF/F"
        messages.append(
            f"values no fraction can have ({signal.unit} below -1, or noise of more than 0.6): taken for percent ({proposed})."
        )
    elif unit == "mV" and known_unit(signal.unit)[0] == "uV":
        messages.append(f"{signal.unit} spanning more than 20 mV: taken for a membrane potential.")
    guess = TOKEN_KINDS[int(np.argmax(blind))]
    if unit == "other":
        proposed = KINDS[guess].unit
        messages.append(
            f"unit {signal.unit!r} is not understood; the trace looks like {guess}, usually in {proposed}."
        )
    elif (
        blind.max() > 0.8
        and unit not in (KINDS[guess].unit, "uV")
        and {unit, KINDS[guess].unit} <= set(UNITS[:3])
    ):
        proposed = KINDS[guess].unit
        messages.append(f"the unit says {signal.unit}, the shape says {guess}: is it {proposed}?")
    elif unit == "mV" and guess == "ap" and np.quantile(np.abs(x), 0.9) > 200:
        messages.append(f"membrane potentials of {np.quantile(np.abs(x), 0.9):.0f} mV: check unit and gain.")
    return {
        "kind": kind,
        "probabilities": table,
        "faults": {name: round(float(p), 3) for name, p in zip(FAULTS, faults, strict=True)},
        "unit": unit,
        "proposed_unit": proposed,
        "messages": messages,
    }
