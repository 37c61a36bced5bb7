"""Make the pictures of docs/timeline.md from the running program.

    python docs/make_timeline_pictures.py [--data ../shared/data] [--out docs/images] [--only NAME ...]

Needs a screen (or xvfb-run). The rig is simulated; `calcium` opens a real movie, whose source and licence stand
below its picture in docs/timeline.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", "off")
SIZE = (1500, 1100)
LOW = 740  # height of the window where only the dock is shown
CAMERA_RATE, CAMERA_LAG = 30.0, 0.4  # Hz; seconds after the movie
RUNS = (3.8, 8.1, 13.6, 17.2, 22.9, 26.4)  # seconds of the recording at which the animal begins to run
RUNNERS = (2, 7, 11, 12, 19, 24, 28)  # cells that answer to it


def main() -> None:
    """Do what a person would do, and save what is seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="*", choices=[*PICTURES], default=[*PICTURES])
    options = parser.parse_args()
    for name in options.only:
        PICTURES[name](options)


def _viewer() -> Any:
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*SIZE)
    return viewer


def _settle(n: int = 30) -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(n):
        QApplication.processEvents()


def _rig(n_frames: int = 240, runs: tuple[float, ...] = ()) -> tuple[Any, Any, Any, Any]:
    """Return viewer, timeline dock, trace dock and the truth of a simulated co-recording, all found and linked."""
    from napari_biofm.events.detect import detect_events
    from napari_biofm.session import CellKey, Link
    from napari_biofm.signals import Recording
    from napari_biofm.simulate import simulate_corecording
    from napari_biofm.types import run_task
    from napari_biofm.widgets.common.viewers import layer_id
    from napari_biofm.widgets.timeline import TimelineDock
    from napari_biofm.widgets.trace import TraceDock

    made = simulate_corecording(n_frames=n_frames, seed=3)
    viewer = _viewer()
    viewer.add_image(
        _answering(made, runs), name="movie", metadata={"frame_rate_hz": made.frame_rate}, colormap="gray"
    )
    labels = viewer.add_labels(made.field.masks, name="cells", opacity=0.3)
    labels.contour = 1
    dock, traces = TimelineDock(viewer), TraceDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    viewer.window.add_dock_widget(traces, name="Traces and events", area="bottom")
    values, rate = [made.current.values, made.trigger], made.current.sampling_rate
    patch = Recording.from_arrays([values], rate, ["mV", "V"], names=["Vm", "Frames"])
    session = dock.session
    uid = session.add_recording(patch, "patch")
    dock.recording.choose(uid)
    dock.align_panel.button.click()
    session.link(Link(uid, 0, CellKey(layer_id(labels), made.patched)))
    session.set_events(
        uid, run_task(detect_events(patch, "threshold", channels=[0])), {"detector": "threshold"}
    )
    dock.link_panel.measure_button.click()
    dock.words.clear()  # what is told of the measurement is long
    dock.recording.choose(uid)
    traces.recordings.show(uid)
    session.select([CellKey(layer_id(labels), made.patched)])
    viewer.reset_view()
    return viewer, dock, traces, made


def _answering(made: Any, runs: tuple[float, ...]) -> Any:
    """Return the movie with some cells brighter from these seconds of the recording on."""
    movie = made.movie.astype(np.float32)
    cells = np.isin(made.field.masks, RUNNERS)
    seconds = made.offset + np.arange(len(movie)) / made.frame_rate
    for run in runs:
        since = seconds - run
        glow = np.where(since > 0, np.exp(-since / 0.7), 0) * (1 - np.exp(-np.maximum(since, 0) / 0.08))
        movie[:, cells] *= 1 + glow[:, None].astype(np.float32)
    return movie


def _shot(viewer: Any, path: Path) -> None:
    from napari._qt.dialogs.qt_notification import NapariQtNotification

    for told in viewer.window._qt_window.findChildren(NapariQtNotification):
        told.close()  # it lies over the image
    _settle()
    viewer.window._qt_window.grab().save(str(path))


def _picture(dock: Any, path: Path) -> None:
    _settle()
    dock.grab().save(str(path))


def rig(options: argparse.Namespace) -> None:
    """The window at an event of the patched cell, every tab of the dock, and the capture."""
    from qtpy.QtWidgets import QDockWidget

    viewer, dock, traces, made = _rig()
    dock.show_panel.show_points.setChecked(True)
    dock.show_panel.show_flashes.setChecked(True)
    dock.show_panel.show_activity.setChecked(True)
    dock.show_panel.show_pipettes.setChecked(True)
    events = dock.session.events("patch")
    dock.session.set_time(float(events["time_s"][len(events) // 2]))
    dock.tabs.setCurrentWidget(dock.raster_panel)
    _shot(viewer, options.out / "timeline.png")
    dock.align_panel.source.setCurrentText("rate and offset")
    dock.align_panel.offset.setValue(made.offset)
    below = next(f for f in viewer.window._qt_window.findChildren(QDockWidget) if f.isAncestorOf(traces))
    below.hide()
    _settle()
    viewer.window._qt_window.resize(SIZE[0], LOW)
    for name, panel in (
        ("align", dock.align_panel),
        ("session", dock.session_panel),
        ("joint", dock.activity_morphology_panel),
    ):
        if name == "joint":
            dock.activity_morphology_panel.test_button.click()
        dock.tabs.setCurrentWidget(panel)
        _picture(dock, options.out / f"timeline_{name}.png")
    below.show()
    viewer.window._qt_window.resize(*SIZE)
    dock.tabs.setCurrentWidget(dock.raster_panel)
    _settle()
    _capture(viewer, dock, options.out / "timeline.gif")
    viewer.close()


def behaviour(options: argparse.Namespace) -> None:
    """Two movies in step with a behaviour signal under the raster, and the tab it is set in."""
    from napari_biofm.signals import Recording
    from napari_biofm.timeline import Clock
    from napari_biofm.widgets.common.viewers import layer_id

    viewer, dock, traces, made = _rig(600, RUNS)
    viewer.window.remove_dock_widget(traces)
    session = dock.session
    begin, stop = made.offset, made.offset + made.movie.shape[0] / made.frame_rate
    speed = _running(stop + 1, 1000.0)
    wheel = session.add_recording(
        Recording.from_arrays([[speed]], 1000.0, ["cm/s"], names=["speed"]), "wheel"
    )
    frames = _filmed(speed, 1000.0, begin + CAMERA_LAG, stop)
    size = made.movie.shape[1:]
    camera = viewer.add_image(
        frames, name="camera", translate=(0, size[0] + 6, 0), scale=(1, *np.divide(size[1], frames.shape[1:]))
    )
    clock = Clock.from_rate(len(frames), CAMERA_RATE, begin + CAMERA_LAG, recording="patch")
    session.set_clock(layer_id(camera), clock)
    panel = dock.behaviour_panel
    panel.channel.choose((wheel, 0))
    panel.has_events.setChecked(True)
    panel.threshold.setValue(5)
    panel.use_button.click()
    dock.in_step.box.setChecked(True)
    dock.show_panel.show_flashes.setChecked(True)
    session.set_time(RUNS[1] + 0.4)
    dock.tabs.setCurrentWidget(dock.raster_panel)
    _settle()
    viewer.reset_view()
    _shot(viewer, options.out / "timeline_in_step.png")
    panel.test_button.click()
    dock.tabs.setCurrentWidget(panel)
    viewer.window._qt_window.resize(SIZE[0], LOW)
    _picture(dock, options.out / "timeline_behaviour.png")
    viewer.close()


def _running(seconds: float, rate: float) -> Any:
    """Return the speed of a wheel (cm/s) on which an animal begins to run at some moments."""
    speed = np.abs(np.random.default_rng(2).normal(0, 0.2, round(seconds * rate)))
    run = 18 * np.hanning(round(1.4 * rate))
    for start in RUNS:
        at = round((start - 0.3) * rate)
        speed[at : at + len(run)] += run[: len(speed) - at]
    return speed.astype(np.float32)


def _filmed(speed: Any, rate: float, start: float, stop: float) -> Any:
    """Return what a camera sees of the wheel: eight spokes that turn as fast as it does, (T, Y, X) uint8."""
    turned = np.cumsum(speed) / rate / 8  # radians; its radius is 8 cm
    at = np.arange(start, stop, 1 / CAMERA_RATE)
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    spokes = np.cos(8 * (angle - turned[(at * rate).astype(int), None, None])) > 0.8
    rim, first = abs(radius - 0.9) < 0.06, np.cos(angle - turned[(at * rate).astype(int), None, None]) > 0.93
    lit = np.where(rim, 200, np.where((radius < 0.9) & spokes, 110, 25))
    return np.where(first & (radius < 0.9) & spokes, 240, lit).astype(np.uint8)


def _capture(viewer: Any, dock: Any, path: Path) -> None:
    """Step through a second and a half of the movie and save the whole window, smaller."""
    from PIL import Image

    from napari_biofm.controllers.timeline.movies import show_frame

    pictures = []
    first = int(dock.controller.clock.frame_at(dock.session.time_s)) - 8
    for frame in range(first, first + 24):
        show_frame(viewer, dock.controller.movie, frame)
        _settle(4)
        shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
        small = shot.resize((900, round(900 * shot.height / shot.width)), Image.Resampling.LANCZOS)
        pictures.append(small)
    palette = colours_of(pictures)  # one for all, so that only what changes is stored
    drawn = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures]
    drawn[0].save(path, save_all=True, append_images=drawn[1:], duration=80, loop=0)


def colours_of(pictures: list[Any]) -> Any:
    """Return a picture with the palette of all `pictures`, in which colours count before greys."""
    from PIL import Image

    pixels = np.concatenate([np.asarray(one).reshape(-1, 3) for one in pictures])
    colourful = pixels[np.ptp(pixels.astype(np.int16), axis=1) > 60]
    some = np.random.default_rng(0)
    chosen = [some.choice(part, 60_000) for part in (pixels, colourful)]
    strip = Image.fromarray(np.concatenate(chosen).reshape(300, 400, 3))
    return strip.quantize(255, method=Image.Quantize.MEDIANCUT)


def calcium(options: argparse.Namespace) -> None:
    """A real calcium movie, from the file to the raster."""
    from napari_biofm.widgets.segment.dock import SegmentDock
    from napari_biofm.widgets.timeline import TimelineDock

    viewer = _viewer()
    path = options.data / "imaging" / "calcium_1p" / "ca1p_8-8-17.tif"
    (movie,) = viewer.open(str(path), plugin="napari")
    movie.name = "movie"
    cells_of_movie(viewer, SegmentDock(viewer), movie)
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    raster_of_movie(dock)
    dock.tabs.setCurrentWidget(dock.raster_panel)
    dock.raster_panel.order.setCurrentText("event rate")
    dock.show_panel.show_flashes.setChecked(True)
    viewer.layers["cells"].contour = 1
    events = dock.controller.events()
    if len(events):
        dock.session.set_time(float(np.median(events.seconds)))
    _settle()  # the canvas takes its size
    viewer.reset_view()
    _shot(viewer, options.out / "timeline_calcium.png")
    viewer.close()


def cells_of_movie(viewer: Any, segmenting: Any, movie: Any) -> Any:
    """Segment what varies over time, as a person would with the dock; return the labels layer."""
    from napari_biofm.images.io.projections import SPREAD

    segmenting.image.value = movie
    segmenting.pixels.value = SPREAD
    segmenting.run_button.native.click()
    labels = next(layer for layer in viewer.layers if type(layer).__name__ == "Labels")
    labels.name = "cells"
    segmenting.deleteLater()
    return labels


def raster_of_movie(dock: Any, rate: float = 20.0) -> None:
    """Give the movie its clock and measure all its cells, by the dock's own buttons."""
    dock.align_panel.source.setCurrentText("rate and offset")
    dock.align_panel.rate.setValue(rate)
    dock.align_panel.button.click()
    dock.link_panel.measure_button.click()


PICTURES = {"rig": rig, "behaviour": behaviour, "calcium": calcium}

if __name__ == "__main__":
    main()
