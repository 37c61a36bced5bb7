"""What a paper reports of cells: equal to scikit-image where that has a name for it, and to sums done by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.measure import regionprops_table

from napari_biofm.api.cells import measure
from napari_biofm.api.measuring import pixel_size_of
from napari_biofm.cells.table.quantities import MeasuredOn, distinct, quantities
from napari_biofm.cli import main
from napari_biofm.simulate import simulate_field
from napari_biofm.types import CellsError, run_task

DOCS = Path(__file__).resolve().parents[3] / "docs" / "columns.md"


def table(labels, **on):
    return run_task(quantities(np.asarray(labels), MeasuredOn(**on)))


@pytest.fixture(scope="module")
def field():
    return simulate_field((120, 130), 9, seed=1)


def test_shapes_are_those_of_scikit_image(field):
    found = table(field.masks, pixel_size=(0.5, 0.5))
    names = (
        "label",
        "area",
        "perimeter",
        "axis_major_length",
        "axis_minor_length",
        "eccentricity",
        "solidity",
    )
    right = regionprops_table(field.masks, properties=names)
    columns = (
        "label",
        "area_px",
        "perimeter_px",
        "major_axis_px",
        "minor_axis_px",
        "eccentricity",
        "solidity",
    )
    for ours, theirs in zip(columns, names, strict=True):
        np.testing.assert_allclose(found[ours], right[theirs], rtol=1e-9)
    np.testing.assert_allclose(found["area_um2"], right["area"] * 0.25)
    np.testing.assert_allclose(found["perimeter_um"], right["perimeter"] / 2)


def test_pixels_that_are_no_squares_give_lengths_in_micrometres():
    labels = np.zeros((40, 40), np.int32)
    labels[10:14, 10:30] = 1  # 4 x 20 px of 2 x .4 um: a square of 8 um
    found = table(labels, pixel_size=(2.0, 0.4))
    assert found["area_um2"].item() == pytest.approx(64)
    assert found["major_axis_um"].item() == pytest.approx(found["minor_axis_um"].item(), rel=0.05)
    assert np.isnan(found["perimeter_um"]).all()


def test_intensities_by_hand_with_the_background_beside_each_cell():
    labels = np.zeros((30, 60), np.int32)
    labels[10:14, 10:14], labels[10:14, 40:44] = 3_000_000, 7
    channel = np.where(np.arange(60) < 27, 10.0, 50.0) * np.ones((30, 1))
    channel[labels == 7] = 80
    channel[10, 40] = np.nan
    found = table(labels, channels={"DAPI": channel}).set_index("label")
    assert found.index.tolist() == [7, 3_000_000]
    assert found.loc[7, ["DAPI_mean", "DAPI_min", "DAPI_max", "DAPI_integrated"]].tolist() == [
        80,
        80,
        80,
        15 * 80,
    ]
    assert found["DAPI_background"].tolist() == [50, 10]
    assert found["DAPI_mean_corrected"].tolist() == [30, 0]
    assert found.loc[7, "DAPI_integrated_corrected"] == 15 * 30


def test_neighbours_contact_distance_and_density():
    labels = np.zeros((60, 60), np.int32)
    labels[10:20, 10:20], labels[10:20, 20:30], labels[10:20, 34:44], labels[40:50, 10:20] = 1, 2, 3, 4
    found = table(labels, pixel_size=(1.0, 1.0))
    assert found["n_neighbours"].tolist() == [1, 2, 1, 0]  # 4 px lie between 2 and 3, 5 would be too many
    np.testing.assert_allclose(found["contact_fraction"], [10 / 40, 10 / 40, 0, 0])
    np.testing.assert_allclose(found["nearest_cell_px"], [10, 10, 14, 30])
    dense = table(
        np.kron(np.arange(1, 101).reshape(10, 10), np.pad(np.ones((6, 6), int), 2)), pixel_size=(1, 1)
    )
    np.testing.assert_allclose(dense["density_per_1e6px"], 1e4, rtol=0.15)  # one in 100 px, at the edges too
    np.testing.assert_allclose(dense["density_per_mm2"], dense["density_per_1e6px"])


def test_nuclei_against_the_cytoplasm_of_their_cells():
    cells = np.zeros((40, 80), np.int32)
    cells[5:35, 5:35], cells[5:35, 45:75] = 11, 12
    nuclei = np.zeros_like(cells)
    nuclei[15:25, 15:25], nuclei[15:25, 30:44], nuclei[0:4, 70:75] = (
        1,
        2,
        3,
    )  # 2 lies mostly in neither but in 11
    channel = np.where(nuclei > 0, 30.0, np.where(cells > 0, 10.0, 0.0))
    found = table(nuclei, channels={"ch": channel}, within=cells)
    assert found["in_cell"].tolist() == [11, 11, 0]
    np.testing.assert_allclose(found["ch_nc_ratio"], [3, 3, np.nan])
    assert found["cytoplasm_area_px"].tolist()[0] == 900 - 100 - 50


def test_a_volume_is_measured_as_a_volume(field):
    volume = np.stack([np.zeros_like(field.masks), field.masks, field.masks])
    found = table(volume, pixel_size=(2.0, 0.5, 0.5), channels={"c": volume.astype(float)})
    np.testing.assert_allclose(found["volume_px"], 2 * np.unique(field.masks, return_counts=True)[1][1:])
    np.testing.assert_allclose(found["volume_um3"], found["volume_px"] * 0.5)
    assert "eccentricity" not in found and np.isfinite(found["major_axis_um"]).all()


def test_tiny_cells_and_no_cells_have_rows_without_wrong_numbers():
    labels = np.zeros((9, 9), np.int32)
    assert list(table(labels, channels={"c": labels}).columns)[:3] == ["label", "image", "object_id"]
    labels[4, 4] = 5
    found = table(labels, channels={"c": np.ones((9, 9))})
    assert found["area_px"].tolist() == [1] and np.isnan(found["nearest_cell_px"]).all()
    with pytest.raises(CellsError, match="must be equal"):
        table(labels, channels={"c": np.ones((9, 8))})


def test_every_column_is_defined_in_the_docs(field):
    words = set(re.findall(r"`([^`]+)`", DOCS.read_text()))
    stack = np.stack([field.masks] * 2)
    for labels in (field.masks, stack):
        on = {
            "channels": {"<ch>": labels},
            "within": labels,
            "pixel_size": (1.0,) * labels.ndim,
            "plane": "z 3",
        }
        for name in table(labels, **on).columns:
            stem = re.sub(r"^(centroid)_._|^(major_axis)_|^(minor_axis)_", "", name)
            assert name in words or f"..._{stem}" in words, name


@pytest.fixture
def files(tmp_path: Path, field) -> Path:
    channels = np.stack([field.image, field.image.max() - field.image]).astype(np.float32)
    tifffile.imwrite(
        tmp_path / "f.ome.tif", channels, ome=True, metadata={
            "axes": "CYX", "Channel": {"Name": ["DAPI", "=cmd"]},
            "PhysicalSizeX": 325.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.325, "PhysicalSizeYUnit": "µm",
        },
    )  # fmt: skip
    tifffile.imwrite(tmp_path / "f_mask.tif", field.masks.astype(np.float32))
    return tmp_path


def test_the_command_line_the_functions_and_the_file_agree(files: Path, field):
    import pandas as pd

    call = ["cells", "measure", "--images", files / "f.ome.tif", "--masks", files / "f_mask.tif"]
    assert main([str(a) for a in [*call, "--out", files / "c.csv"]]) == 0
    read = pd.read_csv(files / "c.csv").set_index("label")
    obs = measure(files / "f_mask.tif", files / "f.ome.tif").obs.set_index("label")
    np.testing.assert_allclose(read["area_um2"], obs["area_px"] * 0.325**2)
    np.testing.assert_allclose(read["DAPI_mean"], obs["DAPI_mean"])
    assert "'=cmd_mean" in read and "=cmd_mean" in obs  # no formula for a spreadsheet
    assert obs["object_id"].iloc[0] == read["object_id"].iloc[0] == "f:1"
    assert main([str(a) for a in [*call, "--out", files / "c.csv"]]) == 1
    one = ["--channel", "DAPI", "--pixel-size", "2", "--force"]
    assert main([str(a) for a in [*call, "--out", files / "c.csv", *one]]) == 0
    read = pd.read_csv(files / "c.csv")
    assert "DAPI_mean" in read and not any("cmd" in c for c in read)
    np.testing.assert_allclose(read["area_um2"], read["area_px"] * 4)


def test_folders_movies_and_several_images_of_one_field(files: Path, field):
    import pandas as pd

    def run(*args) -> pd.DataFrame:
        assert main([str(a) for a in ("cells", "measure", *args, "--out", files / "o.csv", "--force")]) == 0
        return pd.read_csv(files / "o.csv")

    assert run("--images", files, "--masks", files)["image"].unique().tolist() == ["f"]
    tifffile.imwrite(files / "g.tif", field.image)
    two = run("--images", files / "f.ome.tif", files / "g.tif", "--masks", files / "f_mask.tif")
    np.testing.assert_allclose(two["g_intensity_mean"], two["f_DAPI_mean"], rtol=1e-5)
    movie = np.stack([field.masks, np.roll(field.masks, 3, 1)])
    np.save(files / "m.npy", movie)
    rows = run("--masks", files / "m.npy", "--frames")
    assert len(rows) == 2 * len(np.unique(field.masks)[1:]) and rows["object_id"].iloc[-1].endswith("@1")
    assert "volume_px" in run("--masks", files / "m.npy")


def test_names_differ_and_sizes_are_checked():
    assert distinct(["a", "b", "a", "a"]) == ["a", "b", "a_2", "a_3"]
    assert pixel_size_of(None, 3, 0.5) == (0.5, 0.5, 0.5)
    with pytest.raises(CellsError, match="positive"):
        pixel_size_of(None, 2, [0.5, -1])
