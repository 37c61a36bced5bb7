"""Memory that runs out in the window: it lives, says what was too large and what to do, and everything is as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from tests.widgets.test_base import PlainDock, told

from napari_biofm.actions import EditLabels
from napari_biofm.controllers.common.session_files import SessionFiles
from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.engine import make_engine, probe
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit
from napari_biofm.session.saving import load_session
from napari_biofm.widgets.common.background import Background
from napari_biofm.widgets.common.viewers import QtPost, layer_id

LARGE = 1 << 29  # bytes of what does not fit
ROOM = 1 << 27  # bytes that are free


@contextmanager
def little_memory() -> Iterator[None]:
    """Leave this process little more than it has."""
    resource = pytest.importorskip("resource")
    if not sys.platform.startswith("linux"):
        pytest.skip("the size of the process is read from /proc")
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (has + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def dock(viewer: Any) -> PlainDock:
    made = PlainDock(viewer)
    viewer.window.add_dock_widget(made, name="plain")
    notification_manager.records.clear()
    return made


def the_message() -> str:
    (message,) = (one for one in told() if "memory" in one)
    return message


@pytest.fixture
def run(qtbot: Any, dock: PlainDock) -> Callable[..., list[Any]]:
    """Run a job in the worker; what it ended with is returned."""
    dock.session.use_engine(make_engine("worker", post=QtPost()))

    def wait(*job: Any) -> list[Any]:
        results: list[Any] = []
        ended: list[int] = []
        dock.run(*job, name="a job", on_done=results.append, on_end=lambda: ended.append(1))
        qtbot.waitUntil(lambda: bool(ended), timeout=60_000)
        return results

    assert wait(probe.count, 1, 0.0)  # the worker has started, with all the memory there is
    return wait


def test_a_result_that_does_not_fit_is_told_and_the_next_job_runs(run: Callable[..., list[Any]]) -> None:
    with little_memory():
        assert run(np.zeros, LARGE, np.uint8) == []
    assert "no room for 512. MiB for an array with shape (536870912,)" in the_message()
    assert "take a smaller part" in the_message()
    assert run(probe.count, 1, 0.0), "the worker and the line to it are in order"


def test_arguments_that_do_not_fit_are_told_and_the_next_job_runs(
    run: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros(LARGE, np.uint8)
    monkeypatch.setattr("napari_biofm.engine.channel._reserved", no_shared_memory)
    with little_memory():
        assert run(probe.echo, image) == []
    assert "could not be sent to the worker process: Not enough memory" in the_message()
    assert run(probe.count, 1, 0.0)


def no_shared_memory(_size: int) -> Any:
    raise OSError("no shared memory is free")


def test_a_click_that_runs_out_of_memory_is_told_in_words(dock: PlainDock) -> None:
    with little_memory(), pytest.raises(MemoryError) as caught:
        np.zeros(LARGE, np.uint8)
    notification_manager.receive_error(MemoryError, caught.value, caught.value.__traceback__)
    assert "no room for 512. MiB" in the_message() and "Close layers or other programs" in the_message()
    notification_manager.records.clear()
    dock.tell_error(MemoryError())
    assert the_message().startswith("Not enough memory. What was open stays as it was.")


class Full(ArrayTarget):
    """Labels that can be written a few times, and then memory runs out; 0 is for ever."""

    left = 0

    def put(self, *args: Any) -> None:
        if self.left == 1:
            self.left = 0
            raise MemoryError("Unable to allocate 8.00 GiB for an array")
        self.left -= bool(self.left)
        super().put(*args)


def test_an_edit_of_several_parts_is_whole_or_absent() -> None:
    target = Full(np.zeros((600, 600), np.int32), "cells")
    first, after = np.zeros((600, 600), np.int32), np.zeros((600, 600), np.int32)
    after[1:3, 1:3] = 1
    one = LabelsEdit.whole("cells", "Paint", first, after, {})
    then = after.copy()
    then[500:503, 500:503] = 2
    other = LabelsEdit.whole("cells", "Paint", after, then, {})
    both = LabelsEdit("cells", "Paint", one.patches + other.patches)
    target.left = 2
    with pytest.raises(MemoryError):
        both.write(target)
    assert not target.data.any(), "the first part was taken back"
    both.write(target)
    np.testing.assert_array_equal(target.data, then)
    target.left = 2
    with pytest.raises(MemoryError):
        both.inverse().write(target)
    np.testing.assert_array_equal(target.data, then)


def test_undo_that_runs_out_of_memory_can_be_done_again(viewer: Any, dock: PlainDock) -> None:
    layer = viewer.add_labels(np.zeros((64, 64), np.int32))
    uid = layer_id(layer)
    dock.session.set_layers(labels=uid)
    before, after = np.zeros((64, 64), np.int32), np.zeros((64, 64), np.int32)
    after[3:9, 3:9] = 1
    dock.session.do(EditLabels(LabelsEdit.whole(uid, "Paint", before, after, {})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabelsEdit, "write", full)
        with pytest.raises(MemoryError):
            dock.session.undo()
    assert dock.session.history.can_undo and not dock.session.history.is_busy
    np.testing.assert_array_equal(layer.data, after)
    assert dock.session.undo() == "Paint" and not layer.data.any()


def full(*_: Any, **__: Any) -> Any:
    raise MemoryError("Unable to allocate 8.00 GiB for an array with shape (1,) and data type int64")


def test_a_session_that_cannot_be_written_leaves_the_one_before(
    qtbot: Any, viewer: Any, dock: PlainDock, tmp_path: Path
) -> None:
    layer = viewer.add_labels(np.zeros((64, 64), np.int32), name="cells")
    dock.session.set_layers(labels=layer_id(layer))
    files = SessionFiles(dock.session, ViewerLayers(viewer), Background(dock))
    files.failed.connect(dock.tell_error)
    files.save_to(tmp_path / "day1")
    files.writer.wait()
    layer.data = np.ones((64, 64), np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_biofm.session.saving._write_layer", full)
        files.save_to(tmp_path / "day1")
        files.writer.wait()
        qtbot.waitUntil(lambda: any("memory" in one for one in told()), timeout=20_000)
    assert "no room for 8.00 GiB" in the_message()
    (saved,) = load_session(tmp_path / "day1").layers
    assert not np.asarray(saved.data).any(), "the session that was saved before"
    files.save_to(tmp_path / "day1")
    files.writer.wait()
    (saved,) = load_session(tmp_path / "day1").layers
    assert np.asarray(saved.data).all()


def test_a_session_that_does_not_fit_leaves_no_layers_behind(
    viewer: Any, dock: PlainDock, tmp_path: Path
) -> None:
    for name in "ab":
        viewer.add_labels(np.ones((8, 8), np.int32), name=name)
    files = SessionFiles(dock.session, ViewerLayers(viewer), Background(dock))
    files.save_to(tmp_path / "day1")
    files.writer.wait()
    before, add = list(viewer.layers), type(viewer).add_labels

    def add_one(*args: Any, name: str, **more: Any) -> Any:
        return add(*args, name=name, **more) if name == "a" else full()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(viewer), "add_labels", add_one)
        with pytest.raises(MemoryError):
            files.open_from(tmp_path / "day1")
    assert list(viewer.layers) == before
    assert files.open_from(tmp_path / "day1") and len(viewer.layers) == 4
