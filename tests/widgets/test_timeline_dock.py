"""The timeline dock in a real viewer: align, link, scrub, events on the image, undo."""

import numpy as np
import pytest

from napari_biofm.session import CellKey
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline import TimelineDock

N_FRAMES, RATE, OFFSET = 60, 10.0, 0.25


def patch_recording(n_frames=N_FRAMES):
    trigger = np.zeros(70_000)
    for frame in range(n_frames):
        start = round((OFFSET + frame / RATE) * 10_000)
        trigger[start : start + 20] = 5.0
    return Recording.from_arrays([[np.zeros(70_000), trigger]], 10_000.0, ["mV", "V"], names=["Vm", "Frames"])


def spikes(times, channel=0):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["time_s"], events["class"], events["channel"] = times, "AP", channel
    return events


@pytest.fixture
def scene(make_napari_viewer):
    """A viewer with a movie, cells, a recording with spikes, and the dock."""
    viewer = make_napari_viewer()
    movie = np.random.default_rng(0).integers(0, 200, (N_FRAMES, 40, 50)).astype(np.uint8)
    masks = np.zeros((40, 50), np.int32)
    masks[5:15, 5:15], masks[20:30, 30:44] = 3, 8
    viewer.add_image(movie, name="movie", scale=(1, 2, 2), metadata={"frame_rate_hz": RATE})
    viewer.add_labels(masks, name="cells", scale=(2, 2))
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    dock.session.add_recording(patch_recording(), "patch")
    return viewer, dock


def cell(viewer, label):
    return CellKey(layer_id(viewer.layers["cells"]), label)


def link_spikes(viewer, dock, label=8, times=(1.0, 3.0)):
    dock.session.select([cell(viewer, label)])
    dock.link_panel.button.click()
    dock.session.set_events("patch", spikes(times), {})


def test_align_finds_the_pulses_and_says_what_it_found(scene):
    viewer, dock = scene
    assert dock.align_panel.channel.currentText().startswith("1: Frames")
    dock.align_panel.button.click()
    clock = dock.session.clock(layer_id(viewer.layers["movie"]))
    np.testing.assert_allclose(clock.times, OFFSET + np.arange(N_FRAMES) / RATE, atol=1e-4)
    assert "60 pulses" in dock.align_panel.report.text()


def test_align_can_be_undone_and_done_again(scene):
    viewer, dock = scene
    uid = layer_id(viewer.layers["movie"])
    dock.align_panel.button.click()
    dock.undo_button.click()
    assert dock.session.clock(uid) is None
    assert "no clock yet" in dock.align_panel.report.text()
    dock.redo_button.click()
    assert dock.session.clock(uid).n_frames == N_FRAMES


def test_rate_and_offset_make_a_clock_too(scene):
    viewer, dock = scene
    dock.align_panel.source.setCurrentText("rate and offset")
    dock.align_panel.rate.setValue(20.0)
    dock.align_panel.offset.setValue(1.5)
    dock.align_panel.button.click()
    clock = dock.session.clock(layer_id(viewer.layers["movie"]))
    assert (clock.time_of(0), clock.time_of(20)) == (1.5, 2.5)


def test_a_recording_shorter_than_the_movie_is_told(scene):
    _, dock = scene
    short = Recording.from_arrays([[np.zeros(30_000)]], 10_000.0, "mV")
    dock.session.add_recording(short, "short")
    dock.recording.choose("short")
    dock.align_panel.source.setCurrentText("rate and offset")
    dock.align_panel.rate.setValue(RATE)
    dock.align_panel.button.click()
    assert "short runs from 0 to 3 s: 29 frames lie outside it" in dock.align_panel.report.text()
    dock.undo_button.click()
    assert dock.controller.clock is None


def test_frame_times_come_from_the_movies_own_file(make_napari_viewer, tmp_path):
    import tifffile

    path, times = tmp_path / "movie.ome.tif", [0.0, 0.1, 0.25, 0.3]
    data = np.zeros((4, 20, 20), np.uint8)
    plane = {"DeltaT": times, "DeltaTUnit": ["s"] * 4}
    tifffile.imwrite(path, data, metadata={"axes": "TYX", "Plane": plane})
    viewer = make_napari_viewer()
    viewer.add_image(data, name="movie", metadata={"path": str(path)})
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.align_panel.source.setCurrentText("times stated in a file")
    dock.align_panel.button.click()
    np.testing.assert_allclose(dock.controller.clock.times, times)
    dock.align_panel.file.setText(str(tmp_path / "gone.nwb"))
    dock.align_panel.button.click()
    assert "gone.nwb" in dock.words.text()
    assert dock.controller.clock.times.tolist() == times, "what was there stays"


def test_a_flat_channel_is_refused_in_words_and_the_clock_stays(scene):
    viewer, dock = scene
    dock.align_panel.button.click()
    before = dock.session.clock(layer_id(viewer.layers["movie"]))
    dock.align_panel.channel.choose(0)
    dock.align_panel.button.click()
    assert "stays on one level" in dock.words.text()
    assert dock.session.clock(layer_id(viewer.layers["movie"])) is before
    assert dock.align_panel.button.isEnabled()


def test_slider_moves_time_and_time_moves_slider_without_an_echo(scene):
    viewer, dock = scene
    dock.align_panel.button.click()
    heard = []
    dock.session.time_changed.connect(heard.append)
    viewer.dims.set_current_step(0, 20)
    assert heard == [pytest.approx(OFFSET + 2.0, abs=1e-4)]
    dock.session.set_time(OFFSET + 3.07)
    assert viewer.dims.current_step[0] == 30
    assert heard[1:] == [OFFSET + 3.07], "the slider must not answer with the start of its frame"
    dock.session.set_time(OFFSET + 3.02)
    assert viewer.dims.current_step[0] == 30
    dock.session.set_time(1000.0)
    assert viewer.dims.current_step[0] == N_FRAMES - 1
    assert dock.session.time_s == 1000.0


def test_events_show_on_their_cell_in_their_frame(scene):
    viewer, dock = scene
    dock.align_panel.button.click()
    link_spikes(viewer, dock)
    dock.show_panel.hold.setValue(0.05)
    dock.show_panel.show_points.setChecked(True)
    points = viewer.layers["movie events"]
    frames = np.unique(points.data[:, 0])
    assert frames.tolist() == [7, 8, 27, 28], "1.0 s is in frame 7 (from 0.95 s), and 8 begins within 0.05 s"
    world = np.array(points.data_to_world(points.data[0]))
    assert viewer.layers["cells"].get_value(world, world=True) == 8
    np.testing.assert_allclose(world, [7, 24.5 * 2, 36.5 * 2])
    assert "2 events of cell 8" in dock.show_panel.words.text()


def test_events_follow_what_changes(scene):
    viewer, dock = scene
    dock.align_panel.button.click()
    dock.show_panel.show_points.setChecked(True)
    assert "No events yet" in dock.show_panel.words.text()
    link_spikes(viewer, dock)
    points = viewer.layers["movie events"]
    many = len(points.data)
    assert many > 0
    dock.session.set_events("patch", spikes([2.0]), {})
    assert 0 < len(points.data) < many
    dock.session.history.undo()
    assert len(points.data) == many
    dock.session.history.undo()
    dock.session.history.undo()  # the link
    assert len(points.data) == 0
    dock.session.history.redo()
    dock.session.history.redo()
    assert len(points.data) == many
    dock.show_panel.show_points.setChecked(False)
    assert "movie events" not in viewer.layers


def test_a_click_on_a_cell_chooses_it_and_link_takes_it(scene):
    viewer, dock = scene
    click(viewer, (0, 50, 74))
    assert dock.session.selection == {cell(viewer, 8)}
    assert dock.link_panel.cell.text() == "cell 8 of 'cells'"
    dock.link_panel.button.click()
    assert [(a.recording, a.channel, a.cell.label) for a in dock.session.links] == [("patch", 0, 8)]
    click(viewer, (0, 2, 2))
    assert dock.session.selection == frozenset()


def test_a_cell_that_was_erased_stays_linked_and_is_named(scene):
    viewer, dock = scene
    dock.align_panel.button.click()
    link_spikes(viewer, dock)
    dock.show_panel.show_points.setChecked(True)
    layer = viewer.layers["cells"]
    layer.data = np.where(layer.data == 8, 0, layer.data)
    assert len(viewer.layers["movie events"].data) == 0
    assert len(dock.session.links) == 1
    assert "no longer in 'cells'" in dock.link_panel.links.item(0).text()


def test_strokes_of_the_brush_are_followed_together(scene, qtbot):
    viewer, dock = scene
    layer, heard = viewer.layers["cells"], []
    dock.controller.cells_moved.connect(lambda: heard.append(1))
    for x in range(20, 25):
        layer.data_setitem((np.array([30]), np.array([x])), 8)
    assert not heard
    qtbot.waitUntil(lambda: bool(heard))
    assert len(heard) == 1


def test_an_empty_viewer_says_what_to_do(make_napari_viewer):
    viewer = make_napari_viewer()
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert "Open a movie" in dock.align_panel.report.text()
    assert not dock.link_panel.button.isEnabled()
    dock.align_panel.button.click()
    dock.show_panel.show_points.setChecked(True)
    assert "Open a movie" in dock.show_panel.words.text()


def test_removing_the_movie_or_the_recording_leaves_a_working_dock(scene):
    viewer, dock = scene
    dock.align_panel.button.click()
    link_spikes(viewer, dock)
    dock.show_panel.show_points.setChecked(True)
    dock.session.remove_recording("patch")
    assert len(viewer.layers["movie events"].data) == 0
    assert "the recording was closed" in dock.link_panel.links.item(0).text()
    viewer.layers.remove("movie")
    viewer.layers.remove("cells")
    dock.align_panel.button.click()
    assert dock.movie.currentText() == "no movie open"


def click(viewer, position):
    """Press and release at a world position, as the canvas would report it."""
    from types import SimpleNamespace

    event = SimpleNamespace(
        type="mouse_press",
        button=1,
        modifiers=(),
        pos=(10, 10),
        position=position,
        view_direction=None,
        dims_displayed=[1, 2],
    )
    for callback in list(viewer.mouse_drag_callbacks):
        steps = callback(viewer, event)
        if steps is None:
            continue
        next(steps, None)
        event.type = "mouse_release"
        next(steps, None)
        event.type = "mouse_press"


def test_pulses_that_do_not_agree_are_asked_about_with_a_picture_and_the_choice_makes_the_clock(scene):
    viewer, dock = scene
    dock.session.add_recording(patch_recording(N_FRAMES + 5), "ran on")
    dock.recording.choose("ran on")
    panel = dock.align_panel
    panel.button.click()
    uid = layer_id(viewer.layers["movie"])
    assert dock.session.clock(uid) is None, "nothing is set before somebody chose"
    assert "65 pulses and 60 frames do not agree" in dock.words.text()
    assert panel.meaning.isVisibleTo(panel) and panel.plot.isVisibleTo(panel)
    assert "first 60 of 65" in panel.meaning.currentText()
    panel.meaning.choose("last")
    assert panel.plot.band.getRegion()[0] == pytest.approx(OFFSET + 5 / RATE, abs=1e-3)
    panel.button.click()
    clock = dock.session.clock(uid)
    np.testing.assert_allclose(clock.times, OFFSET + (5 + np.arange(N_FRAMES)) / RATE, atol=1e-4)
    assert "last" in clock.source
    assert not panel.meaning.isVisibleTo(panel)


def test_frames_that_are_not_in_the_file_are_left_out_by_their_numbers(scene):
    viewer, dock = scene
    dock.session.add_recording(patch_recording(N_FRAMES + 2), "dropped")
    dock.recording.choose("dropped")
    dock.align_panel.skipped.setText("10, 20")
    dock.align_panel.button.click()
    times = OFFSET + np.delete(np.arange(N_FRAMES + 2), [10, 20]) / RATE
    np.testing.assert_allclose(dock.session.clock(layer_id(viewer.layers["movie"])).times, times, atol=1e-4)
    dock.align_panel.skipped.setText("ten")
    dock.align_panel.button.click()
    assert "'ten' is no frame number" in dock.words.text()
