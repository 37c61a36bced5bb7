"""A number per cell as colours over the field, with a colour bar."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.timeline.maps import cell_map, event_rates
from napari_biofm.widgets.common.layer_pixels import spatial_placing
from napari_biofm.widgets.timeline.overlays import Overlay
from napari_biofm.widgets.timeline.state import TimelineState

NOTHING, RATE = "", "event rate (Hz)"


class MapOverlay(Overlay):
    """Event rates, or any number in the table of cells, as an image layer.

    Parameters
    ----------
    state : of the dock.
    """

    kind = "map"

    def __init__(self, state: TimelineState) -> None:
        super().__init__(state)
        self.what = NOTHING

    def choices(self) -> list[tuple[str, str]]:
        """Return what can be shown: texts and keys."""
        table = self.state.session.cells(self.state.labels_uid) if self.state.labels_uid else None
        columns = [] if table is None else [str(c) for c in table.obs if _is_number(table.obs[c])]
        return [("nothing", NOTHING), (RATE, RATE), *((c, c) for c in columns if c != "label")]

    def refresh(self) -> str:
        """Show what is chosen; return what is to be said about it."""
        if self.what == NOTHING or self.state.labels is None:
            self.remove()
            return ""
        ids, values = self._values()
        known = values[np.isfinite(values)]
        if len(known) == 0:
            self.remove()
            return f"No cell has a value for '{self.what}'."
        image = cell_map(self.state.label_plane(), ids, values)
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
                **spatial_placing(self.state.labels),
            )
            self._show_bar()
        if self.layer is not None:
            self.layer.name = self.what
        return f"{self.what}: {limits[0]:.4g} to {limits[1]:.4g} over {len(known)} cells."

    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        if self.what == RATE:
            ids = np.array(sorted(self.state.centres()), np.int64)
            clock = self.state.clock
            events = self.state.population()
            start, stop = (clock.times[0], clock.times[-1]) if clock is not None else (0.0, 0.0)
            if clock is None and len(events):
                start, stop = events.seconds[0], events.seconds[-1]
            return ids, event_rates(events, ids, float(start), float(stop))
        table: Any = self.state.session.cells(str(self.state.labels_uid))
        if table is None or self.what not in table.obs:
            return np.zeros(0, np.int64), np.zeros(0)
        return table.obs["label"].to_numpy(np.int64), table.obs[self.what].to_numpy(float)

    def _show_bar(self) -> None:
        bar = getattr(self.layer, "colorbar", None)
        if bar is not None:
            bar.visible = True


def _is_number(column: Any) -> bool:
    return column.dtype.kind in "fiu"
