"""Docks: one session per viewer, errors as notifications, nothing heard after the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QVBoxLayout

from napari_biofm.engine import make_engine, probe
from napari_biofm.session import CellKey, session_of
from napari_biofm.types import EngineError, Progress
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.viewers import QtPost, layer_by_id, layer_id


class PlainDock(Dock):
    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        QVBoxLayout(self).addWidget(self.job_bar)
        self.heard: list[Any] = []
        self.listen(self.session.selection_changed, self.heard.append)


@pytest.fixture
def dock(viewer: Any) -> PlainDock:
    made = PlainDock(viewer)
    viewer.window.add_dock_widget(made, name="plain")
    return made


def told() -> list[str]:
    return [n.message for n in notification_manager.records]


def test_two_docks_of_a_viewer_share_a_session(viewer: Any, dock: PlainDock) -> None:
    assert PlainDock(viewer).session is dock.session is session_of(viewer)


def test_the_session_ends_with_the_window(qtbot: Any, viewer: Any, dock: PlainDock) -> None:
    session = dock.session
    qtbot.wait(10)
    viewer.close()
    assert session.is_closed


def test_a_removed_layer_is_forgotten(viewer: Any, dock: PlainDock) -> None:
    layer = viewer.add_labels(np.ones((4, 4), int))
    uid = layer_id(layer)
    dock.session.set_layers(labels=uid)
    dock.session.select([CellKey(uid, 1)])
    assert layer_by_id(viewer, uid) is layer
    viewer.layers.remove(layer)
    assert dock.session.labels is None
    assert dock.session.selection == frozenset()
    assert layer_by_id(viewer, uid) is None


def test_a_dock_shows_progress_and_gives_the_result(dock: PlainDock) -> None:
    results: list[Any] = []
    steps: list[Progress] = []
    dock.run(probe.count, 3, 0.0, name="count", on_done=results.append, on_step=steps.append)
    assert len(results) == 1
    assert [s.done for s in steps] == [1, 2, 3]
    assert not dock.job_bar.isVisible()


def test_a_failure_is_a_notification(dock: PlainDock) -> None:
    notification_manager.records.clear()
    dock.tell_error(EngineError("no memory left; choose a smaller region"))
    assert "no memory left; choose a smaller region" in told()


def test_a_job_in_the_worker_is_shown_and_can_be_cancelled(qtbot: Any, viewer: Any, dock: PlainDock) -> None:
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    ended: list[str] = []
    dock.run(probe.count, 500, 0.02, name="count", on_end=lambda: ended.append("end"))
    qtbot.waitUntil(lambda: "step" in dock.job_bar.bulk.label.text(), timeout=30_000)
    assert dock.job_bar.isVisible()
    assert dock.job_bar.bulk.bar.maximum() == 500
    dock.job_bar.bulk.cancel_button.click()
    qtbot.waitUntil(lambda: ended == ["end"], timeout=10_000)
    assert not dock.job_bar.isVisible()


def test_a_killed_worker_leaves_the_viewer_alive(qtbot: Any, viewer: Any, dock: PlainDock) -> None:
    import os
    import signal
    import sys

    if sys.platform == "win32":
        pytest.skip("no SIGKILL")
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    notification_manager.records.clear()
    started: list[Any] = []
    dock.run(probe.count, 500, 0.02, name="count", on_step=started.append)
    qtbot.waitUntil(lambda: bool(started), timeout=30_000)
    os.kill(dock.session.engine.worker_pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: any("killed by signal 9" in m for m in told()), timeout=10_000)
    results: list[Any] = []
    dock.run(probe.describe_process, name="again", on_done=results.append)
    qtbot.waitUntil(lambda: bool(results), timeout=30_000)
    assert results[0]["pid"] != os.getpid()


def test_a_job_dies_with_its_layer(qtbot: Any, viewer: Any, dock: PlainDock) -> None:
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    layer = viewer.add_image(np.zeros((8, 8)))
    done: list[Any] = []
    ended: list[str] = []
    dock.run(
        probe.count,
        500,
        0.02,
        name="count",
        bound_to=layer_id(layer),
        on_done=done.append,
        on_end=lambda: ended.append("end"),
    )
    qtbot.waitUntil(lambda: "step" in dock.job_bar.bulk.label.text(), timeout=30_000)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: bool(ended), timeout=10_000)
    assert done == []


def test_both_lanes_are_shown_beside_each_other_and_cancelled_alone(
    qtbot: Any, viewer: Any, dock: PlainDock
) -> None:
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    bar, ended = dock.job_bar, []
    dock.run(probe.count, 5000, 0.01, name="bulk work", on_end=lambda: ended.append("bulk"))
    dock.run(
        probe.count,
        5000,
        0.01,
        name="a click",
        lane="interactive",
        on_end=lambda: ended.append("interactive"),
    )
    for row in (bar.bulk, bar.interactive):
        qtbot.waitUntil(lambda row=row: row.isVisible() and "step" in row.label.text(), timeout=30_000)
    bar.interactive.cancel_button.click()
    qtbot.waitUntil(lambda: ended == ["interactive"], timeout=10_000)
    assert not bar.interactive.isVisible()
    assert bar.bulk.isVisible()
    assert bar.bulk.job is not None
    dock.run(probe.count, 5000, 0.01, name="another click", lane="interactive")
    qtbot.waitUntil(bar.interactive.isVisible, timeout=30_000)
    bar.bulk.cancel_button.click()
    qtbot.waitUntil(lambda: ended == ["interactive", "bulk"], timeout=10_000)
    assert bar.isVisible()
    bar.interactive.cancel_button.click()
    qtbot.waitUntil(lambda: not bar.isVisible(), timeout=10_000)


def test_a_job_that_waits_says_so_and_can_be_cancelled(qtbot: Any, viewer: Any, dock: PlainDock) -> None:
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    elsewhere = dock.session.engine.submit(probe.count, 5000, 0.01)  # the job of another dock
    ended: list[str] = []
    dock.run(probe.count, 5, 0.0, name="count", on_end=lambda: ended.append("first"))
    dock.run(probe.count, 5, 0.0, name="count on", on_end=lambda: ended.append("second"))
    assert dock.job_bar.bulk.label.text() == "count: waiting ... (+1 waiting)"
    dock.job_bar.bulk.cancel_button.click()
    qtbot.waitUntil(lambda: ended == ["first"], timeout=10_000)
    assert dock.job_bar.bulk.label.text() == "count on: waiting ..."
    elsewhere.cancel()
    qtbot.waitUntil(lambda: ended == ["first", "second"], timeout=30_000)
    assert not dock.job_bar.isVisible()


def test_an_interactive_job_that_is_answered_at_once_does_not_flash(
    qtbot: Any, viewer: Any, dock: PlainDock
) -> None:
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    shown: list[bool] = []
    dock.session.engine.submit(probe.describe_process, lane="interactive").result(60)  # it is warm
    dock.job_bar.interactive._delay.setInterval(60_000)
    dock.run(
        probe.count,
        3,
        0.0,
        name="click",
        lane="interactive",
        on_step=lambda _: shown.append(dock.job_bar.interactive.isVisible()),
        on_end=lambda: shown.append(dock.job_bar.interactive.isVisible()),
    )
    qtbot.waitUntil(lambda: len(shown) == 4, timeout=30_000)
    assert shown == [False] * 4
