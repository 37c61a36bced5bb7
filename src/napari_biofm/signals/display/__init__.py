"""What a picture of a recording is made of, without a window: sweeps, lines, scales, the heatmap of cells.

`TraceLines` answers "which points are drawn between two times at this width?" for recordings of any length; the
plots of the Trace dock ask it at every change of view.
"""

from napari_biofm.signals.display.layout import ScaleMode, SweepMode
from napari_biofm.signals.display.lines import TraceLines
from napari_biofm.signals.display.source import Line, TraceSource

__all__ = ["Line", "ScaleMode", "SweepMode", "TraceLines", "TraceSource"]
