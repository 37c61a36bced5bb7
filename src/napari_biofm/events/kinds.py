"""The kinds of signal: what is recorded, in which units and at which rates, and which events it holds.

One row of the table says all that the detectors, the measures, the docks and the benchmarks need to know of a kind.
A new kind is a new row here (and a network that was trained on it, where physio-FM is to find it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from napari_biofm.types import Kind


@dataclass(frozen=True)
class KindSpec:
    """One kind of signal.

    Attributes
    ----------
    name : as in `types.Kind`.
    title : for people, in the plural.
    units : units it is recorded in, the usual one first.
    classes : classes of its events.
    taught_class : class of taught events to which the user gave no name.
    slowest_rate, fastest_rate : sampling rates (Hz) at which it is recorded.
    target_rate : rate (Hz) at which an event spans 20 to 200 samples; traces are resampled to about that.
    lowest_rate : lowest rate (Hz) that physio-FM was trained on; slower traces are interpolated.
    window : resampled samples per window of the network; more where recordings are long.
    reach : resampled samples on both sides over which a peak of the network's output rules.
    event_s : time scale (s) of one event.
    direction : +1 where events point up, -1 down, 0 where both occur.
    tolerance_s : a found event this near (s) to a true one counts as found when detectors are scored.
    probe_tolerance_s : the same for the simulated recordings that taught detectors are asked about.
    default_detector : detector that needs no network and serves the kind best; a name in `events.DETECTORS`.
    network : kind as which the network sees it (its own name where the network has been taught it by that name); where it
        is another one, the unit is not told either.
    cut_s : what lies this near (s) to a gap in the trace is cut by it.
    """

    name: Kind
    title: str
    units: tuple[str, ...]
    classes: tuple[str, ...]
    taught_class: str
    slowest_rate: float
    fastest_rate: float
    target_rate: float
    lowest_rate: float
    window: int
    reach: int
    event_s: float
    direction: float
    tolerance_s: float
    probe_tolerance_s: float
    default_detector: str
    network: Kind
    cut_s: float

    @property
    def unit(self) -> str:
        """The usual unit."""
        return self.units[0]

    @property
    def sole_class(self) -> str | None:
        """The class of all events of this kind; None where there are several."""
        return self.classes[0] if len(self.classes) == 1 else None

    def has_rate(self, sampling_rate: float) -> bool:
        """Return whether the kind is recorded at a sampling rate (Hz)."""
        return self.slowest_rate <= sampling_rate <= self.fastest_rate


_ROWS = (
    KindSpec(
        name="psc",
        title="Synaptic currents",
        units=("pA",),
        classes=("PSC", "EPSC", "IPSC"),
        taught_class="PSC",
        slowest_rate=900.0,
        fastest_rate=math.inf,
        target_rate=10e3,
        lowest_rate=3.5e3,
        window=8192,
        reach=9,
        event_s=0.010,
        direction=0.0,
        tolerance_s=5e-3,
        probe_tolerance_s=5e-3,
        default_detector="deconvolution",
        network="psc",
        cut_s=5e-3,
    ),
    KindSpec(
        name="ap",
        title="Action potentials",
        units=("mV",),
        classes=("AP",),
        taught_class="AP",
        slowest_rate=900.0,
        fastest_rate=math.inf,
        target_rate=20e3,
        lowest_rate=4e3,
        window=8192,
        reach=16,
        event_s=0.002,
        direction=1.0,
        tolerance_s=1.5e-3,
        probe_tolerance_s=5e-3,
        default_detector="prominence",
        network="ap",
        cut_s=1e-3,
    ),
    KindSpec(
        name="calcium",
        title="Calcium transients",
        units=("dF/F",),
        classes=("calcium",),
        taught_class="calcium",
        slowest_rate=0.0,
        fastest_rate=200.0,
        target_rate=80.0,
        lowest_rate=56.6,
        window=4096,
        reach=9,
        event_s=0.5,
        direction=1.0,
        tolerance_s=0.15,
        probe_tolerance_s=0.15,
        default_detector="oasis",
        network="calcium",
        cut_s=0.35,
    ),
    KindSpec(
        name="channel",
        title="Single channels",
        units=("pA",),
        classes=("open",),
        taught_class="event",
        slowest_rate=900.0,
        fastest_rate=math.inf,
        target_rate=10e3,
        lowest_rate=10.0,
        window=4096,
        reach=4,
        event_s=0.005,
        direction=0.0,
        tolerance_s=5e-3,
        probe_tolerance_s=5e-3,
        default_detector="half-amplitude",
        network="channel",
        cut_s=0.0,
    ),
    KindSpec(
        name="spike",
        title="Extracellular spikes",
        units=("uV", "mV"),
        classes=("spike",),
        taught_class="spike",
        slowest_rate=8000.0,
        fastest_rate=math.inf,
        target_rate=24e3,
        lowest_rate=14e3,
        window=8192,
        reach=8,
        event_s=0.001,
        direction=-1.0,
        tolerance_s=0.5e-3,
        probe_tolerance_s=1e-3,
        default_detector="extracellular",
        network="spike",
        cut_s=1e-3,
    ),
    KindSpec(
        name="ecg",
        title="Heart beats",
        units=("mV", "uV"),
        classes=("R",),
        taught_class="R",
        slowest_rate=0.0,
        fastest_rate=5000.0,
        target_rate=250.0,
        lowest_rate=176.8,
        window=4096,
        reach=30,
        event_s=0.03,
        direction=0.0,
        tolerance_s=0.1,
        probe_tolerance_s=0.1,
        default_detector="pan-tompkins",
        network="ecg",
        cut_s=0.03,
    ),
    KindSpec(
        name="psp",
        title="Synaptic potentials",
        units=("mV",),
        classes=("PSP", "EPSP", "IPSP"),
        taught_class="PSP",
        slowest_rate=500.0,
        fastest_rate=math.inf,
        target_rate=5e3,
        lowest_rate=2e3,
        window=8192,
        reach=9,
        event_s=0.03,
        direction=0.0,
        tolerance_s=0.01,
        probe_tolerance_s=0.01,
        default_detector="deconvolution",
        network="psc",
        cut_s=0.01,
    ),
    KindSpec(
        name="loose",
        title="Loose patch",
        units=("pA",),
        classes=("spike",),
        taught_class="spike",
        slowest_rate=5000.0,
        fastest_rate=math.inf,
        target_rate=24e3,
        lowest_rate=14e3,
        window=8192,
        reach=8,
        event_s=0.001,
        direction=-1.0,
        tolerance_s=0.5e-3,
        probe_tolerance_s=1e-3,
        default_detector="extracellular",
        network="spike",
        cut_s=2e-3,
    ),
)
# Those whose network is their own name come first, in the order of physio-FM's tokens; "auto" is no kind but the wish
# to find out.
KINDS: Mapping[str, KindSpec] = MappingProxyType({spec.name: spec for spec in _ROWS})
_KIND_OF_CLASS = {name: spec.name for spec in reversed(_ROWS) for name in spec.classes}


def kind_of_class(name: str) -> Kind | None:
    """Return the kind of signal that an event class belongs to; None for other words, such as "artefact"."""
    return _KIND_OF_CLASS.get(name)


def kinds_in_unit(unit: str, sampling_rate: float) -> tuple[Kind, ...]:
    """Return the kinds that are recorded in a unit at a sampling rate.

    Parameters
    ----------
    unit : as in `KindSpec.units`; with another unit all kinds are possible.
    sampling_rate : Hz; where no kind of the unit is recorded at it, it is not looked at.
    """
    possible = [spec for spec in _ROWS if unit in spec.units] or list(_ROWS)
    fitting = [spec for spec in possible if spec.has_rate(sampling_rate)]
    return tuple(spec.name for spec in fitting or possible)
