"""Layers as reader plugins for CZI, ND2, LIF and OIR give them: size of a pixel and names of channels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.common.reader_layers import channel_names_of, pixel_size_of
from napari_biofm.controllers.segment.channels import channel_names

PLANE = np.zeros((40, 50), np.uint16)
SIZES = SimpleNamespace(Z=1.5, Y=0.32, X=0.32)


def ome(*channels: str, size: float | None = 0.65, unit: str = "µm") -> Any:
    """An OME object as ome-types makes it."""
    pixels = SimpleNamespace(
        size_y=40, size_x=50, physical_size_x=size, physical_size_y=size, physical_size_z=None,
        physical_size_x_unit=SimpleNamespace(value=unit), physical_size_y_unit=SimpleNamespace(value=unit),
        channels=[SimpleNamespace(name=name) for name in channels],
    )  # fmt: skip
    return SimpleNamespace(images=[SimpleNamespace(pixels=pixels)])


def test_czi_layers_have_micrometres_as_scale_and_one_layer_a_channel() -> None:
    stack = np.zeros((1, 3, 2, 40, 50), np.uint16)  # T, Z, C, Y, X, as napari-czifile2 gives it
    viewer = ViewerModel()
    layers = viewer.add_image(stack, channel_axis=2, scale=(1.0, 2.0, 0.16, 0.16), name=["DAPI", "EGFP"])
    assert pixel_size_of(viewer, layers[0], 3) is None  # a scale alone says no unit
    for layer in layers:
        layer.metadata = {**layer.metadata, "path": "/data/cells.czi"}
    assert pixel_size_of(viewer, layers[0], 3) == pytest.approx((2.0, 0.16, 0.16))
    labels = viewer.add_labels(PLANE.astype(np.int32), name="cells", **spatial_placing(layers[0]))
    assert pixel_size_of(viewer, labels, 2) == pytest.approx((0.16, 0.16))
    other = viewer.add_labels(np.zeros((10, 10), np.int32), name="of another image", scale=(0.16, 0.16))
    assert pixel_size_of(viewer, other, 2) is None


@pytest.mark.parametrize("ending", ["nd2", "lif", "OIR"])
def test_files_of_microscopes_without_a_known_size_say_none(ending: str) -> None:
    layer = Image(PLANE, metadata={"path": f"a.{ending}"})
    assert pixel_size_of(None, layer, 2) is None
    layer = Image(PLANE, metadata={"path": f"a.{ending}"}, scale=(0.5, 0.5))
    assert pixel_size_of(None, layer, 2) == (0.5, 0.5)
    assert pixel_size_of(None, Image(PLANE, metadata={"path": "a.png"}, scale=(0.5, 0.5)), 2) is None


@pytest.mark.parametrize("key", ["aicsimage", "bioimage"])
def test_image_objects_in_the_metadata_know_sizes_and_channels(key: str) -> None:
    read = SimpleNamespace(physical_pixel_sizes=SIZES, channel_names=["Hoechst", "Bright"])
    layer = Image(np.zeros((2, 40, 50), np.uint8), metadata={key: read, "raw_image_metadata": "<xml/>"})
    assert pixel_size_of(None, layer, 2) == (0.32, 0.32) and pixel_size_of(None, layer, 3) == (
        1.5,
        0.32,
        0.32,
    )
    assert channel_names(layer) == ["Hoechst", "Bright"]
    assert channel_names_of(layer, 3) == []
    read.physical_pixel_sizes = SimpleNamespace(Z=None, Y=None, X=None)
    assert pixel_size_of(None, layer, 2) is None


@pytest.mark.parametrize("key", ["ome_types", "ome_metadata", "metadata"])
def test_ome_in_the_metadata_knows_units(key: str) -> None:
    layer = Image(np.zeros((2, 40, 50), np.uint8), metadata={key: ome("A", "B", size=650, unit="nm")})
    assert pixel_size_of(None, layer, 2) == pytest.approx((0.65, 0.65))
    assert channel_names(layer) == ["A", "B"]
    unknown = Image(PLANE, metadata={key: ome("A", size=None)})
    assert pixel_size_of(None, unknown, 2) is None
    other = ome("A")
    other.images[0].pixels.size_x = 99  # another scene of the file
    assert pixel_size_of(None, Image(PLANE, metadata={key: other}), 2) is None


def test_metadata_of_another_kind_say_nothing() -> None:
    layer = Image(
        np.zeros((2, 40, 50), np.uint8),
        metadata={"metadata": {"Objective": "20x"}, "aicsimage": 3, "ome": "text", "bioimage": {"a": 1}},
    )
    assert pixel_size_of(None, layer, 2) is None and channel_names(layer) == []


def test_units_that_are_named_count_before_all() -> None:
    layer = Image(
        PLANE,
        scale=(200, 200),
        units=("nm", "nm"),
        metadata={"bioimage": SimpleNamespace(physical_pixel_sizes=SIZES)},
    )
    assert pixel_size_of(None, layer, 2) == pytest.approx((0.2, 0.2))
