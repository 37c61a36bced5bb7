"""Labels with a time axis go through every panel of the Timeline."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QTabWidget
from tests.signals.calcium_movies import RATE, known_movie

from napari_biofm.widgets.timeline import TimelineDock


def test_labels_with_a_time_axis_crash_no_panel_and_are_measured_where_they_are_shown(viewer: Any) -> None:
    known = known_movie(40)
    viewer.add_image(known.movie, name="movie", metadata={"frame_rate_hz": RATE})
    masks = np.repeat(known.labels[None], 40, axis=0)
    masks[20:][masks[20:] == 9] = 0
    viewer.add_labels(masks, name="cells")
    viewer.dims.set_current_step(0, 5)
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    assert len(dock.controller.centres()) == 9
    dock.align_panel.source.setCurrentText("rate and offset")
    dock.align_panel.button.click()
    dock.link_panel.measure_button.click()
    recording = dock.controller.traces()
    assert recording is not None and recording.labels.tolist() == list(range(1, 10))
    for tabs in dock.findChildren(QTabWidget):
        for i in range(tabs.count()):
            tabs.setCurrentIndex(i)
    for switch in (dock.show_panel.show_points, dock.show_panel.show_flashes, dock.show_panel.show_activity):
        switch.setChecked(True)
    viewer.dims.set_current_step(0, 30)
    dock.controller.pixels_changed()
    assert len(dock.controller.centres()) == 9, "a cell that is not shown is where it was seen"
