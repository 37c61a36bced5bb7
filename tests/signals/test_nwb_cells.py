"""Cells of NWB files: masks in every form, names, order of axes, pauses, what was accepted."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pynwb = pytest.importorskip("pynwb")

from napari_biofm.signals import read_part, read_recording  # noqa: E402
from napari_biofm.signals.recorded import NOTES  # noqa: E402
from napari_biofm.timeline.cell_positions import event_seconds  # noqa: E402
from napari_biofm.types import EVENT_DTYPE  # noqa: E402

MASKS = np.zeros((8, 12), np.int32)
MASKS[1:3, 2:7], MASKS[5:7, 9:12] = 1, 2
TRACES = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)


def write(
    path: Path,
    kind: str,
    *,
    containers: tuple[str, ...] = ("Fluorescence",),
    data: Any = TRACES,
    **timing: Any,
) -> Path:
    """Write two cells with masks of a kind and traces of the given containers."""
    ophys = pynwb.ophys
    nwb = pynwb.NWBFile(
        session_description="s", identifier="i", session_start_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    device = nwb.create_device(name="scope")
    channel = ophys.OpticalChannel(name="green", description="g", emission_lambda=510.0)
    plane = nwb.create_imaging_plane(
        name="plane 3", optical_channel=channel, description="d", device=device, excitation_lambda=920.0,
        indicator="GCaMP", location="V1", imaging_rate=30.0,
    )  # fmt: skip
    table = ophys.PlaneSegmentation(name="cells", description="cells", imaging_plane=plane)
    for label in (1, 2):
        y, x = np.nonzero(label == MASKS)
        if kind == "image_mask":
            table.add_roi(image_mask=(label == MASKS).T.astype(float))
        elif kind == "pixel_mask":
            table.add_roi(pixel_mask=[(int(b), int(a), 1.0) for a, b in zip(y, x, strict=True)])
        else:
            table.add_roi(voxel_mask=[(int(b), int(a), 3, 1.0) for a, b in zip(y, x, strict=True)])
    table.add_column(name="iscell", description="cell?", data=[1.0, 0.0])
    module = nwb.create_processing_module(name="ophys", description="traces")
    module.add(ophys.ImageSegmentation(name="seg", plane_segmentations=[table]))
    for name in containers:
        container = ophys.Fluorescence(name=name) if "DfOverF" not in name else ophys.DfOverF(name=name)
        module.add(container)
        region = table.create_roi_table_region(description="all", region=[0, 1])
        container.add_roi_response_series(
            ophys.RoiResponseSeries(
                name="plane3",
                data=data,
                rois=region,
                unit="lumens",
                **(timing or {"rate": 30.0, "starting_time": 2.5}),
            )
        )
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


@pytest.mark.parametrize("kind", ["image_mask", "pixel_mask", "voxel_mask"])
def test_masks_of_every_form_lie_where_they_were(kind: str, tmp_path: Path) -> None:
    found = read_recording(write(tmp_path / "a.nwb", kind))
    assert found.rois is not None
    rows, columns = found.rois.shape
    np.testing.assert_array_equal(found.rois, MASKS[:rows, :columns])
    assert kind != "image_mask" or (rows, columns) == MASKS.shape
    assert found.metadata["accepted"] == [1] and found.metadata["plane"] == "plane 3"
    if kind == "image_mask":
        other = read_recording(tmp_path / "a.nwb", mask_order="yx")
        np.testing.assert_array_equal(other.rois, MASKS.T)


def test_each_kind_of_trace_is_a_part_with_its_own_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.nwb", "pixel_mask", containers=("Deconvolved", "Neuropil", "Fluorescence", "DfOverF")
    )
    found = read_recording(path)
    names = found.metadata["parts"]
    assert (
        len(set(names)) == 4
        and names[0] == "DfOverF plane3 (dF/F)"
        and names[1] == "Fluorescence plane3 (a.u.)"
    )
    assert {"Neuropil plane3 (a.u.)", "Deconvolved plane3 (a.u.)"} == set(names[2:])
    assert found.channels[0].unit == "dF/F" and read_part(found, 2).channels[0].unit == "a.u."


@pytest.mark.filterwarnings("ignore:RoiResponseSeries")
def test_cells_by_frames_are_turned_and_it_is_told(tmp_path: Path) -> None:
    found = read_recording(write(tmp_path / "a.nwb", "pixel_mask", data=np.ascontiguousarray(TRACES.T)))
    assert found.n_channels == 2 and found.n_samples() == 40
    np.testing.assert_array_equal(found.values(0, 1), TRACES[:, 1])
    assert any("were turned" in one for one in found.metadata[NOTES])
    assert not any(
        "turned" in one for one in read_recording(write(tmp_path / "b.nwb", "pixel_mask")).metadata[NOTES]
    )


def test_a_pause_does_not_split_a_movie_and_events_keep_the_files_seconds(tmp_path: Path) -> None:
    stamps = np.concatenate([5.0 + np.arange(20) / 30, 6.5 + np.arange(20) / 30])
    found = read_recording(write(tmp_path / "a.nwb", "pixel_mask", timestamps=stamps))
    assert found.n_sweeps == 1 and found.n_samples() == 40 and found.channels[0].sampling_rate == 30
    np.testing.assert_array_equal(found.values(0, 0), TRACES[:, 0])
    assert any("paused 1 time" in one for one in found.metadata[NOTES])
    events = np.zeros(3, EVENT_DTYPE)
    events["time_s"] = [0.0, 19 / 30, 20 / 30]
    np.testing.assert_allclose(event_seconds(events, found), [5.0, 5.0 + 19 / 30, 6.5])


@pytest.mark.shared_data
def test_files_of_others(shared_cases: Path, tmp_path: Path) -> None:
    found = {}
    for n in (2, 3, 5, 6, 8):
        path = tmp_path / f"n{n}.nwb"
        path.write_bytes(gzip.decompress((shared_cases / "calcium" / f"nwb_n{n}.nwb.gz").read_bytes()))
        found[n] = read_recording(path)
        assert (found[n].n_channels, found[n].n_samples(), found[n].n_sweeps) == (6, 300, 1)
        assert found[n].metadata["accepted"] == [1, 2, 4, 5]
    rows, columns = found[3].rois.shape
    np.testing.assert_array_equal(found[2].rois[:rows, :columns], found[3].rois)
    assert [name.split()[0] for name in found[5].metadata["parts"]] == [
        "Fluorescence",
        "Deconvolved",
        "Neuropil",
    ]
