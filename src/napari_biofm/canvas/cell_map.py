"""A number per cell as colours over the field, with a colour bar."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.canvas.overlays import Overlay
from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.timeline.maps import cell_map, event_rates, numbers_of_cells

NOTHING, RATE = "", "event rate (Hz)"


class MapOverlay(Overlay):
    """Event rates, or any number in the table of cells, as an image layer.

    Parameters
    ----------
    viewer, controller : see `Overlay`.
    """

    kind = "map"

    def __init__(self, viewer: Any, controller: TimelineController) -> None:
        super().__init__(viewer, controller)
        self.what = NOTHING

    def choices(self) -> list[tuple[str, str]]:
        """Return what can be shown: texts and keys."""
        columns = numbers_of_cells(self.controller.cells())
        return [("nothing", NOTHING), (RATE, RATE), *((c, c) for c in columns)]

    def refresh(self) -> str:
        """Show what is chosen; return what is to be said about it."""
        if self.what == NOTHING or self.controller.labels is None:
            self.remove()
            return ""
        ids, values = self._values()
        known = values[np.isfinite(values)]
        if len(known) == 0:
            self.remove()
            return f"No cell has a value for '{self.what}'."
        image = cell_map(self.controller.label_plane(), ids, values)
        limits = (float(known.min()), float(max(known.max(), known.min() + 1e-9)))
        if self.is_shown and self.layer is not None and self.layer.data.shape == image.shape:
            self.layer.data = image
            self.layer.contrast_limits_range = limits
            self.layer.contrast_limits = limits
        else:
            self.remove()
            self.add(
                image,
                self.what,
                colormap="viridis",
                blending="translucent",
                opacity=0.8,
                contrast_limits=limits,
                **spatial_placing(self.controller.labels),
            )
            self._show_bar()
        if self.layer is not None:
            self.layer.name = self.what
        return f"{self.what}: {limits[0]:.4g} to {limits[1]:.4g} over {len(known)} cells."

    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        if self.what == RATE:
            ids = np.array(sorted(self.controller.counted_centres()), np.int64)
            clock, events = self.controller.clock, self.controller.population()
            imaged = None if clock is None else clock.imaged_s
            return ids, event_rates(events, ids, *self.controller.span, imaged)
        table = self.controller.cells()
        if table is None or self.what not in table.obs:
            return np.zeros(0, np.int64), np.zeros(0)
        ids = table.obs["label"].to_numpy(np.int64)
        values = table.obs[self.what].to_numpy(float)
        return ids, np.where(np.isin(ids, self.controller.left_out()), np.nan, values)

    def _show_bar(self) -> None:
        bar = getattr(self.layer, "colorbar", None)
        if bar is not None:
            bar.visible = True
