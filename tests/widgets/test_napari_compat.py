"""The private parts of napari and vispy that are used are as they are known; without them the public way serves."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels

from napari_biofm.canvas import napari_compat as compat


def test_the_paint_event_of_this_napari_is_understood():
    layer = Labels(np.zeros((20, 20), np.int32))
    told = []
    layer.events.paint.connect(lambda event: told.append(compat.painted_parts(event.value)))
    layer.brush_size = 3
    for use in (
        lambda: layer.paint((10, 10), 4),
        lambda: layer.fill((0, 0), 2),
        lambda: layer.data_setitem((np.array([1, 2]), np.array([3, 3])), 7),
    ):
        before, n = layer.data.copy(), len(told)
        use()
        assert len(told) == n + 1
        again = before.copy()
        for part in told[-1]:
            assert np.array_equal(np.broadcast_to(part.before, len(part.at[0])), again[part.at])
            again[part.at] = part.after
        assert np.array_equal(again, layer.data)


def test_private_parts_of_layers_and_canvas_are_as_known(viewer):
    labels = viewer.add_labels(np.zeros((3, 20, 20), np.int32))
    image = viewer.add_image(np.zeros((20, 20), np.float32))
    assert compat.displayed_axes(labels) == (1, 2)
    textures = [
        compat.texture_of(callback[0]())
        for callback in labels.events.labels_update.callbacks
        if isinstance(callback, tuple)
    ]
    assert any(texture is not None for texture in textures)
    drawers = [c[0]() for c in image.events.set_data.callbacks if isinstance(c, tuple)]
    assert (20, 20) in [compat.drawn_shape(getattr(d, "node", None)) for d in drawers]
    assert {"polygon", "brush_stroke"} <= set(labels._overlays)
    compat.without_painting(labels)
    assert not labels._overlays["polygon"].visible
    assert hasattr(viewer.layers, "_activate_on_insert")


def test_the_selection_is_kept_when_a_layer_is_added(viewer):
    first = viewer.add_labels(np.zeros((20, 20), np.int32))
    with compat.selection_kept(viewer.layers):
        viewer.add_labels(np.zeros((20, 20), np.int32))
    assert list(viewer.layers.selection) == [first]


def test_where_a_private_part_is_gone_the_public_way_is_taken():
    class Selection(list):
        pass

    class Layers:
        selection = Selection(["one"])

    layers = Layers()
    with compat.selection_kept(layers):
        layers.selection = ["another"]
    assert layers.selection == ["one"]
    assert compat.displayed_axes(object()) == ()
    assert compat.texture_of(object()) is None and compat.drawn_shape(object()) is None
    compat.without_painting(object())
