"""The package as a library: light to import, typed, documented, the same numbers as the command line."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit
from napari_biofm.session.snapshot import SavedLayer
from napari_biofm.simulate import simulate_field

LIGHT = """
import sys
import napari_biofm
assert not {"numpy", "torch", "napari", "qtpy", "scipy"} & set(sys.modules), sorted(sys.modules)
napari_biofm.segment, napari_biofm.read_recording, napari_biofm.open_session
assert not {"torch", "napari", "qtpy"} & set(sys.modules)
try:
    napari_biofm.nothing
except AttributeError:
    print("light")
"""


def test_importing_the_package_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "light", done.stderr


@pytest.mark.parametrize("name", [n for n in biofm.__all__ if n[0].islower()])
def test_every_function_says_what_it_takes_gives_and_raises(name: str) -> None:
    function = getattr(biofm, name)
    text = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters:
        described = parameter in text
        assert described, f"{name}: {parameter} is not described"
    assert "Returns\n-------" in text or "Raises\n------" in text
    hints = inspect.signature(function)
    assert hints.return_annotation is not inspect.Signature.empty


def test_segment_gives_what_the_command_line_writes(tmp_path: Path) -> None:
    image = simulate_field((96, 96), 6, seed=3).image
    tifffile.imwrite(tmp_path / "field.tif", image)
    assert main(["segment", str(tmp_path / "field.tif"), "--out", str(tmp_path / "out")]) == 0
    written = tifffile.imread(tmp_path / "out" / "field_mask.tif")
    np.testing.assert_array_equal(biofm.segment(tmp_path / "field.tif").masks, written)
    np.testing.assert_array_equal(biofm.segment(image).masks, written)
    assert written.max() > 2


def test_progress_is_heard_and_can_stop_the_work() -> None:
    steps: list[object] = []
    image = simulate_field((96, 96), 6, seed=3).image
    biofm.segment(image, progress=steps.append)
    assert steps

    def stop(step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        biofm.segment(image, progress=stop)


def test_a_classifier_needs_two_classes_and_one_label_per_cell() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with pytest.raises(biofm.CellsError, match="two classes"):
        biofm.fit_classifier(vectors, ["a"] * 20)
    with pytest.raises(biofm.CellsError, match="one per cell"):
        biofm.fit_classifier(vectors, ["a", "b"])
    with pytest.raises(biofm.CellsError, match="`labels`"):
        biofm.fit_classifier(vectors)
    vectors[:10] += 6
    taught = biofm.fit_classifier(vectors, ["a"] * 10 + ["b"] * 10)
    names, probabilities = biofm.predict(taught, vectors)
    assert list(names) == ["a"] * 10 + ["b"] * 10
    assert taught.scores is not None and taught.scores.model.macro_f1 == 1.0
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_labels_of_an_opened_session_are_edited_undone_and_saved(tmp_path: Path) -> None:
    from napari_biofm.actions import EditLabels
    from napari_biofm.session import Session

    masks = np.zeros((20, 30), np.int32)
    masks[2:8, 3:9] = 4
    layer = SavedLayer("uid", "labels", "cells", data=masks.copy(), shape=masks.shape)
    session = Session()
    session.attach_labels(ArrayTarget(layer.data, "uid"))
    biofm.save_session(biofm.OpenedSession(session, (layer,)), tmp_path / "day1")
    opened = biofm.open_session(tmp_path / "day1")
    np.testing.assert_array_equal(opened.labels("cells"), masks)
    after = np.where(masks == 4, 9, 0).astype(np.int32)
    opened.session.do(EditLabels(LabelsEdit.whole("uid", "relabel", masks, after)))
    np.testing.assert_array_equal(opened.labels("cells"), after)
    biofm.save_session(opened, tmp_path / "day1")
    again = biofm.open_session(tmp_path / "day1")
    np.testing.assert_array_equal(again.labels("cells"), after)
    assert [entry["action"] for entry in again.session.log] == ["relabel"]
    with pytest.raises(biofm.SessionError, match="no labels 'nuclei'; it has: cells"):
        again.labels("nuclei")
