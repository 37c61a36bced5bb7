"""From NIfTI files to series of regions and their connectivity, by the docks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_biofm import readers
from napari_biofm.images.io.nifti import cleaned_series
from napari_biofm.widgets.trace import TraceDock

nibabel = pytest.importorskip("nibabel")

AFFINE = np.array([[-3.0, 0, 0, 20], [0, 3, 0, -30], [0, 0, 3.5, -10], [0, 0, 0, 1]])


def _files(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    atlas = np.zeros((10, 12, 8), np.int16)
    atlas[1:4, 2:9], atlas[5:9, :6], atlas[5:, 8:] = 1, 2, 7
    motion = np.cumsum(rng.normal(0, 1, (80, 2)), 0)
    shared = rng.normal(0, 4, 80)
    values = rng.normal(500, 2, (10, 12, 8, 80))
    values[atlas == 1] += shared
    values[atlas == 7] += shared
    values[atlas > 0] += motion @ [5.0, -3.0]
    for name, array in (("bold.nii.gz", values.astype(np.float32)), ("atlas.nii.gz", atlas)):
        image: Any = nibabel.Nifti1Image(array, AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        if array.ndim == 4:
            image.header.set_zooms((3, 3, 3.5, 2.0))
        nibabel.save(image, folder / name)
    (folder / "atlas.txt").write_text("1 Insula\n2 Cuneus\n")
    table = pd.DataFrame(motion, columns=["trans_x", "rot_y"]).assign(step=lambda t: t["trans_x"].diff())
    table.to_csv(folder / "motion.tsv", sep="\t", index=False, na_rep="n/a")
    return values.astype(np.float32), atlas, table.fillna(0).to_numpy()


def test_volumes_and_atlas_give_series_of_regions_and_a_matrix(
    viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    values, atlas, motion = _files(tmp_path)
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    for name in ("bold", "atlas"):
        dock.recordings.open(tmp_path / f"{name}.nii.gz")
    assert dock.tabs.tabText(dock.tabs.currentIndex()) == "Movie" and not dock.session.recordings
    bold, labels = viewer.layers
    assert bold.data.shape == (80, 8, 12, 10) and str(bold.units[0]) == "second" and bold.scale[0] == 2.0
    assert type(labels).__name__ == "Labels" and labels.data.max() == 7
    assert tuple(map(str, viewer.scene.camera.orientation)) == ("towards", "up", "right")
    panel = dock.movie_panel
    assert panel.rate.value() == 0.5 and panel.movie.currentText() == "bold"
    qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dock.session.recordings) == 1, timeout=20_000)
    recording = next(iter(dock.session.recordings.values())).recording
    assert [one.name for one in recording.channels] == ["Insula", "Cuneus", "region 7"]
    by_hand = values.astype(float)[atlas == 7].mean(0)
    np.testing.assert_allclose(recording.values(0, 2), by_hand, rtol=1e-6)
    assert "3 regions, 80 volumes" in panel.message.text()
    analyse = dock.analyse_panel
    dock.show_panel(analyse)
    analyse.choose("connectivity")
    analyse.set_value("confounds", str(tmp_path / "motion.tsv"))
    analyse.set_value("low_hz", "0.01")
    run = next(one for one in analyse.findChildren(QPushButton) if one.text() == "Run")
    qtbot.mouseClick(run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(dock.session.recordings) == 2, timeout=20_000)
    assert "3 confounds of motion.tsv" in analyse.summary.text() and len(analyse.plots.items) == 1
    shown = {analyse.table.item(i, 0).text(): analyse.table.item(i, 4).text() for i in range(3)}
    raw = np.stack([values.astype(float)[atlas == k].mean(0) for k in (1, 2, 7)], 1)
    expected = np.corrcoef(cleaned_series(raw, motion, 2.0, (0.01, None)).T)
    assert float(shown["Insula"]) == pytest.approx(expected[0, 2], abs=1e-4) and expected[0, 2] > 0.9
    assert abs(float(shown["Cuneus"])) < 0.4, "what moved together by motion is taken out"
    (tmp_path / "matrix.svg").unlink(missing_ok=True)
    dock.analysing.save(tmp_path / "matrix.svg")
    text = (tmp_path / "matrix.svg").read_text()
    assert "Insula" in text and "region 7" in text


def test_what_does_not_fit_is_told(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    _files(tmp_path)
    path = str(tmp_path / "bold.nii.gz")
    reader = readers.get_volume_reader([path])
    assert reader is not None and readers.get_volume_reader("movie.tif") is None
    ((data, options, _),) = reader([path])
    viewer.add_image(data, **options)
    viewer.add_labels(np.ones((12, 10), np.int32), name="flat")
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    panel = dock.movie_panel
    dock.show_panel(panel)
    qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    assert "labels (z, y, x) of an atlas" in panel.message.text()
    qtbot.mouseClick(panel.motion, Qt.MouseButton.LeftButton)
    assert "confounds" in panel.message.text()
    viewer.add_labels(np.ones((8, 12, 10), np.int32), name="elsewhere", scale=(3.5, 3, 3), units=("mm",) * 3)
    panel.masks.setCurrentText("elsewhere")
    qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    assert "another space" in panel.message.text() and not dock.session.recordings
