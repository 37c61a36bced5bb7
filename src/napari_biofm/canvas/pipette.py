"""Pipettes: a cross on every cell that was recorded, as a Points layer that stands for the links."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.canvas.overlays import Overlay
from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.session import CellKey, Link

SIZE = 7.0  # pixels of the image
NAME = "pipettes"


class PipetteMarkers(Overlay):
    """One cross per link of the cells in play; a cross that is dragged to another cell moves the link.

    Parameters
    ----------
    viewer, controller : see `Overlay`.
    """

    kind = "pipettes"

    def __init__(self, viewer: Any, controller: TimelineController) -> None:
        super().__init__(viewer, controller)
        self.on = False
        self._links: list[Link] = []
        self._placed = np.zeros((0, 2))
        self._busy = False

    def show(self, on: bool) -> str:
        """Show or remove the markers; return what is to be said about it."""
        self.on = on
        if on:
            return self.refresh()
        self.remove()
        return ""

    def refresh(self) -> str:
        """Put a cross on every linked cell; return what is to be said about it."""
        if not self.on:
            return ""
        if self.controller.labels is None:
            return "Choose the labels layer with the cells."
        centres = self.controller.centres()
        links = [
            a for a in sorted(self.controller.session.links) if a.cell.layer == self.controller.labels_uid
        ]
        self._links = [a for a in links if a.cell.label in centres]
        counts: dict[int, int] = {}
        places = []
        for link in self._links:  # two recordings of one cell stand beside each other
            again = counts[link.cell.label] = counts.get(link.cell.label, 0) + 1
            y, x = centres[link.cell.label]
            places.append((y, x + (again - 1) * SIZE))
        self._placed = data = np.array(places, float).reshape(-1, 2)
        names = np.array([_name(self.controller, link) for link in self._links], str)
        self._busy = True
        try:
            self._put(data.copy(), names)  # napari moves points in place
        finally:
            self._busy = False
        if not links:
            return "No recording is linked to a cell yet: link one under 'Cells'."
        return f"{len(self._links)} of {len(links)} linked channels are marked."

    def _put(self, data: np.ndarray, names: np.ndarray) -> None:
        if self.is_shown:
            layer: Any = self.layer
            if len(data) == 0:  # a Points layer is emptied by removing its points only
                layer.selected_data = set(range(len(layer.data)))
                layer.remove_selected()
                return
            layer.selected_data = set()
            layer.data = data
            layer.features = {"recording": names}
            layer.size, layer.symbol = SIZE, "cross"
            return
        layer = self.put(
            self.viewer.add_points,
            data,
            ndim=2,
            features={"recording": names},
            text={"string": "{recording}", "color": "white", "size": 9, "translation": [-1.5 * SIZE, 0]},
            symbol="cross",
            face_color="white",
            border_color="black",
            size=SIZE,
            name=NAME,
            **spatial_placing(self.controller.labels),
        )
        layer.events.data.connect(self._edited)

    def _edited(self, event: Any = None) -> None:
        """Take a cross that was moved for a link that was moved; anything else is put back."""
        layer, action = self.layer, getattr(event, "action", None)
        under_way = str(getattr(action, "value", action)).lower().endswith("ing")
        if self._busy or layer is None or under_way:
            return
        data = np.asarray(layer.data)
        if len(data) == len(self._links):
            plane = self.controller.label_plane()
            for link, place, former in zip(self._links, data, self._placed, strict=True):
                if np.hypot(*(place - former)) < 1:
                    continue
                y, x = (round(float(v)) for v in place)
                inside = 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]
                label = int(plane[y, x]) if inside else 0
                if (
                    label
                    and label != link.cell.label
                    and link.recording in self.controller.session.recordings
                ):
                    cell = CellKey(link.cell.layer, label)
                    self.controller.session.link(Link(link.recording, link.channel, cell))
                    return  # the link that changed brings the markers up to date
        self.refresh()


def _name(controller: TimelineController, link: Link) -> str:
    """Return recording and channel, short enough to stand beside a cross."""
    entry = controller.session.recordings.get(link.recording)
    if entry is None or entry.recording.n_channels == 1:
        return link.recording
    return f"{link.recording}, {entry.recording.channels[link.channel].name}"
