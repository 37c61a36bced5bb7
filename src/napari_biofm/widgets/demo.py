"""The whole path once, by the docks a person would use: the demo, and the picture of the README."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.files import write_text
from napari_biofm.session import CellKey, Link
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.opening import OpeningDock
from napari_biofm.widgets.common.qt_parts import there
from napari_biofm.widgets.common.viewers import layer_id, viewer_session

WAIT_S = 300.0
PER_CLASS = 5  # cells named by hand of each class
SIZE = (1500, 1000)


class Demo:
    """Opens the sample, runs every dock, and leaves a screenshot, tables and times.

    Parameters
    ----------
    viewer : an open napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.session = viewer_session(viewer)
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, Any] = {}

    def run(self) -> None:
        """Walk the path: image, masks, vectors, classes, recording, events, events on the image."""
        for name, step in (
            ("open sample", self._open),
            ("segment", self._segment),
            ("name classes", self._classify),
            ("detect events", self._detect),
            ("align and link", self._align),
            ("show events", self._show),
        ):
            start = time.perf_counter()
            step()
            self.seconds[name] = round(time.perf_counter() - start, 3)

    def _open(self) -> None:
        from napari_biofm.simulate.sample_files import corecording_files

        self.viewer.open_sample("napari-biofm", "corecording")
        self.movie = self.viewer.layers["calcium movie"]
        self.truth = json.loads(corecording_files()["truth"].read_text(encoding="utf-8"))
        self.trace = self._dock("Traces and events")

    def _segment(self) -> None:
        from napari_biofm.images.io.projections import MEAN

        dock = self._dock("Segment cells")
        dock.image.value = self.movie
        dock.pixels.value = MEAN
        before = len(self.viewer.layers)
        dock.run_button.native.click()
        self._wait(lambda: len(self.viewer.layers) > before, "segmentation")
        self.labels = self.viewer.layers[-1]
        self.uid = layer_id(self.labels)
        self.counts["cells"] = int(self.labels.data.max())

    def _classify(self) -> None:
        """Name a few cells of each class, as the truth of the simulation would name them."""
        dock = self._dock("Cell states")
        dock.form.measure_button.click()
        self._wait(lambda: self.session.cells(self.uid) is not None, "the table of cells")
        named = self._classes_by_truth()
        for name in sorted(set(named.values())):
            chosen = [label for label, one in named.items() if one == name][:PER_CLASS]
            dock.states.assign(dock.states.rows_of(chosen), dock.states.add_class(name))
        self._wait(self._predicted, "predictions")
        table = there(self.session.cells(self.uid))
        predicted = dict(zip(table.obs["label"], table.obs["predicted"].astype(str), strict=True))
        by_hand = dict(zip(table.obs["label"], table.obs["class_by_hand"].astype(str), strict=True))
        rest = [label for label in named if not by_hand[label]]
        right = [predicted[label] == named[label] for label in rest]
        self.counts["classes"] = sorted(set(named.values()))
        self.counts["named_by_hand"] = sum(bool(v) for v in by_hand.values())
        self.counts["rest_predicted_right"] = f"{sum(right)} of {len(right)}"

    def _predicted(self) -> bool:
        table = there(self.session.cells(self.uid))
        return bool((table.obs["predicted"].astype(str) != "").any())

    def _classes_by_truth(self) -> dict[int, str]:
        """Return label -> class of the simulated cell that lies under most of the mask."""
        from napari_biofm.images.io.files import read_image
        from napari_biofm.simulate.sample_files import corecording_files

        truth = read_image(corecording_files()["masks"])
        named = {}
        for label in range(1, int(self.labels.data.max()) + 1):
            under = truth[self.labels.data == label]
            under = under[under > 0]
            if len(under):
                named[label] = self.truth["classes"][int(np.bincount(under).argmax()) - 1]
        return named

    def _detect(self) -> None:
        for recording in self.session.recordings:
            self.trace.recordings.show(recording)
            self.trace.events_panel.detect_button.click()
            self._wait(partial(self._has_events, recording), f"events of {recording}")
            self.counts[f"events in {recording}"] = len(self.session.events(recording))

    def _has_events(self, recording: str) -> bool:
        return len(self.session.events(recording)) > 0

    def _align(self) -> None:
        from napari_biofm.images.io.files import read_image
        from napari_biofm.simulate.sample_files import corecording_files

        dock = self._dock("Timeline")
        self.recording = next(iter(self.session.recordings))
        dock.movie.choose(layer_id(self.movie))
        dock.labels.choose(self.uid)
        dock.recording.choose(self.recording)
        dock.align_panel.align()
        self._wait(lambda: self.session.clock(layer_id(self.movie)) is not None, "the frame triggers")
        clock = there(self.session.clock(layer_id(self.movie)))
        self.counts["offset_s"] = round(clock.time_of(0), 5)
        self.counts["true_offset_s"] = self.truth["offset_s"]
        truth = read_image(corecording_files()["masks"])
        under = self.labels.data[truth == self.truth["patched_cell"]]
        patched = int(np.bincount(under[under > 0]).argmax())
        self.session.link(Link(self.recording, 0, CellKey(self.uid, patched)))
        self.session.select([CellKey(self.uid, patched)])

    def _show(self) -> None:

        dock = self._dock("Timeline")
        dock.show_panel.show_points.setChecked(True)
        self.trace.recordings.show(self.recording)
        clock = there(self.session.clock(layer_id(self.movie)))
        times = self.session.events(self.recording)["time_s"]
        seen = times[clock.covers(times)]
        if len(seen):
            self.session.set_time(float(seen[len(seen) // 2]))
        self.labels.visible = False  # the overlay of classes lies over it
        self._pump(0.3)
        self.viewer.reset_view()

    # ------------------------------------------------------------------ what it leaves

    def save(self, folder: Path, started: float) -> None:
        """Write `screenshot.png`, `cells.csv`, `events.csv`, `report.json`, and the recipes that make the tables again."""
        from napari_biofm.cells.table.export import write_rows
        from napari_biofm.events.table import join, to_csv
        from napari_biofm.files import write_json
        from napari_biofm.images.segment.catalogue import DEFAULT_MODEL

        folder.mkdir(parents=True, exist_ok=True)
        self._pump(0.5)
        self.viewer.screenshot(str(folder / "screenshot.png"), canvas_only=False, flash=False)
        table = there(self.session.cells(self.uid))
        write_rows(table.obs, folder / "cells.csv")
        self._dock("Cell states").files_panel.recipe.save(folder / "cells.toml")
        for recording in self.session.recordings:
            self.trace.recordings.show(recording)
            self.trace.recipe.save(folder / f"{Path(recording).stem}.toml")
        write_text(
            folder / "events.csv", to_csv(join(self.session.events(r) for r in self.session.recordings))
        )
        report = {
            "seconds": self.seconds,
            "total_seconds": round(time.perf_counter() - started, 3),
            "model": DEFAULT_MODEL,
            "torch_in_gui": "torch" in sys.modules,
            "links": [[a.recording, a.channel, a.cell.label] for a in self.session.links],
            **self.counts,
        }
        write_json(folder / "report.json", report)

    def _dock(self, name: str) -> Any:
        _, widget = self.viewer.window.add_plugin_dock_widget("napari-biofm", name)
        self._pump(0.05)
        return widget.content if isinstance(widget, OpeningDock) else widget

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        from napari.utils.notifications import notification_manager

        end = time.perf_counter() + WAIT_S
        while not ready():
            failed = [n.message for n in notification_manager.records if str(n.severity) == "error"]
            if failed:
                raise BiofmError(f"The demo stopped at {what}: {failed[-1]}")
            if time.perf_counter() > end:
                raise BiofmError(f"The demo waited {WAIT_S:.0f} s for {what}; see the messages above.")
            self._pump(0.01)

    def _pump(self, seconds: float) -> None:
        from qtpy.QtWidgets import QApplication

        end = time.perf_counter() + seconds
        while True:
            QApplication.processEvents()
            if time.perf_counter() >= end:
                return
            time.sleep(0.002)


def run_demo(folder: Path | None, headless: bool) -> None:
    """Open napari and walk the path; headless closes it again after saving.

    Parameters
    ----------
    folder : where to leave screenshot, tables and report; None leaves nothing.
    headless : close at the end instead of handing the viewer over.
    """
    import napari

    started = time.perf_counter()
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    demo = Demo(viewer)
    try:
        demo.run()
        if folder is not None:
            demo.save(folder, started)
    finally:
        if headless:
            viewer.close()
    if not headless:
        napari.run()
