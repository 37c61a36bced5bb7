"""Docks that are closed by their cross end: nothing of them is left, and the garbage collector ends nobody."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication, QWidget

from napari_biofm.signals import Recording
from napari_biofm.widgets.common.background import Background
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.opening import OpeningDock
from napari_biofm.widgets.common.qt_parts import when_destroyed
from napari_biofm.widgets.common.viewers import viewer_session

DOCKS = ("Segment cells", "Point and click", "Cell states", "Traces and events", "Timeline", "Conditions")


def settle() -> None:
    for _ in range(5):
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def docks_alive() -> int:
    return sum(isinstance(widget, Dock | OpeningDock) for widget in QApplication.allWidgets())


@pytest.mark.parametrize("name", DOCKS)
def test_a_dock_closed_by_its_cross_is_gone_with_its_listeners(viewer: Any, name: str) -> None:
    viewer.add_image(np.zeros((3, 32, 32), np.float32), name="movie")
    layer = viewer.add_labels(np.ones((32, 32), int), name="cells")
    session = viewer_session(viewer)
    session.add_recording(Recording.from_arrays(np.zeros((1, 1, 500), np.float32), 100.0, "mV"), "patch")
    counts = []
    for _ in range(3):
        frame, widget = viewer.window.add_plugin_dock_widget("napari-biofm", name)
        assert getattr(widget, "content", widget) is not None
        del widget
        settle()
        frame.destroyOnClose()
        del frame
        settle()
        gc.collect()
        counts.append(
            (
                docks_alive(),
                len(QApplication.allWidgets()),
                len(session.layers_changed),
                len(session.history.changed),
                len(viewer.layers.events.inserted.callbacks),
                len(viewer.mouse_drag_callbacks),
                len(layer.events.data.callbacks),
            )
        )
    assert counts[1] == counts[2] and counts[2][0] == 0


def test_what_the_collector_destroys_calls_nothing_that_it_emptied(qapp: Any) -> None:
    ended: list[int] = []

    class Part(QObject):
        pass

    for _ in range(50):
        top, part = Part(), Part()
        one = Part(top)
        top.one, one.top, one.part = one, top, part  # type: ignore[attr-defined] # a cycle, for the collector
        when_destroyed(one, lambda left: ended.append(left is None), part)
        background = Background(top)
        top.background = background  # type: ignore[attr-defined]
        del top, one, part, background
    gc.collect()
    assert ended == [True] * 50


def test_a_dock_that_moves_to_another_window_stays(viewer: Any) -> None:
    dock, place = Dock(viewer), QWidget()
    dock.setParent(place)
    dock.setParent(None)
    dock.setParent(place)
    settle()
    assert not dock._gone
    place.deleteLater()
    settle()
    assert dock._gone
