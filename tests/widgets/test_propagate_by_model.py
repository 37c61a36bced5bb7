"""In Point and click, *By*: a model with a memory carries the cell through z or t where one is here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_biofm.images.segment import catalogue
from napari_biofm.types import Capabilities
from napari_biofm.widgets.annotate import AnnotateDock, time_panel


def disc(cy: float, cx: float) -> np.ndarray:
    y, x = np.mgrid[:80, :90]
    return (y - cy) ** 2 + (x - cx) ** 2 <= 11**2


class Follower:
    """Knows where the cell goes."""

    name, weights_sha256, capabilities = "memory", "", Capabilities(propagates=True)

    def carry(self, stack: Any, masks: Any) -> Any:
        for plane in stack[1:]:
            yield dict.fromkeys(masks, (plane > 50, 0.9))


@pytest.fixture(autouse=True)
def autosave(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(tmp_path / "autosave"))


def test_without_one_it_says_what_to_install(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_panel, "models_here", lambda can: [])
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert not dock.time.by.isEnabled() and "pip install sam2" in dock.time.by.toolTip()


@pytest.mark.parametrize(("start", "end"), [(0, 5), (5, 0)])
def test_a_cell_is_carried_by_it_forwards_and_backwards(
    viewer: Any, monkeypatch: pytest.MonkeyPatch, start: int, end: int
) -> None:
    monkeypatch.setattr(time_panel, "models_here", lambda can: ["memory"])
    monkeypatch.setattr(catalogue, "make_follower", lambda name, device: Follower())
    movie = np.stack([100.0 * disc(30 + 2 * t, 40) for t in range(6)])
    viewer.add_image(movie)
    labels = np.zeros(movie.shape, np.int32)
    labels[start][movie[start] > 0] = 3
    layer = viewer.add_labels(labels)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.dims.set_current_step(0, start)
    layer.selected_label = 3
    dock.time.by.setCurrentIndex(dock.time.by.findData("memory"))
    dock.time.last.setValue(end)
    dock.time.go_button.click()
    np.testing.assert_array_equal(layer.data == 3, movie > 0)
    dock.press("undo")
    assert np.unique(np.nonzero(layer.data)[0]).tolist() == [start]
