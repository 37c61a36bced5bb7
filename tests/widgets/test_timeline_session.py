"""A session is closed and opened again in another viewer: everything is as it was."""

import itertools
import json

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.session import CellKey, Link, journal_list
from napari_biofm.session.journal_files import FOLDER_VARIABLE
from napari_biofm.session.journal_list import unsaved
from napari_biofm.signals import Recording
from napari_biofm.signals.curation import with_verdicts
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline import TimelineDock

MOVIE = np.random.default_rng(0).integers(0, 200, (30, 24, 32)).astype(np.uint8)


def scene(viewer, path=""):
    masks = np.zeros((24, 32), np.int32)
    masks[4:10, 4:12], masks[14:20, 18:28] = 2, 5
    image = viewer.add_image(
        MOVIE, name="movie", scale=(1, 2, 2), metadata={"frame_rate_hz": 10.0, "path": path}
    )
    labels = viewer.add_labels(masks, name="cells", scale=(2, 2), translate=(1, 1))
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock)
    session = dock.session
    uid = session.add_recording(Recording.from_arrays(np.zeros(40_000), 10_000.0, "mV"), "patch")
    session.set_clock(layer_id(image), Clock.from_rate(30, 10.0, 0.5, recording=uid))
    session.link(Link(uid, 0, CellKey(layer_id(labels), 5)))
    events = np.zeros(3, EVENT_DTYPE)
    events["time_s"], events["class"] = [0.6, 1.4, 2.2], "AP"
    session.set_events(uid, events, {"detector": "threshold"})
    session.select([CellKey(layer_id(labels), 5)])
    session.set_time(1.41)
    dock.show_panel.show_points.setChecked(True)
    return dock


def save(dock, folder):
    """Save and wait: the writing runs on a thread."""
    dock.session_panel.files.save_to(folder)
    dock.session_panel.background.wait()
    QApplication.processEvents()


def test_close_and_reopen_gives_all_the_same(make_napari_viewer, tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "movie.tif", MOVIE)
    first = make_napari_viewer()
    dock = scene(first, str(tmp_path / "movie.tif"))
    points = first.layers["movie events"].data.copy()
    save(dock, tmp_path / "day1")
    second = make_napari_viewer()
    again = TimelineDock(second)
    second.window.add_dock_widget(again)
    assert again.session_panel.files.open_from(tmp_path / "day1")
    assert sorted(layer.name for layer in second.layers) == ["cells", "movie"]
    assert second.layers["movie"].scale.tolist() == [1, 2, 2]
    labels = second.layers["cells"]
    np.testing.assert_array_equal(labels.data, first.layers["cells"].data)
    assert labels.translate.tolist() == [1, 1]
    assert again.session.selection == {CellKey(layer_id(labels), 5)}
    assert again.session.time_s == 1.41
    assert [(link.recording, link.cell) for link in again.session.links] == [
        ("patch", CellKey(layer_id(labels), 5))
    ]
    again.show_panel.show_points.setChecked(True)
    np.testing.assert_allclose(second.layers["movie events"].data, points)
    assert not again.session.history.can_undo


def test_an_image_that_is_gone_is_named_and_the_rest_comes_back(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    dock = scene(viewer)
    save(dock, tmp_path / "day1")
    viewer.layers.clear()
    again = TimelineDock(make_napari_viewer())
    assert again.session_panel.files.open_from(tmp_path / "day1")
    assert "The image 'movie'" in again.words.text()
    assert len(again.session.links) == 1
    again.deleteLater()


def test_previews_and_the_overlay_of_classes_are_not_saved(make_napari_viewer):
    viewer = make_napari_viewer()
    scene(viewer)
    plane = np.zeros((24, 32), np.int32)
    marked = {"napari-biofm helper": True}, {"biofm_overlay_of": layer_id(viewer.layers["cells"])}
    for metadata in marked:
        viewer.add_labels(plane, name=next(iter(metadata)), metadata=metadata)
    assert [layer.name for layer in ViewerLayers(viewer).saved()] == ["movie", "cells"]


def test_a_folder_that_is_no_session_is_refused_and_nothing_changes(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    dock = scene(viewer)
    links = dock.session.links
    assert not dock.session_panel.files.open_from(tmp_path)
    assert "is no session" in dock.words.text()
    assert dock.session.links == links and len(viewer.layers) == 3


def test_every_edit_is_saved_by_itself_and_offered_after_a_crash(make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "auto"))
    viewer = make_napari_viewer()
    dock = scene(viewer)
    assert unsaved(tmp_path / "auto") == [], "this process is alive"
    monkeypatch.setattr(journal_list, "started", lambda pid: None)
    second = make_napari_viewer(show=True)
    again = TimelineDock(second)
    second.window.add_dock_widget(again)
    QApplication.processEvents()
    assert not again.recovery.isHidden() and "'cells', 'patch'" in again.recovery.text.text()
    log = [entry["action"] for entry in dock.session.log]
    again.recovery.recover_button.click()
    assert len(again.session.links) == 1
    assert [entry["action"] for entry in again.session.log] == log == ["set clock", "link", "detect"]
    np.testing.assert_array_equal(second.layers["cells (recovered)"].data, viewer.layers["cells"].data)


def test_two_docks_offer_a_recovery_once(make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "auto"))
    scene(make_napari_viewer())
    monkeypatch.setattr(journal_list, "started", lambda pid: None)
    viewer = make_napari_viewer(show=True)
    docks = [AnnotateDock(viewer), TimelineDock(viewer)]
    for dock in docks:
        viewer.window.add_dock_widget(dock)
    QApplication.processEvents()
    bars = [dock.recovery for dock in docks if dock.recovery is not None]
    assert len(bars) == 1 and not bars[0].isHidden()
    bars[0].forget_button.click()
    assert bars[0].isHidden() and unsaved(tmp_path / "auto") == []


def test_an_undo_that_no_longer_fits_is_told_in_the_dock(make_napari_viewer):
    dock = scene(make_napari_viewer())
    dock.session.remove_recording("patch")
    dock.undo_button.click()
    assert "could not be undone and was left out" in dock.words.text()
    dock.undo_button.click()
    assert dock.session.links == frozenset(), "what was done before can still be undone"


def test_the_canvas_is_written_as_a_movie_with_a_running_trace(make_napari_viewer, tmp_path):
    import imageio.v2 as imageio

    viewer = make_napari_viewer(show=True)
    dock = scene(viewer)
    panel = dock.session_panel
    panel.first.setValue(3)
    panel.last.setValue(7)
    before = viewer.dims.current_step[0]
    assert panel.export_movie(tmp_path / "movie.gif") == 5
    frames = imageio.mimread(tmp_path / "movie.gif")
    assert len(frames) == 5 and any((a != b).any() for a, b in itertools.pairwise(frames))
    assert viewer.dims.current_step[0] == before


def test_nwb_leaves_through_the_panel(make_napari_viewer, tmp_path):
    pytest.importorskip("pynwb")
    dock = scene(make_napari_viewer())
    dock.session_panel.files.export_nwb(tmp_path / "day.nwb")
    dock.session_panel.background.wait()
    QApplication.processEvents()
    assert (tmp_path / "day.nwb").is_file()
    assert "Exported" in dock.session_panel.words.text()


def test_nwb_through_the_panel_says_which_rejected_cells_are_in_it(make_napari_viewer, tmp_path):
    pytest.importorskip("pynwb")
    dock = scene(make_napari_viewer())
    traces = Recording.from_arrays(np.ones((2, 30), np.float32), 10.0, "dF/F", labels=np.array([2, 5]))
    dock.session.add_recording(with_verdicts(traces, {5: "reject"}), "traces")
    dock.session_panel.files.export_nwb(tmp_path / "day.nwb")
    dock.session_panel.background.wait()
    QApplication.processEvents()
    said = "traces: 1 of 2 cells is rejected and included (column accepted). Exported to"
    assert said in dock.session_panel.words.text()


def test_a_save_that_fails_is_said_and_nothing_is_lost(make_napari_viewer, tmp_path):
    dock = scene(make_napari_viewer())
    (tmp_path / "file").write_text("in the way")
    save(dock, tmp_path / "file")
    assert "is a file" in dock.words.text() and dock.session_panel.words.text() == "Not saved."
    assert len(dock.session.links) == 1


def test_what_is_painted_while_it_is_saved_is_not_in_the_file_by_halves(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    dock = scene(viewer)
    taken = dock.session_panel.files.taken()
    viewer.layers["cells"].data_setitem((np.array([0]), np.array([0])), 2)
    again = dock.session_panel.files.taken()
    masks = [next(y.data for y in saved.layers if y.data is not None) for saved in (taken, again)]
    assert masks[0][0, 0] == 0 and masks[1][0, 0] == 2
    third = dock.session_panel.files.taken()
    assert next(y.data for y in third.layers if y.data is not None) is masks[1], "untouched labels: no copy"


def test_a_session_opens_images_only_and_executes_nothing(make_napari_viewer, tmp_path):
    mark = tmp_path / "mark"
    payloads = [tmp_path / f"movie{ending}" for ending in (".py", ".pyw", ".tif.py", ".exe", ".csv", "")]
    payloads.append(tmp_path / "capitals" / "movie.PY")
    payloads[-1].parent.mkdir()
    first = make_napari_viewer()
    dock = scene(first, str(payloads[0]))
    for payload in payloads:
        payload.write_text(f"open({str(mark)!r}, 'w').close()\n")
    for payload in payloads[1:]:
        first.add_image(MOVIE, name=payload.name, metadata={"path": str(payload)})
    save(dock, tmp_path / "day1")
    viewer = make_napari_viewer()
    again = TimelineDock(viewer)
    assert again.session_panel.files.open_from(tmp_path / "day1")
    assert not mark.exists()
    assert [layer.name for layer in viewer.layers] == ["cells"]
    for payload in payloads:
        assert (
            f"({payload}) cannot be opened: {payload.name} is no kind of image that a session opens"
            in again.words.text()
        )
    again.deleteLater()


def test_an_image_of_another_shape_is_not_taken_for_the_one_that_was_saved(make_napari_viewer, tmp_path):
    import tifffile

    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, MOVIE)
    dock = scene(make_napari_viewer(), str(path))
    save(dock, tmp_path / "day1")
    tifffile.imwrite(path, MOVIE[:20])
    viewer = make_napari_viewer()
    again = TimelineDock(viewer)
    assert again.session_panel.files.open_from(tmp_path / "day1")
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert "has shape (20, 24, 32) now, not (30, 24, 32)" in again.words.text()
    again.deleteLater()


def test_a_session_cannot_set_what_is_no_placing(make_napari_viewer, tmp_path):
    dock = scene(make_napari_viewer())
    save(dock, tmp_path / "day1")
    index = tmp_path / "day1" / "session.json"
    content = json.loads(index.read_text())
    for layer in content["layers"]:
        layer["placing"]["data"] = [1]
        layer["placing"]["visible"] = False
    index.write_text(json.dumps(content))
    viewer = make_napari_viewer()
    again = TimelineDock(viewer)
    assert again.session_panel.files.open_from(tmp_path / "day1")
    assert viewer.layers["cells"].visible
    again.deleteLater()


def test_the_file_menu_saves_and_opens_what_the_dock_does(make_napari_viewer, tmp_path, monkeypatch):
    from napari._app_model import get_app_model
    from qtpy.QtWidgets import QFileDialog

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache" / "autosave"))
    viewer = make_napari_viewer()
    dock = scene(viewer)
    panel, run = dock.session_panel, get_app_model().commands.execute_command
    folder = tmp_path / "day.biofm"
    asked = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (asked.append(a) or str(folder), ""))
    run("napari-biofm.save_session").result()
    panel.background.wait()
    QApplication.processEvents()
    assert panel.words.text() == f"Saved to {folder}." and len(asked) == 1
    dock.session.set_events("patch", np.zeros(0, EVENT_DTYPE), {"detector": "threshold"})
    run("napari-biofm.save_session").result()
    panel.background.wait()
    assert len(asked) == 1, "the second time the folder is known"
    panel.recent_menu.aboutToShow.emit()
    assert [action.text() for action in panel.recent_menu.actions()] == [str(folder)]
    layers = len(viewer.layers)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a: str(folder))
    run("napari-biofm.open_session").result()
    assert len(viewer.layers) > layers
