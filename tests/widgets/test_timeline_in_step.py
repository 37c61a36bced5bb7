"""Two movies of different rates and a behaviour signal on one clock, in a real viewer: saved and opened again, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

from napari_biofm.session import CellKey
from napari_biofm.signals import Recording
from napari_biofm.signals.behaviour import Behaviour
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline import TimelineDock
from napari_biofm.widgets.timeline.around import BEHAVIOUR

N_CELLS, N_FRAMES = 12, 300
BEGAN = (2.0, 4.5, 7.0, 9.0, 12.3, 15.1, 19.4, 23.0, 27.2)  # when the animal ran, s


def numbered(n: int, shape: tuple[int, int]) -> np.ndarray:
    """Frames that hold their own number."""
    return np.broadcast_to(np.arange(n, dtype=np.uint16)[:, None, None], (n, *shape)).copy()


def uneven(n: int) -> np.ndarray:
    """Frame times of a camera with jitter and a pause."""
    times = 0.37 + np.arange(n) / 33.0 + np.random.default_rng(1).uniform(-0.01, 0.01, n)
    times[n // 2 :] += 2.0
    return times


@pytest.fixture
def scene(make_napari_viewer: Any, tmp_path: Path) -> Any:
    """A calcium movie at 10 Hz from 1 s, a camera at about 33 Hz with a pause, a recording, traces of twelve cells."""
    viewer = make_napari_viewer()
    for name, n, shape in (("calcium", N_FRAMES, (40, 50)), ("camera", 240, (20, 30))):
        tifffile.imwrite(tmp_path / f"{name}.tif", numbered(n, shape))
        viewer.add_image(
            numbered(n, shape),
            name=name,
            metadata={"path": str(tmp_path / f"{name}.tif"), "frame_rate_hz": 10.0},
        )
    masks = np.zeros((40, 50), np.int32)
    for k in range(N_CELLS):
        masks[2 + 12 * (k // 4) : 10 + 12 * (k // 4), 2 + 12 * (k % 4) : 10 + 12 * (k % 4)] = k + 1
    viewer.add_labels(masks, name="cells")
    viewer.layers["camera"].scale = (1, 0.5, 0.5)
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    session, rate = dock.session, 1000.0
    speed = np.zeros(32_000, np.float32)
    for s in BEGAN:
        speed[int(s * rate) : int((s + 0.8) * rate)] = 15.0
    patch = Recording.from_arrays([[0 * speed, speed]], rate, ["mV", "cm/s"], names=["Vm", "speed"])
    uid = session.add_recording(patch, "patch")
    session.set_clock(layer_id(viewer.layers["calcium"]), Clock.from_rate(N_FRAMES, 10.0, 1.0, recording=uid))
    session.set_clock(layer_id(viewer.layers["camera"]), Clock(uneven(240), "pulses", uid))
    rng = np.random.default_rng(0)
    traces = rng.normal(0, 0.05, (N_CELLS, N_FRAMES)).astype(np.float32)
    for s in BEGAN:
        traces[:3, round((s - 1.0) * 10) :][:, :8] += 1.0
    dock.session.add_recording(
        Recording.from_arrays(traces, 10.0, "dF/F", labels=range(1, N_CELLS + 1)), "traces"
    )
    dock.controller.choose("movie", layer_id(viewer.layers["calcium"]))
    return viewer, dock, uid


def shown(viewer: Any, name: str) -> int:
    """Return the number in the picture that a layer shows."""
    picture = np.asarray(viewer.layers[name].data)
    picture = picture if picture.ndim == 2 else picture[viewer.dims.current_step[0]]
    assert (picture == picture.flat[0]).all()
    return int(picture.flat[0])


def test_the_cursor_moves_every_movie_to_the_frame_of_its_own_clock(scene: Any) -> None:
    viewer, dock, _ = scene
    row, times = dock.in_step, uneven(240)
    assert not row.isHidden() and not row.box.isChecked() and "camera (in step)" not in viewer.layers
    row.box.setChecked(True)
    flat = viewer.layers["camera (in step)"]
    assert not viewer.layers["camera"].visible and flat.ndim == 2
    assert flat.affine.affine_matrix[0, 0] == 0.5
    for seconds in (1.0, 1.04, 1.07, 2.55, 3.999, 4.02, 5.5, 7.7, 9.3):
        dock.session.set_time(seconds)
        expected = int(np.searchsorted(times, seconds, "right")) - 1
        assert shown(viewer, "camera (in step)") == expected
        assert shown(viewer, "calcium") == int((seconds - 1.0) * 10 + 1e-9)
        assert f"camera: frame {expected}" in row.words.text()
    dock.session.set_time(0.2)
    assert "camera: begins at" in row.words.text()
    dock.session.set_time(times[119] + 1.0)
    assert row.words.text() == "camera: frame 119, pausing"
    viewer.dims.set_current_step(0, 50)  # the slider, by hand: 6.0 s
    assert dock.session.time_s == pytest.approx(6.0)
    assert shown(viewer, "camera (in step)") == int(np.searchsorted(times, 6.0, "right")) - 1
    row.box.setChecked(False)
    assert "camera (in step)" not in viewer.layers and viewer.layers["camera"].visible


def test_another_movie_in_play_swaps_them_and_another_recording_lets_go(scene: Any) -> None:
    viewer, dock, _ = scene
    dock.in_step.box.setChecked(True)
    dock.movie.choose(layer_id(viewer.layers["camera"]))
    assert "calcium (in step)" in viewer.layers and "camera (in step)" not in viewer.layers
    assert viewer.layers["camera"].visible and not viewer.layers["calcium"].visible
    dock.session.set_time(5.05)
    assert shown(viewer, "calcium (in step)") == 40
    dock.movie.choose(layer_id(viewer.layers["calcium"]))
    camera = layer_id(viewer.layers["camera"])
    dock.session.set_clock(camera, Clock(uneven(240), "pulses", "another"))
    assert "camera (in step)" not in viewer.layers and viewer.layers["camera"].visible
    assert dock.in_step.words.text() == "camera: not on this clock, align it to the same recording"
    dock.session.undo()
    assert "camera (in step)" in viewer.layers
    viewer.layers.remove("camera")
    assert "camera (in step)" not in viewer.layers and dock.in_step.isHidden()


def test_playing_runs_the_faster_movie_between_frames_of_the_slower_one(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_biofm.widgets.timeline import player

    viewer, dock, _ = scene
    dock.in_step.box.setChecked(True)
    dock.session.set_time(1.0)
    now = [100.0]
    monkeypatch.setattr(player.time, "perf_counter", lambda: now[0])
    dock.player.play()
    dock.player._timer.stop()
    seen = []
    for _ in range(30):  # a second, 30 pictures of it
        now[0] += 1 / 30
        dock.player.tick()
        seen.append((shown(viewer, "calcium"), shown(viewer, "camera (in step)")))
    dock.player.play(False)
    assert dock.session.time_s == pytest.approx(2.0, abs=1e-6)
    slow, fast = np.array(seen).T
    assert len(np.unique(slow)) in (10, 11) and len(np.unique(fast)) >= 28
    assert fast[-1] == int(np.searchsorted(uneven(240), dock.session.time_s, "right")) - 1


def test_behaviour_is_a_track_under_the_raster_and_averages_and_tests_use_its_events(scene: Any) -> None:
    viewer, dock, uid = scene
    panel, track = dock.behaviour_panel, dock.raster_panel.behaviour
    assert not track.is_shown
    panel.channel.choose((uid, 1))
    panel.has_events.setChecked(True)
    panel.threshold.setValue(5.0)
    panel.use()
    assert track.is_shown and len(track.events.getData()[0]) == 9
    assert (
        panel.words.text() == "speed of patch is shown under the raster; 9 events where it goes above 5 cm/s."
    )
    dock.session.set_time(4.0)
    assert track.cursor.value() == 4.0
    around = dock.around_panel
    around.what.setCurrentText(BEHAVIOUR)
    around.before.setValue(0.5)
    around.after.setValue(0.5)
    dock.session.select([CellKey(layer_id(viewer.layers["cells"]), 2)])
    around.average()
    assert around.words.text().startswith("9 events of behaviour averaged")
    lags, mean = around.plot.listDataItems()[-1].getData()
    assert mean[lags > 0.05].mean() > 0.9 and abs(mean[lags < -0.15].mean()) < 0.1
    panel.test()
    assert {key.label for key in dock.session.selection} == {1, 2, 3}, (panel.words.text(), dock.words.text())
    assert panel.words.text().startswith("3 of 12 cells respond to 8 stimuli")
    assert "1 stimuli lie outside the traces." in panel.words.text()
    dock.session.undo()
    assert not track.is_shown and dock.controller.behaviour() is None


def test_a_table_of_its_own_clock_is_opened_and_shifted(scene: Any, tmp_path: Path) -> None:
    _, dock, uid = scene
    (tmp_path / "run.csv").write_text(
        "time_s,run\n" + "\n".join(f"{i / 20},{i % 100 >= 50:d}" for i in range(200))
    )
    panel = dock.behaviour_panel
    panel.open(tmp_path / "run.csv")
    panel.offset.setValue(1.0)
    panel.has_events.setChecked(True)
    panel.threshold.setValue(0.5)
    panel.use()
    assert dock.controller.behaviour_seconds().tolist() == pytest.approx([3.475, 8.475])
    panel.channel.choose((uid, 1))
    panel.use()  # one behaviour signal at a time
    assert dock.controller.behaviour()[0] == uid
    dock.session.undo()
    assert dock.controller.behaviour()[0] == "run.csv"


def test_a_session_is_opened_with_its_movies_in_step_and_its_behaviour(
    scene: Any, make_napari_viewer: Any, tmp_path: Path
) -> None:
    viewer, dock, uid = scene
    dock.in_step.box.setChecked(True)
    dock.controller.set_behaviour(uid, Behaviour(1, 0.0, 5.0))
    events = np.zeros(1, EVENT_DTYPE)
    dock.session.set_events(uid, events, {})
    dock.session.set_layers(image=layer_id(viewer.layers["calcium"]))
    dock.session.set_time(5.05)
    dock.session_panel.files.save_to(tmp_path / "day1")
    dock.session_panel.background.wait()
    QApplication.processEvents()
    second = make_napari_viewer()
    again = TimelineDock(second)
    second.window.add_dock_widget(again)
    assert again.session_panel.files.open_from(tmp_path / "day1")
    again.controller.choose("movie", layer_id(second.layers["calcium"]))
    assert again.in_step.box.isChecked()
    assert shown(second, "camera (in step)") == int(np.searchsorted(uneven(240), 5.05, "right")) - 1
    assert again.controller.behaviour_seconds() == pytest.approx(BEGAN, abs=1e-3)
    assert (
        again.raster_panel.behaviour.is_shown and len(again.raster_panel.behaviour.events.getData()[0]) == 9
    )
