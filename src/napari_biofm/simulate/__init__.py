"""Co-recordings with ground truth: a field of cells, its calcium movie, and one patched cell.

Used by the sample data, the demo, the tests and the training code. Every function takes a seed or a
`numpy.random.Generator`; the same seed gives the same arrays.
"""

from napari_biofm.simulate.activity import CalciumKinetics, calcium_traces, spike_trains
from napari_biofm.simulate.corecording import CoRecording, simulate_corecording
from napari_biofm.simulate.field import Field, simulate_field, simulate_stack
from napari_biofm.simulate.files import write_abf, write_corecording, write_ome_tiff
from napari_biofm.simulate.patch import PatchTrace, current_clamp, voltage_clamp

__all__ = [
    "CalciumKinetics",
    "CoRecording",
    "Field",
    "PatchTrace",
    "calcium_traces",
    "current_clamp",
    "simulate_corecording",
    "simulate_field",
    "simulate_stack",
    "spike_trains",
    "voltage_clamp",
    "write_abf",
    "write_corecording",
    "write_ome_tiff",
]
