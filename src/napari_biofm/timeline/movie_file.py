"""Pictures with a running trace under them, as an animated GIF or an MP4."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.timeline.cell_positions import CellEvents
from napari_biofm.timeline.clock import Clock
from napari_biofm.types import TimelineError

if TYPE_CHECKING:
    from napari_biofm.signals import Recording

PAPER, INK, LINE = (38, 41, 48), (214, 214, 214), (246, 201, 69)


def write_movie(path: Path, pictures: Iterable[NDArray[np.uint8]], rate: float) -> int:
    """Write pictures as GIF or MP4, by the ending of `path`, atomically; return their number.

    Parameters
    ----------
    path : .gif or .mp4.
    pictures : (Y, X, 3) uint8 each, all of one size.
    rate : pictures per second.

    Raises
    ------
    TimelineError
        If the ending is another, ffmpeg is missing for an MP4, or there are no pictures.
    """
    import imageio.v2 as imageio

    ending = path.suffix.lower()
    if ending not in (".gif", ".mp4"):
        raise TimelineError(f"A movie is written as .gif or .mp4, not as '{path.suffix or path.name}'.")
    options: dict[str, Any] = {"duration": 1000 / rate, "loop": 0}
    if ending == ".mp4":
        _need_ffmpeg()
        options = {"fps": rate, "codec": "libx264", "quality": 8, "macro_block_size": 2}
    n = 0
    with atomic_write(path) as partial:
        with imageio.get_writer(partial, **options) as opened:
            writer: Any = opened
            for picture in pictures:
                even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
                writer.append_data(np.ascontiguousarray(even))
                n += 1
        if n == 0:
            raise TimelineError("There is not a single frame to write; choose a later last frame.")
    return n


def _need_ffmpeg() -> None:
    try:
        imageio_ffmpeg = importlib.import_module("imageio_ffmpeg")

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise TimelineError(
            "MP4 needs ffmpeg: pip install imageio-ffmpeg, or write a .gif, which needs nothing."
        ) from error


class TraceStrip:
    """A strip with one trace and a line that runs along it.

    Parameters
    ----------
    times, values : (n,) seconds and the trace.
    width, height : of the strip, pixels.
    title : written at its left.
    """

    def __init__(
        self,
        times: NDArray[np.float64],
        values: NDArray[np.floating],
        width: int,
        height: int,
        title: str = "",
    ) -> None:
        from PIL import Image, ImageDraw

        self._times, self._width = times, width
        image = Image.new("RGB", (width, height), PAPER)
        drawing = ImageDraw.Draw(image)
        shown = np.nan_to_num(np.asarray(values, float))
        low, high = float(shown.min()), float(shown.max())
        across = self._across(times)
        edges = np.searchsorted(across, np.arange(width + 1))
        points = []
        for x in range(width):
            part = shown[edges[x] : edges[x + 1]]
            for value in (part.min(), part.max()) if len(part) else ():
                points.append((x, (height - 6) - (height - 12) * (value - low) / max(high - low, 1e-12)))
        if len(points) > 1:
            drawing.line(points, fill=INK, width=1)
        drawing.text((4, 2), title, fill=INK)
        self._strip = np.asarray(image)

    def at(self, seconds: float) -> NDArray[np.uint8]:
        """Return the strip with its line at a time."""
        strip = self._strip.copy()
        x = int(np.clip(self._across(np.array([seconds]))[0], 0, self._width - 1))
        strip[:, max(x - 1, 0) : x + 1] = LINE
        return strip

    def _across(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        span = max(float(self._times[-1] - self._times[0]), 1e-12)
        return np.asarray((times - self._times[0]) / span * (self._width - 1))


def strip_of_cells(
    recordings: Iterable[Recording],
    events: CellEvents,
    clock: Clock,
    labels: Collection[int],
    width: int,
    height: int,
) -> TraceStrip:
    """Return the strip of the first of `labels` that has a trace on the movie's frames, else of events per frame."""
    for recording in recordings:
        for channel, one in enumerate(recording.channels):
            if one.label in labels and recording.n_samples(0, channel) == clock.n_frames:
                title = f"cell {one.label} ({one.unit})"
                return TraceStrip(clock.times, recording.values(0, channel), width, height, title)
    edges = np.append(clock.times, clock.at_frames([clock.n_frames]))
    counts = np.histogram(events.seconds, edges)[0]
    return TraceStrip(clock.times, counts.astype(float), width, height, "events per frame")
