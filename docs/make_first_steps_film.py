"""Film the first steps of docs/tutorials/index.md in the running program, on the sample data.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/make_first_steps_film.py [--out docs/images]

Writes first_steps.gif: a sample is opened, segmented, corrected by a click, and events are found in a recording.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", "off")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SIZE = (1360, 880)
WIDTH, BAR = 900, 34  # pixels of the film and of its caption
PACKAGE, SEGMENT, CLICK = "napari-biofm", "Segment cells", "Point and click"


class Film:
    """Pictures of the window with a caption each.

    Parameters
    ----------
    viewer : napari viewer with a window.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.frames: list[tuple[Image.Image, int]] = []
        self._font = ImageFont.load_default(size=17)

    def settle(self) -> None:
        """Let the window take its size, and close what napari tells over the image."""
        from napari._qt.dialogs.qt_notification import NapariQtNotification
        from qtpy.QtWidgets import QApplication

        for told in self.viewer.window._qt_window.findChildren(NapariQtNotification):
            told.close()
        for _ in range(40):
            QApplication.processEvents()

    def shot(self, caption: str, ms: int = 2200, pointer: Any = None) -> None:
        """Take a picture; `pointer` returns a place of the window, marked by a ring."""
        self.settle()
        picture = Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)[..., :3])
        scale = WIDTH / picture.width
        frame = Image.new("RGB", (WIDTH, round(picture.height * scale) + BAR), (30, 32, 38))
        frame.paste(picture.resize((WIDTH, frame.height - BAR), Image.Resampling.LANCZOS), (0, BAR))
        draw = ImageDraw.Draw(frame)
        draw.text((12, 7), caption, font=self._font, fill=(245, 245, 245))
        if pointer is not None:
            place = pointer()
            x, y = place.x() * scale, place.y() * scale + BAR
            draw.ellipse((x - 12, y - 12, x + 12, y + 12), outline=(255, 217, 26), width=3)
        self.frames.append((frame, ms))

    def save(self, path: Path) -> None:
        """Write the film with one palette."""
        from make_timeline_pictures import colours_of

        palette = colours_of([frame for frame, _ in self.frames])
        first, *others = (f.quantize(palette=palette, dither=Image.Dither.NONE) for f, _ in self.frames)
        times = [ms for _, ms in self.frames]
        first.save(path, save_all=True, append_images=others, duration=times, loop=0, optimize=True)


def in_window(viewer: Any, widget: Any, place: Any = None) -> Any:
    """Return the middle of a widget, or a place on it, in the window."""
    at = widget.rect().center() if place is None else place
    return widget.mapTo(viewer.window._qt_window, at)


def dock_of(viewer: Any, name: str) -> Any:
    """Open a dock by its name in the menu."""
    return viewer.window.add_plugin_dock_widget(PACKAGE, name)


def play(viewer: Any, film: Film) -> None:
    """Do what a person does in the first five minutes."""
    from tests import hand

    from napari_biofm.controllers.annotate.tools import Tool
    from napari_biofm.widgets.annotate import AnnotateDock
    from napari_biofm.widgets.segment.dock import SegmentDock
    from napari_biofm.widgets.trace import TraceDock

    window = viewer.window._qt_window
    viewer.open_sample(PACKAGE, "field")
    film.shot("1. File > Open Sample > Field of cells")
    frame, _ = dock_of(viewer, SEGMENT)
    segmenting = window.findChild(SegmentDock)
    button = segmenting.run_button.native
    film.shot("2. Plugins > Segment cells: press Segment", 2200, lambda: in_window(viewer, button))
    button.click()
    labels = next(layer for layer in viewer.layers if type(layer).__name__ == "Labels")
    film.settle()
    viewer.reset_view()
    film.shot(f"   {len(np.unique(labels.data)) - 1} cells, each with its own mask", 2600)
    viewer.window.remove_dock_widget(frame)
    frame, _ = dock_of(viewer, CLICK)
    annotating = window.findChild(AnnotateDock)
    annotating.layers.choose(viewer.layers[0], labels)
    hand.settle(viewer)
    middle = np.array(labels.data.shape) // 2
    ids = np.unique(labels.data)[1:]
    centres = {int(k): np.argwhere(labels.data == k).mean(axis=0) for k in ids}
    near = min(centres, key=lambda k: float(np.linalg.norm(centres[k] - middle)))
    place = labels.data_to_world(centres[near])
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, *place), 2.5 * camera.zoom
    film.settle()

    def on_canvas() -> Any:
        return in_window(viewer, hand.canvas_of(viewer), hand.to_canvas(viewer, place).toPoint())

    for tool, words in (
        (Tool.DELETE, "3. Point and click > Delete: a click takes a wrong mask away"),
        (Tool.POINT, "   Point: a click inside a cell makes its mask, Commit keeps it"),
    ):
        annotating.toolbox.tool_buttons[tool].click()
        hand.drag(viewer, [place])
        film.shot(words, 2400, on_canvas)
    annotating.press("commit")
    viewer.window.remove_dock_widget(frame)
    viewer.layers.clear()
    viewer.open_sample(PACKAGE, "corecording")
    traces = window.findChild(TraceDock)
    film.settle()
    viewer.reset_view()
    film.shot("4. File > Open Sample > Calcium movie with a patched cell: its recording opens, too")
    detect = traces.events_panel.detect_button
    traces.recordings.show(next(iter(traces.session.recordings)))
    traces.view.show_channels([0])
    film.shot("5. Events > Find: press Detect", 2200, lambda: in_window(viewer, detect))
    detect.click()
    film.shot("   Every event with its class, score and amplitude; go through them with A, U and R", 2800)
    traces.events_panel.table.select_rows([2])
    film.shot("   A row of the table shows its event", 3000)


def main() -> None:
    """Film it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*SIZE)
    film = Film(viewer)
    play(viewer, film)
    film.save(options.out / "first_steps.gif")
    viewer.close()


if __name__ == "__main__":
    main()
