"""Which other movies lie on the clock of the movie in play, and which frame of each is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.controllers.common.movie_layers import is_movie
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.timeline import Clock

KEPT = "biofm_in_step"  # in the metadata of a movie layer: it was shown in step; saved with the session


class OtherMovies:
    """The movies beside the one in play.

    Parameters
    ----------
    controller : of the timeline.
    layers : returns the layers of the viewer.
    """

    def __init__(self, controller: TimelineController, layers: Callable[[], Iterable[Any]]) -> None:
        self._controller, self._layers = controller, layers

    def beside(self) -> list[Any]:
        """Return all movie layers but the one in play."""
        chosen = self._controller.movie_uid
        return [one for one in self._layers() if is_movie(one) and layer_id(one) != chosen]

    def clock(self, layer: Any) -> Clock | None:
        """Return the clock of another movie where its seconds are those of the movie in play, else None."""
        own, other = self._controller.clock, self._controller.session.clock(layer_id(layer))
        if own is None or other is None:
            return None
        if own.recording == other.recording:
            return other
        recordings = self._controller.recordings
        files = [
            recordings[uid].path if uid in recordings else None for uid in (own.recording, other.recording)
        ]
        return other if files[0] is not None and files[0] == files[1] else None

    def in_step(self) -> list[tuple[Any, Clock]]:
        """Return the other movies on the clock of the movie in play, each with its clock."""
        return [(one, clock) for one in self.beside() if (clock := self.clock(one)) is not None]

    def said(self, layer: Any, seconds: float) -> str:
        """Return in words which frame of another movie is due, or why none is."""
        clock = self.clock(layer)
        if clock is None:
            return f"{layer.name}: not on this clock, align it to the same recording"
        if seconds < clock.times[0]:
            return f"{layer.name}: begins at {clock.times[0]:.3f} s"
        frame = clock.frame_at(seconds)
        if not clock.covers([seconds])[0]:
            return f"{layer.name}: frame {frame}, {'over' if frame == clock.n_frames - 1 else 'pausing'}"
        return f"{layer.name}: frame {frame}"
