"""The hand of the tests hits what it points at."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.hand import drag


def test_a_brush_stroke_lands_where_it_is_drawn(viewer: Any) -> None:
    viewer.add_image(np.zeros((60, 80)), scale=(2, 2))
    layer = viewer.add_labels(np.zeros((60, 80), int), scale=(2, 2))
    layer.mode, layer.selected_label, layer.brush_size = "paint", 5, 1
    viewer.reset_view()
    drag(viewer, [(20, 30), (20, 60)])
    rows, columns = np.nonzero(layer.data == 5)
    assert set(rows) == {10}
    assert columns.min() == 15
    assert columns.max() == 30
