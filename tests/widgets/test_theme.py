"""Plots that are open follow napari's theme, and plots of traces have scale bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QColor

from napari_biofm.signals import Recording
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.common.plot_style import colours_of
from napari_biofm.widgets.timeline import TimelineDock
from napari_biofm.widgets.trace import TraceDock


def _is_seen(view: pg.GraphicsView, colour: str) -> bool:
    """Return whether the corner of a plot has this colour on the screen, as well as a screen of 16 bits tells."""
    seen, wanted = QColor(view.grab().toImage().pixel(QPoint(1, 1))), QColor(colour)
    pairs = zip(seen.getRgb(), wanted.getRgb(), strict=True)
    return max(abs(a - b) for a, b in pairs) < 9


def _axes(view: pg.GraphicsView) -> set[str]:
    plots = [item for item in view.scene().items() if isinstance(item, pg.PlotItem)]
    return {plot.getAxis(side).textPen().color().name() for plot in plots for side in ("left", "bottom")}


@pytest.fixture
def traces(viewer: Any, qtbot: Any) -> TraceDock:
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    sweeps = [np.sin(np.arange(2000) / 50) * size for size in (1, 2, 3)]
    dock.session.add_recording(Recording.from_arrays(sweeps, 1000.0, "pA", names=["Im"]), "cell")
    qtbot.wait(20)
    return dock


def test_open_plots_follow_the_theme_and_stay_where_one_looked(traces: TraceDock, qtbot: Any) -> None:
    viewer, panel, plots = traces.viewer, traces.analyse_panel, traces.plots
    traces.show_panel(panel)
    panel.choose("cursors")
    traces.toolbar.cursors.setChecked(True)
    panel.fill()
    panel.run_button.click()
    plots.show_span(0.3, 0.9)
    dark = colours_of(viewer)
    views = (plots.canvas, panel.plots)
    assert all(_is_seen(view, dark.background) for view in views)
    viewer.theme = "light"
    qtbot.wait(20)
    light = colours_of(viewer)
    assert light.background != dark.background and light.foreground != dark.foreground
    assert all(_is_seen(view, light.background) for view in views)
    assert [_axes(view) for view in views] == [{light.foreground}] * 2
    assert traces.cursors.lines[0].pen.color().name() == light.accent
    assert plots.span() == pytest.approx((0.3, 0.9)) and len(panel.plots.items) == 1
    axis = plots.rows[0].plot.getAxis("bottom")
    assert axis.autoSIPrefixScale == 1 and light.foreground in axis.label.toHtml(), "numbers are still in s"
    viewer.theme = "dark"
    qtbot.wait(20)
    assert all(_is_seen(view, dark.background) for view in views)


@pytest.mark.parametrize("kind", [CellsDock, TimelineDock])
def test_a_dock_that_is_opened_in_the_light_theme_is_light(viewer: Any, qtbot: Any, kind: type) -> None:
    viewer.theme = "light"
    dock = kind(viewer)
    viewer.window.add_dock_widget(dock, name="dock")
    qtbot.wait(50)
    light = colours_of(viewer)
    views = dock.findChildren(pg.GraphicsView)
    assert all(view.backgroundBrush().color().name() == light.background for view in views)
    viewer.theme = "dark"
    dark = colours_of(viewer)
    views = dock.findChildren(pg.GraphicsView)
    assert all(view.backgroundBrush().color().name() == dark.background for view in views)


def test_plots_of_traces_in_the_panel_have_scale_bars(traces: TraceDock, qtbot: Any) -> None:
    panel = traces.analyse_panel
    traces.show_panel(panel)
    panel.choose("average-sweeps")
    panel.run_button.click()
    (bar,) = panel.plots.bars
    qtbot.waitUntil(lambda: bar.text == ("200 ms", "2 pA"))
    assert not panel.plots.items[0].getAxis("left").isVisible(), "as in the figure"
    panel.choose("cursors")
    traces.toolbar.cursors.setChecked(True)
    panel.fill()
    panel.run_button.click()
    assert not panel.plots.bars and panel.plots.items[0].getAxis("left").isVisible()
