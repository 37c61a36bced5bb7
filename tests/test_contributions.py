"""What napari calls by itself: readers, writers, sample data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_biofm import samples
from napari_biofm.readers import get_reader
from napari_biofm.session import session_of
from napari_biofm.simulate import write_abf
from napari_biofm.types import RecordingError
from napari_biofm.writers import write_cells_csv


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(samples, "sample_folder", lambda name: tmp_path / name)
    return tmp_path


def test_a_dropped_abf_opens_in_the_trace_dock(tmp_path: Path, viewer: Any) -> None:
    path = write_abf(tmp_path / "cell 1.abf", [np.sin(np.arange(5000) / 50)], ["Im"], ["pA"], 10_000)
    viewer.open(str(path), plugin="napari-biofm")
    assert len(viewer.layers) == 0
    assert list(session_of(viewer).recordings) == ["cell 1.abf"]
    assert any("Traces and events" in name for name in viewer.window.dock_widgets)


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
