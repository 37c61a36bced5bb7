"""A stage for the films of docs/annotate.md: a viewer, a hand on its mouse, and a camera."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from tests import hand

from napari_biofm.controllers.annotate.tools import ACTIONS, TOOLS, Tool
from napari_biofm.widgets.annotate import AnnotateDock

WIDTH = 420  # pixels of a film
BAR = 44  # of its caption
SHOT_MS = 900
MOVE_MS = 180
COLOURS = 200
RARE = ((26, 230, 51), (255, 38, 26), (255, 217, 26), (255, 255, 255))  # clicks, lines, pointer
POINTER = ((0, 0), (0, 16), (4, 12), (7, 18), (9, 17), (6, 11), (11, 11))


class Stage:
    """Plays scenes and films them.

    Parameters
    ----------
    viewer : napari viewer with a window.
    out : folder of the pictures.
    """

    def __init__(self, viewer: Any, out: Path) -> None:
        self.viewer = viewer
        self.dock = AnnotateDock(viewer)
        viewer.window.add_dock_widget(self.dock, name="Point and click")
        self._out = out
        self._font = ImageFont.load_default(size=13)
        self._frames: list[tuple[Image.Image, int]] = []
        self._name = ""
        self._pointer = None
        self._caption = ""
        self._box: tuple[int, int, int, int] | None = None
        self.image: Any = None
        self.labels: Any = None

    # ------------------------------------------------------------------ scenes

    def begin(self, name: str, image: Any, labels: Any, backend: str = "level-sets", **placing: Any) -> None:
        """Clear the stage and open an image and labels (or new ones)."""
        self._frames, self._name, self._pointer, self._box = [], name, None, None
        self.dock.choose_tool(Tool.OFF)
        self.dock.session.history.clear()
        self.viewer.layers.clear()
        self.viewer.dims.ndisplay = 2
        self.dock.backend.setCurrentIndex(max(0, self.dock.backend.findData(backend)))
        self.image = self.viewer.add_image(image, name="cells", **placing)
        data = np.zeros(image.shape, np.int32) if labels is None else labels.astype(np.int32).copy()
        self.labels = self.viewer.add_labels(data, name="labels", opacity=0.5, **placing)
        self.dock.layers.choose(self.image, self.labels)
        hand.settle(self.viewer)
        self._caption = ""

    def end(self) -> str:
        """Write the film; return its size in words."""
        if not self._name or not self._frames:
            return "pictures"
        path = self._out / f"annotate_{self._name}.gif"
        self._frames[-1] = (self._frames[-1][0], 1800)
        palette = _common_palette([frame for frame, _ in self._frames])
        first, *frames = (f.quantize(palette=palette, dither=Image.Dither.NONE) for f, _ in self._frames)
        times = [ms for _, ms in self._frames]
        first.save(path, save_all=True, append_images=frames, duration=times, loop=0, optimize=True)
        return f"{path.stat().st_size / 1000:.0f} kB, {len(times)} frames"

    # ------------------------------------------------------------------ hand

    def centre(self, labels: np.ndarray, label: int) -> np.ndarray:
        """Return the centre of a cell, pixels."""
        return np.argwhere(labels == label).mean(axis=0)

    def use(self, tool: Tool) -> None:
        """Press a tool's button."""
        self.dock.toolbox.tool_buttons[tool].click()
        self._caption = f"{TOOLS[tool].title} [{self.dock.keys[tool.value]}]  {TOOLS[tool].tip}"
        self._shot(1400)

    def key(self, name: str, ms: int = SHOT_MS) -> None:
        """Do what a key does, and show which."""
        self.dock.press(name)
        key = self.dock.keys[name].replace("Control", "Ctrl")
        self._caption = f"{ACTIONS[name][1]} [{key}]  {self.dock.annotator.status}"
        self._shot(ms)

    def click(self, point: Any) -> None:
        """Click a pixel of the labels."""
        world = self._world(point)
        self._pointer = hand.to_canvas(self.viewer, world)
        self._shot(500)
        hand.drag(self.viewer, [world])
        self._say_status("Click")
        self._shot(SHOT_MS)

    def hover(self, point: Any) -> None:
        """Move to a pixel of the labels."""
        world = self._world(point)
        hand.hover(self.viewer, world)
        self._pointer = hand.to_canvas(self.viewer, world)
        self._caption = "Hover: the basin under the mouse"
        self._shot(700)

    def drag(self, points: Sequence[Any], shift: bool = False) -> None:
        """Press, move over pixels of the labels, release."""
        worlds = [self._world(p) for p in points]
        self._pointer = hand.to_canvas(self.viewer, worlds[0])
        self._shot(500)

        def moved(place: Any) -> None:
            self._pointer = place
            self._shot(MOVE_MS)

        hand.drag(self.viewer, worlds, modifiers=["Shift"] if shift else (), moved=moved)
        self._say_status("Shift and drag" if shift else "Drag")
        self._shot(SHOT_MS)

    def slide(self, value: float) -> None:
        """Move the threshold slider, the mouse held."""
        from napari_biofm.widgets.annotate.toolbox import SLIDER

        slider = self.dock.threshold.slider
        slider.setSliderDown(True)
        slider.setValue(round(value * SLIDER))
        self._pointer = None
        self._caption = f"Threshold slider {value:+.1f}: {self.dock.annotator.status}"
        self._shot(700)

    def let_go(self) -> None:
        """Release the slider."""
        self.dock.threshold.slider.setSliderDown(False)
        self._say_status("Let go of the slider")
        self._shot(SHOT_MS)

    def plane(self, index: int) -> None:
        """Go to a plane of the first axis."""
        self.viewer.dims.set_current_step(0, index)
        self._pointer = None

    def note(self, text: str, ms: int) -> None:
        """Show a caption."""
        self._caption = text
        self._shot(ms)

    def _world(self, point: Any) -> np.ndarray:
        full = np.zeros(self.labels.ndim)
        full[-2:] = point
        return np.asarray(self.labels.data_to_world(full))[-2:]

    def _say_status(self, gesture: str) -> None:
        status = self.dock.annotator.status
        self._caption = f"{gesture}: {status}" if status else gesture

    # ------------------------------------------------------------------ camera

    def _shot(self, ms: int) -> None:
        QApplication.processEvents()
        picture = Image.fromarray(self.viewer.screenshot(canvas_only=True, flash=False)[..., :3])
        canvas = hand.canvas_of(self.viewer)
        per_pixel = picture.width / canvas.width()
        self._box = self._box or self._image_box(picture, per_pixel)
        box = self._box
        zoom = WIDTH / (box[2] - box[0])
        cut = picture.crop(box).resize((WIDTH, round((box[3] - box[1]) * zoom)), Image.Resampling.LANCZOS)
        frame = Image.new("RGB", (WIDTH, cut.height + BAR), (30, 32, 38))
        frame.paste(cut, (0, 0))
        draw = ImageDraw.Draw(frame)
        for row, line in enumerate(_wrapped(self._caption, self._font, WIDTH - 16)[:2]):
            draw.text((8, cut.height + 5 + 17 * row), line, font=self._font, fill=(235, 235, 235))
        if self._pointer is not None:
            x = (self._pointer.x() * per_pixel - box[0]) * zoom
            y = (self._pointer.y() * per_pixel - box[1]) * zoom
            arrow = [(x + dx, y + dy) for dx, dy in POINTER]
            draw.polygon(arrow, fill=(255, 255, 255), outline=(0, 0, 0))
        self._frames.append((frame, ms))

    def _image_box(self, picture: Image.Image, per_pixel: float) -> tuple[int, int, int, int]:
        """Return where the image layer lies on the canvas."""
        extent = self.image.extent.world[:, -2:]
        low, high = (hand.to_canvas(self.viewer, corner) for corner in extent)
        left, top = max(0, round(low.x() * per_pixel)), max(0, round(low.y() * per_pixel))
        right, bottom = round(high.x() * per_pixel), round(high.y() * per_pixel)
        return left, top, min(picture.width, right), min(picture.height, bottom)

    def picture(self, name: str) -> None:
        """Write a picture of the dock."""
        QTest.qWait(60)
        self.dock.grab().save(str(self._out / name))

    def window(self, name: str) -> None:
        """Write a picture of the whole window."""
        QTest.qWait(200)
        shot = Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)[..., :3])
        shot.quantize(palette=_common_palette([shot]), dither=Image.Dither.NONE).save(
            self._out / name, optimize=True
        )


def _common_palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Return a palette for all frames, so that nothing flickers; the rare colours of clicks and lines are kept."""
    chosen = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, 6).astype(int))]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (width, height * len(chosen) + 40))
    for k, frame in enumerate(chosen):
        sheet.paste(frame, (0, k * height))
    for k, colour in enumerate(RARE):
        sheet.paste(colour, (k * width // len(RARE), height * len(chosen), width, sheet.height))
    return sheet.quantize(COLOURS, method=Image.Quantize.MEDIANCUT)


def _wrapped(text: str, font: Any, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
