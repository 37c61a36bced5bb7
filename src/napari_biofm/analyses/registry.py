"""Which analyses there are. A new one: its module is named here; see docs/contributing.md."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import import_module

from napari_biofm.analyses.description import Analysis, Takes
from napari_biofm.types import BiofmError

MODULES: tuple[str, ...] = (
    "napari_biofm.analyses.ephys.tables",
    "napari_biofm.analyses.ephys.protocol",
    "napari_biofm.analyses.ephys.cursors",
    "napari_biofm.analyses.ephys.steps",
    "napari_biofm.analyses.ephys.evoked",
    "napari_biofm.analyses.ephys.sweeps",
    "napari_biofm.analyses.ephys.leak",
    "napari_biofm.analyses.ephys.iv",
    "napari_biofm.analyses.ephys.excitability",
    "napari_biofm.analyses.ephys.what_if",
    "napari_biofm.analyses.ephys.statistics",
    "napari_biofm.analyses.calcium.curation",
    "napari_biofm.analyses.calcium.responses",
    "napari_biofm.analyses.calcium.population",
    "napari_biofm.analyses.calcium.beats",
    "napari_biofm.analyses.connectivity",
    "napari_biofm.analyses.wells",
    "napari_biofm.analyses.treatments",
)  # each holds a tuple `ANALYSES`


@cache
def analyses() -> dict[str, Analysis]:
    """Return all analyses by name, in the order of their modules."""
    found: dict[str, Analysis] = {}
    for module in MODULES:
        for one in import_module(module).ANALYSES:
            if one.name in found:
                raise BiofmError(f"two analyses are called {one.name}; the second is in {module}")
            found[one.name] = one
    return found


def analysis(name: str) -> Analysis:
    """Return an analysis by its name, or raise with the names there are."""
    known = analyses()
    if name not in known:
        raise BiofmError(f"no analysis {name!r}; there are: {', '.join(known)}")
    return known[name]


def analyses_of(takes: Collection[Takes]) -> list[Analysis]:
    """Return the analyses that need nothing else than this."""
    return [one for one in analyses().values() if set(one.takes) <= set(takes)]
