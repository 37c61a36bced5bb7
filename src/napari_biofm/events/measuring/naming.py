"""What a synaptic event is called: PSC or PSP with its direction, unless evidence says more.

An inward current is excitatory or inhibitory depending on holding and reversal potentials. Where these are given
(options of every detector), the side of the reversal potential decides; where both kinds would have the same
direction, the event stays a PSC. Classes that a person taught or gave are never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.measuring.bins import Floats
from napari_biofm.events.options import COMMON_OPTIONS
from napari_biofm.signals.units import si_unit
from napari_biofm.types import RecordingError

SYNAPTIC = ("EPSC", "IPSC", "PSC", "EPSP", "IPSP", "PSP")


@dataclass(frozen=True)
class Potentials:
    """What is known of driving forces, mV; None where it is not."""

    holding: float | None = None
    excitatory: float | None = None
    inhibitory: float | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, float]) -> Potentials:
        """Return the potentials among the options of a detection.

        Raises
        ------
        RecordingError
            If one reversal potential is given without the other.
        """
        made = cls(*(options.get(option.name) for option in COMMON_OPTIONS))
        if (made.excitatory is None) != (made.inhibitory is None):
            missing = "excitatory_mv" if made.excitatory is None else "inhibitory_mv"
            raise RecordingError(f"both reversal potentials are needed to name events; {missing} is missing")
        return made


def directions(amplitude: Floats, unit: str) -> NDArray[np.str_]:
    """Return inward or outward for currents (inward is negative), up or down for the rest; "" for 0 and NaN."""
    words = ("outward", "inward") if si_unit(unit)[0] == "A" else ("up", "down")
    return np.select([amplitude > 0, amplitude < 0], words, "").astype("U8")


def synaptic_names(
    amplitude: Floats, baseline: Floats, unit: str, potentials: Potentials, holding: float | None = None
) -> NDArray[np.str_]:
    """Return the class of each synaptic event.

    Parameters
    ----------
    amplitude, baseline : (n_events,) in `unit`.
    unit : of the trace; currents are PSC, potentials PSP.
    potentials : as given by the user.
    holding : holding potential of the file, V; None where it does not say.
    """
    base, factor = si_unit(unit)
    letter = "P" if base == "V" else "C"
    plain = np.full(len(amplitude), f"PS{letter}", "U12")
    excitatory, inhibitory = potentials.excitatory, potentials.inhibitory
    if excitatory is None or inhibitory is None:
        return plain
    if base == "V":  # the potential an event begins from drives it
        membrane = baseline * factor * 1e3
        toward = np.sign(amplitude)
        exciting, inhibiting = np.sign(excitatory - membrane), np.sign(inhibitory - membrane)
    else:
        held = (
            potentials.holding
            if potentials.holding is not None
            else None
            if holding is None
            else holding * 1e3
        )
        if held is None:
            return plain
        membrane = np.full(len(amplitude), held)
        toward = np.sign(amplitude)
        exciting, inhibiting = np.sign(membrane - excitatory), np.sign(membrane - inhibitory)
    told = (exciting != inhibiting) & (toward != 0)
    plain = np.where(told & (toward == exciting), f"EPS{letter}", plain)
    return np.where(told & (toward == inhibiting), f"IPS{letter}", plain).astype("U12")
