"""The label files of a session lie where the layer lies, also for other programs that open them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr
from napari.layers import Labels

from napari_biofm.session.parts import read_labels, world_matrix, write_labels

DATA = np.arange(12, dtype=np.int32).reshape(3, 4)


def placing(layer: Labels) -> dict[str, object]:
    return {name: getattr(layer, name) for name in ("scale", "translate", "rotate", "shear")} | {
        "affine": np.asarray(layer.affine.affine_matrix)
    }


def moves(path: Path) -> dict[str, list[float]]:
    written = zarr.open_group(str(path), mode="r").attrs["ome"]["multiscales"][0]["datasets"][0]
    return {one["type"]: one[one["type"]] for one in written["coordinateTransformations"]}


def test_the_matrix_is_that_of_napari() -> None:
    turned = np.array([[0.8, -0.6, 5.0], [0.6, 0.8, -2.0], [0, 0, 1.0]])
    for options in (
        {"rotate": 30},
        {"shear": [0.4]},
        {"affine": turned},
        {"rotate": 20, "shear": [0.1], "affine": turned},
    ):
        layer = Labels(DATA, scale=[0.5, 0.25], translate=[3, 7], **options)
        matrix = world_matrix(placing(layer), 2)
        for point in ((0, 0), (2, 1), (1, 3)):
            np.testing.assert_allclose((matrix @ [*point, 1])[:2], layer.data_to_world(point), atol=1e-12)


def test_pixel_size_and_place_in_an_affine_are_written_and_turns_stand_beside(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.ome.zarr", DATA, {"affine": np.diag([0.4, 0.3, 1.0]), "translate": [10, 20]})
    assert moves(tmp_path / "a.ome.zarr") == {"scale": [0.4, 0.3], "translation": [4.0, 6.0]}
    layer = Labels(DATA, scale=[0.5, 0.5], rotate=90)
    write_labels(tmp_path / "b.ome.zarr", DATA, placing(layer))
    np.testing.assert_allclose(moves(tmp_path / "b.ome.zarr")["scale"], [0.5, 0.5])
    kept = zarr.open_group(str(tmp_path / "b.ome.zarr"), mode="r").attrs["placing"]
    again = Labels(DATA, scale=kept["scale"], rotate=np.array(kept["rotate"]))
    np.testing.assert_allclose(again.data_to_world((1, 2)), layer.data_to_world((1, 2)), atol=1e-12)
    write_labels(tmp_path / "c.ome.zarr", DATA, {})
    assert moves(tmp_path / "c.ome.zarr") == {"scale": [1.0, 1.0]}
    np.testing.assert_array_equal(read_labels(tmp_path / "c.ome.zarr"), DATA)
