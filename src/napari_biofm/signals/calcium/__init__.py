"""Movie and masks -> traces of cells: raw, neuropil, dF/F, z-scores. The movie streams by, never whole in memory."""

from napari_biofm.signals.calcium.baseline import baseline_of, dff_of, noise_of
from napari_biofm.signals.calcium.extract import extract_traces
from napari_biofm.signals.calcium.groups import neuropil_masks
from napari_biofm.signals.calcium.result import CellTraces
from napari_biofm.signals.calcium.settings import TraceSettings

__all__ = [
    "CellTraces",
    "TraceSettings",
    "baseline_of",
    "dff_of",
    "extract_traces",
    "neuropil_masks",
    "noise_of",
]
