"""What napari calls by itself: readers, writers, sample data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_biofm.readers import get_reader
from napari_biofm.session import session_of
from napari_biofm.simulate import sample_files, write_abf
from napari_biofm.types import RecordingError
from napari_biofm.writers import write_cells_csv


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sample_files, "sample_folder", lambda name: tmp_path / name)
    return tmp_path


def test_a_dropped_abf_opens_in_the_trace_dock(tmp_path: Path, viewer: Any) -> None:
    path = write_abf(tmp_path / "cell 1.abf", [np.sin(np.arange(5000) / 50)], ["Im"], ["pA"], 10_000)
    viewer.open(str(path), plugin="napari-biofm")
    assert len(viewer.layers) == 0
    assert list(session_of(viewer).recordings) == ["cell 1.abf"]
    assert any("Traces and events" in name for name in viewer.window.dock_widgets)


def test_a_recording_needs_a_viewer_to_open_in(tmp_path: Path) -> None:
    path = write_abf(tmp_path / "cell 1.abf", [np.sin(np.arange(5000) / 50)], ["Im"], ["pA"], 10_000)
    read = get_reader(str(path))
    assert read is not None
    with pytest.raises(
        RecordingError, match=r"cell 1\.abf.*no viewer is open: use napari_biofm\.read_recording"
    ):
        read(str(path))


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG")
    assert get_reader(str(path)) is None
    assert get_reader([]) is None


@pytest.mark.parametrize(
    "content", [b"", b"just text", b"ABF2" + bytes(40)], ids=["0 bytes", "text", "cut off"]
)
def test_a_broken_abf_is_named_with_a_remedy(tmp_path: Path, viewer: Any, content: bytes) -> None:
    path = tmp_path / "broken.abf"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"broken\.abf"):
        viewer.open(str(path), plugin="napari-biofm")
    assert session_of(viewer).recordings == {}


def test_the_sample_opens_a_movie_and_its_recordings(cache: Path, viewer: Any) -> None:
    viewer.open_sample("napari-biofm", "corecording")
    movie = viewer.layers["calcium movie"]
    assert movie.data.ndim == 3
    assert list(session_of(viewer).recordings) == ["current_clamp.abf", "voltage_clamp.abf"]
    first = sorted(p.name for p in (cache / "corecording").iterdir())
    viewer.open_sample("napari-biofm", "corecording")
    assert sorted(p.name for p in (cache / "corecording").iterdir()) == first


def test_samples_without_recordings_are_layers(viewer: Any) -> None:
    viewer.open_sample("napari-biofm", "field")
    viewer.open_sample("napari-biofm", "stack")
    assert [layer.data.ndim for layer in viewer.layers] == [2, 3]


def test_cells_are_saved_with_what_the_viewer_knows_of_them(tmp_path: Path, viewer: Any) -> None:
    data = np.zeros((20, 20), int)
    data[2:6, 2:6], data[10:15, 10:12] = 3, 7
    layer = viewer.add_labels(data, scale=(0.5, 0.5))
    layer.features = pd.DataFrame({"label": [3, 7], "class": ["round", "long"]})
    target = tmp_path / "cells.csv"
    assert layer.save(str(target), plugin="napari-biofm") == [str(target)]
    table = pd.read_csv(target)
    assert table["label"].tolist() == [3, 7]
    assert table["area"].tolist() == [16, 10]
    assert table["class"].tolist() == ["round", "long"]
    assert table["centroid-0"].tolist() == [3.5 * 0.5, 12 * 0.5]


def test_a_layer_without_features_is_saved_too(tmp_path: Path) -> None:
    target = tmp_path / "cells.csv"
    write_cells_csv(str(target), np.eye(4, dtype=int), {"scale": [1, 1]})
    assert pd.read_csv(target)["label"].tolist() == [1]


def _drop(viewer: Any, path: Path) -> list[str]:
    """Drop a file on the trace dock, as a person does with one that another reader of napari would take."""
    from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent
    from qtpy.QtWidgets import QApplication

    from napari_biofm.widgets.trace import TraceDock

    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock)
    carried = QMimeData()
    carried.setUrls([QUrl.fromLocalFile(str(path))])
    how = (Qt.DropAction.CopyAction, carried, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(5, 5), *how)
    QApplication.sendEvent(dock, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(dock, QDropEvent(QPointF(5, 5), *how))
    return list(session_of(viewer).recordings)


def test_only_what_no_other_reader_of_napari_opens_is_claimed() -> None:
    """Else napari asks 'Choose reader' for every table, array and folder, and viewer.open raises."""
    import npe2

    manager = npe2.PluginManager.instance()
    manager.discover()
    patterns: dict[str, set[str]] = {}
    for manifest in manager.iter_manifests():
        for reader in manifest.contributions.readers or []:
            patterns.setdefault(manifest.name, set()).update(reader.filename_patterns)
            assert manifest.name != "napari-biofm" or not reader.accepts_directories
    # napari names NIfTI for a plugin of imageio that it does not bring, and cannot open it
    assert patterns["napari-biofm"] & patterns["napari"] <= {"*.nii", "*.nii.gz"}
    assert (
        patterns["napari-biofm"] & {"*.csv", "*.npy", "*.npz", "*.h5", "*.mat", "*.dat", "*.json", "*.zip"}
        == set()
    )


def test_a_table_is_opened_by_napari_without_a_question(tmp_path: Path, viewer: Any) -> None:
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n0,1,2\n")
    np.save(tmp_path / "image.npy", np.zeros((9, 9)))
    viewer.open(str(tmp_path / "points.csv"))
    viewer.open(str(tmp_path / "image.npy"))
    assert [type(layer).__name__ for layer in viewer.layers] == ["Points", "Image"]


def test_dropped_cells_come_with_their_masks_as_labels_in_play(tmp_path: Path, viewer: Any) -> None:
    from scipy.io import savemat

    traces = np.random.default_rng(0).random((2, 30)).astype(np.float32)
    np.save(tmp_path / "F.npy", traces)
    pixels = [{"ypix": [1, 1], "xpix": [2, 3], "lam": [1.0, 1.0]}, {"ypix": [5], "xpix": [5], "lam": [1.0]}]
    savemat(
        tmp_path / "Fall.mat", {"F": traces, "ops": {"fs": 30.0, "Ly": 8, "Lx": 9}, "stat": np.array(pixels)}
    )
    assert _drop(viewer, tmp_path) == [tmp_path.name]
    (labels,) = viewer.layers
    assert labels.data[1, 2] == 1 and labels.data[5, 5] == 2
    assert session_of(viewer).labels == str(labels.unique_id)
    _drop(viewer, tmp_path / "F.npy")
    assert len(viewer.layers) == 1, "the same masks are not added twice"


def test_what_a_dropped_file_does_not_say_is_asked_for(
    tmp_path: Path, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = pytest.importorskip("h5py")
    from napari_biofm.widgets.common.recording_dialog import RateDialog

    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = np.zeros(9), np.ones((2, 9))

    def fill_in(dialog: RateDialog) -> int:
        dialog.rate.setValue(100)
        dialog.unit.setCurrentText("mV")
        dialog.dataset.setCurrentText("b")
        return int(RateDialog.DialogCode.Accepted)

    monkeypatch.setattr(RateDialog, "exec", fill_in)
    assert _drop(viewer, tmp_path / "two.h5") == ["two.h5"]
    recording = session_of(viewer).recordings["two.h5"].recording
    assert (recording.n_sweeps, recording.channels[0].unit) == (2, "mV")


def test_other_parts_of_a_file_are_a_choice_away(tmp_path: Path, viewer: Any) -> None:
    pynwb = pytest.importorskip("pynwb")
    from datetime import UTC, datetime

    from napari_biofm.widgets.trace import TraceDock

    nwb = pynwb.NWBFile(
        session_description="s", identifier="i", session_start_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    for name, rate in (("fast", 90.0), ("slow", 9.0)):
        nwb.add_acquisition(pynwb.TimeSeries(name=name, data=np.arange(90.0), unit="V", rate=rate))
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(nwb)
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, name="Traces")
    dock.recordings.open(tmp_path / "a.nwb")
    assert dock.toolbar.parts.isVisibleTo(dock) and dock.toolbar.parts.count() == 2
    dock.toolbar.parts.setCurrentIndex(1)
    dock.toolbar.parts.activated.emit(1)
    assert dock.recording is not None and dock.recording.channels[0].name == "slow"
    assert dock.recordings.uid == "a.nwb: slow (mV)"
    dock.toolbar.parts.activated.emit(0)
    dock.toolbar.parts.activated.emit(1)
    assert len(dock.session.recordings) == 3
