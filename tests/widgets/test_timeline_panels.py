"""Overlays, raster, averages and the joint table in a real viewer, sharing time and selection."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_biofm.session import CellKey, Link
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.timeline.activity_overlay import ACTIVITY
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline import TimelineDock

N_FRAMES, RATE = 80, 10.0
LABELS = (3, 8, 20)


def table(rows):
    events = np.zeros(len(rows), EVENT_DTYPE)
    for i, (channel, seconds) in enumerate(rows):
        events[i]["channel"], events[i]["time_s"], events[i]["class"] = channel, seconds, "calcium"
    return events


@pytest.fixture
def scene(make_napari_viewer):
    """A movie of three cells that light up at their events, its clock, traces and events."""
    viewer = make_napari_viewer()
    masks = np.zeros((40, 50), np.int32)
    masks[5:15, 5:15], masks[20:30, 30:44], masks[32:38, 4:12] = LABELS
    rows = [(0, 1.0), (0, 4.0), (1, 2.5), (1, 5.0), (1, 6.0), (2, 3.0)]
    movie = np.full((N_FRAMES, 40, 50), 50.0, np.float32)
    traces = np.zeros((3, N_FRAMES), np.float32)
    for channel, seconds in rows:
        frame = round(seconds * RATE)
        movie[frame : frame + 3, masks == LABELS[channel]] += 40
        traces[channel, frame : frame + 3] += 1
    image = viewer.add_image(movie, name="movie", metadata={"frame_rate_hz": RATE})
    viewer.add_labels(masks, name="cells")
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    uid = dock.session.add_recording(Recording.from_arrays(traces, RATE, "dF/F", labels=LABELS), "traces")
    dock.session.set_clock(layer_id(image), Clock.from_rate(N_FRAMES, RATE))
    dock.session.set_events(uid, table(rows), {})
    return viewer, dock


def cell(viewer, label):
    return CellKey(layer_id(viewer.layers["cells"]), label)


def test_flashes_follow_the_slider_and_are_dark_elsewhere(scene):
    viewer, dock = scene
    dock.show_panel.show_flashes.setChecked(True)
    layer, masks = viewer.layers["flashes of events"], viewer.layers["cells"].data
    viewer.dims.set_current_step(0, 25)
    assert (layer.data[masks == 8] > 0).all() and (layer.data[masks != 8] == 0).all()
    viewer.dims.set_current_step(0, 0)
    assert not layer.data.any()
    dock.session.set_time(3.01)
    assert (layer.data[masks == 20] > 0).all()
    dock.show_panel.show_flashes.setChecked(False)
    assert "flashes of events" not in viewer.layers


def test_the_activity_image_is_in_step_with_the_slider(scene):
    viewer, dock = scene
    dock.show_panel.show_activity.setChecked(True)
    layer, masks = viewer.layers["activity of cells"], viewer.layers["cells"].data
    viewer.dims.set_current_step(0, 26)
    shown = layer._slice.image.raw
    assert shown[masks == 8].min() == ACTIVITY and shown[masks == 3].max() == 1
    assert "Activity of 3 of 3 cells" in dock.show_panel.words.text()


def test_activity_and_flashes_are_one_layer(scene):
    viewer, dock = scene
    dock.show_panel.show_activity.setChecked(True)
    dock.show_panel.show_flashes.setChecked(True)
    layer, masks = viewer.layers["activity and flashes"], viewer.layers["cells"].data
    assert [y for y in viewer.layers if y.metadata.get("biofm_overlay")] == [layer]
    viewer.dims.set_current_step(0, 25)
    assert layer.data[masks == 8].min() > ACTIVITY > layer.data[masks == 3].max() > 0
    dock.show_panel.show_flashes.setChecked(False)
    assert layer.name == "activity of cells" and layer.data[masks == 8].max() <= ACTIVITY
    dock.show_panel.show_activity.setChecked(False)
    assert not [y for y in viewer.layers if y.metadata.get("biofm_overlay")]


def test_a_hidden_overlay_costs_nothing_and_is_right_when_it_comes_back(scene):
    viewer, dock = scene
    dock.show_panel.show_flashes.setChecked(True)
    layer, masks = viewer.layers["flashes of events"], viewer.layers["cells"].data
    viewer.dims.set_current_step(0, 0)
    layer.visible = False
    viewer.dims.set_current_step(0, 25)
    assert not layer.data.any()
    layer.visible = True
    assert (layer.data[masks == 8] > 0).all()


def test_overlays_are_no_movies_and_no_cells(scene):
    _, dock = scene
    dock.show_panel.show_activity.setChecked(True)
    dock.show_panel.show_flashes.setChecked(True)
    assert [dock.movie.itemText(i) for i in range(dock.movie.count())] == ["movie"]


def test_cells_are_coloured_by_their_event_rate(scene):
    viewer, dock = scene
    dock.show_panel.map_of.choose("event rate (Hz)")
    layer, masks = viewer.layers["event rate (Hz)"], viewer.layers["cells"].data
    np.testing.assert_allclose(layer.data[masks == 8], 3 / 8.0, rtol=1e-5)
    assert np.isnan(layer.data[masks == 0]).all()
    dock.show_panel.map_of.choose("")
    assert "event rate (Hz)" not in viewer.layers


def test_the_raster_shares_time_and_selection(scene):
    viewer, dock = scene
    panel = dock.raster_panel
    assert panel.ids.tolist() == [3, 8, 20]
    assert panel.words.text() == "6 events of 3 cells"
    lit = np.flatnonzero(panel.image.image[1, :, 3])
    assert len(lit) == 3 and abs(lit[0] / panel.image.image.shape[1] * 8.0 - 2.5) < 0.05
    panel.choose_rows(1.2, 2.7)
    assert dock.session.selection == {cell(viewer, 8), cell(viewer, 20)}
    assert panel.chosen.image[:, 0, 3].tolist() == [0, 60, 60]
    panel.order.setCurrentText("event rate")
    assert panel.ids[0] == 8
    assert panel.chosen.image[0, 0, 3] == 60
    dock.session.set_time(4.2)
    assert panel.cursors[0].value() == 4.2


def test_a_lasso_on_the_image_selects_rows_of_the_raster(scene):
    viewer, dock = scene
    drag(viewer, [(0, 1, 1), (0, 18, 1), (0, 34, 48), (0, 18, 48), (0, 1, 20)])
    assert dock.session.selection == {cell(viewer, 3), cell(viewer, 8)}
    assert dock.raster_panel.chosen.image[:, 0, 3].tolist() == [60, 60, 0]
    assert viewer.scene.camera.mouse_pan


def test_the_field_around_the_events_of_a_cell_shows_that_cell(scene):
    viewer, dock = scene
    dock.session.select([cell(viewer, 8)])
    dock.around_panel.after.setValue(1.0)
    dock.around_panel.button.click()
    mean, masks = viewer.layers["around 3 events of cell 8"].data, viewer.layers["cells"].data
    assert mean.shape[0] == 15
    assert mean[5:8, masks == 8].min() > 35 and np.abs(mean[5:8, masks == 3]).max() < 20
    assert len(dock.around_panel.plot.listDataItems()) >= 1


def test_activity_joins_the_table_of_cells(scene):
    viewer, dock = scene
    dock.activity_morphology_panel.add_button.click()
    found = dock.session.cells(layer_id(viewer.layers["cells"]))
    np.testing.assert_allclose(found.obs["trace_rate_hz"], [0.25, 0.375, 0.125])
    assert "trace" in found.obsm
    assert "trace_rate_hz" in [key for _, key in dock.show_panel.map.choices()]
    dock.activity_morphology_panel.test_button.click()
    assert "too few" in dock.words.text()


def test_traces_and_events_of_all_cells_are_measured_from_the_movie(scene):
    _, dock = scene
    dock.link_panel.measure_button.click()
    recording = dock.session.recordings["movie traces"].recording
    assert recording.labels.tolist() == [3, 8, 20]
    assert recording.n_samples(0, 0) == N_FRAMES


def test_two_recordings_of_one_cell_are_both_shown(scene):
    viewer, dock = scene
    first, second = (Recording.from_arrays(np.zeros(80_000), 10_000.0, "mV") for _ in range(2))
    for name, recording in (("one", first), ("two", second)):
        uid = dock.session.add_recording(recording, name)
        dock.session.link(Link(uid, 0, cell(viewer, 20)))
        dock.session.set_events(uid, table([(0, 7.0)]), {})
    events = dock.controller.events()
    assert (events.labels == 20).sum() == 3
    assert (dock.controller.population().labels == 20).sum() == 1, (
        "spikes do not make a cell's calcium busier"
    )
    assert {events.recordings[i] for i in events.source[events.labels == 20]} == {"traces", "one", "two"}


def test_the_offset_is_proposed_from_the_spikes_of_a_linked_cell(scene):
    from napari_biofm.simulate import calcium_traces, spike_trains

    viewer, dock = scene
    spikes = spike_trains(1, 12.0, rate=1.5, seed=2)[0]
    trace = calcium_traces([spikes], 2.0 + (np.arange(N_FRAMES) + 0.5) / RATE)
    session = dock.session
    session.add_recording(Recording.from_arrays(trace.astype(np.float32), RATE, "dF/F", labels=[8]), "dff")
    uid = session.add_recording(Recording.from_arrays(np.zeros(120_000), 10_000.0, "mV"), "patch")
    session.link(Link(uid, 0, cell(viewer, 8)))
    found = np.zeros(len(spikes), EVENT_DTYPE)
    found["time_s"], found["class"] = spikes, "AP"
    session.set_events(uid, found, {})
    dock.recording.choose("patch")
    dock.align_panel.propose_button.click()
    assert dock.align_panel.offset.value() == pytest.approx(2.0, abs=0.05)
    assert "correlation" in dock.align_panel.report.text()


def drag(viewer, positions):
    """Drag with Alt through world positions, as the canvas would report it."""
    event = SimpleNamespace(
        type="mouse_press",
        button=1,
        modifiers=("Alt",),
        pos=(0, 0),
        position=positions[0],
        view_direction=None,
        dims_displayed=[1, 2],
    )
    running = [callback(viewer, event) for callback in list(viewer.mouse_drag_callbacks)]
    running = [steps for steps in running if steps is not None]
    for steps in running:
        next(steps, None)
    for position in positions[1:]:
        event.type, event.position = "mouse_move", position
        for steps in running:
            next(steps, None)
    event.type = "mouse_release"
    for steps in running:
        next(steps, None)
