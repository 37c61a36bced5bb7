"""CaImAn is called in a process of its own as its demo pipeline calls it, and its file is read back: with a stand-in of its API."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.signals.curation import accepted_cells
from napari_biofm.types import RecordingError

MOVIE = np.random.default_rng(0).poisson(200, (30, 24, 32)).astype(np.int16)
PACKAGE = {
    "__init__.py": """
import json, os, numpy as np, tifffile
def note(**what):
    with open(os.path.join(os.environ["CAIMAN_TEMP"], "asked.jsonl"), "a") as file:
        file.write(json.dumps(what) + chr(10))
def save_memmap(names, base_name="", order="F", border_to_0=0):
    note(save_memmap=[os.path.basename(one) for one in names], order=order)
    movie = tifffile.imread(names[0].replace(".mmap", ".tif"))
    name = os.path.join(os.environ["CAIMAN_TEMP"], base_name + "d1.npy")
    np.save(name, movie)
    return name
def load_memmap(name):
    movie = np.load(name)
    return movie.reshape(len(movie), -1, order="F").T, movie.shape[1:], len(movie)
""",
    "motion_correction.py": """
import caiman
class MotionCorrect:
    def __init__(self, names, dview=None, **options):
        caiman.note(motion=options)
        self.mmap_file = [names[0].replace(".tif", ".mmap")]
    def motion_correct(self, save_movie=False):
        assert save_movie
""",
    "source_extraction/__init__.py": "",
    "source_extraction/cnmf/__init__.py": "",
    "source_extraction/cnmf/params.py": """
import caiman
class CNMFParams:
    def __init__(self, params_dict):
        caiman.note(params=params_dict)
        self.all = params_dict
    def get_group(self, name):
        return {"pw_rigid": self.all["pw_rigid"]}
""",
    "source_extraction/cnmf/cnmf.py": """
import h5py, numpy as np, types
class CNMF:
    def __init__(self, n, params, dview=None):
        self.params, self.done = params, []
        self.estimates = types.SimpleNamespace(
            evaluate_components=lambda images, params: self.done.append("evaluate"),
            detrend_df_f=lambda quantileMin, frames_window: self.done.append("detrend"))
    def fit(self, images):
        if self.params.all["K"] == 13:
            raise ValueError("K of 13 is unlucky")
        self.images, self.done = images, self.done + ["fit"]
        return self
    def refit(self, images):
        self.done.append("refit")
        return self
    def save(self, path):
        assert self.done == ["fit", "refit", "evaluate", "detrend"], self.done
        with h5py.File(path, "w") as file:
            e = file.create_group("estimates")
            e["F_dff"] = np.stack([self.images[:, 4:8, 4:8].mean((1, 2)), self.images[:, 14:18, 20:24].mean((1, 2))])
            e["dims"], e["idx_components"] = np.array(self.estimates.dims), [0]
            a = e.create_group("A")
            at = [[y + 24 * x for x in range(x0, x0 + 4) for y in range(y0, y0 + 4)] for y0, x0 in ((4, 4), (14, 20))]
            a["data"], a["indices"], a["indptr"] = np.ones(32), np.concatenate(at), [0, 16, 32]
            file["params/data/fr"] = float(self.params.all["fr"])
""",
}


@pytest.fixture
def caiman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with what is used of CaImAn, in this process and in those that it starts."""
    place = tmp_path / "site"
    for name, text in PACKAGE.items():
        (place / "caiman" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "caiman" / name).write_text(text)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]))


def test_its_components_come_back_as_cells_with_masks_and_what_it_kept(caiman: None, tmp_path: Path) -> None:
    assert "caiman" in biofm.cell_programs()
    out = tmp_path / "run"
    found = biofm.active_cells(
        MOVIE, out, program="caiman", frame_rate=7.5, decay_s=0.6, radius_px=4.4, components=9
    )
    assert found.format == "CaImAn" and found.channels[0].sampling_rate == 7.5 and found.n_channels == 2
    assert accepted_cells(found).tolist() == [True, False]
    assert found.rois is not None
    assert np.argwhere(found.rois == 2).min(axis=0).tolist() == [14, 20]
    np.testing.assert_allclose(found.values(0, 1), MOVIE[:, 14:18, 20:24].mean((1, 2)), rtol=1e-6)
    asked = [json.loads(line) for line in (out / "asked.jsonl").read_text().splitlines()]
    params = asked[0]["params"]
    assert (params["fr"], params["decay_time"], params["K"], params["gSig"]) == (7.5, 0.6, 9, [4, 4])
    assert asked[1] == {"motion": {"pw_rigid": False}} and asked[2]["save_memmap"] == ["movie.mmap"]
    with pytest.raises(RecordingError, match="holds results of CaImAn"):
        biofm.active_cells(MOVIE, out, program="caiman", frame_rate=7.5)


def test_the_verb_runs_it_without_motion_correction(
    caiman: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "m.tif", MOVIE)
    out = tmp_path / "run"
    command = [
        "active-cells",
        str(tmp_path / "m.tif"),
        "--with",
        "caiman",
        "--no-motion",
        "--frame-rate",
        "10",
    ]
    assert main([*command, "--out", str(out)]) == 0
    assert "2 regions, 1 of them cells as CaImAn says" in capsys.readouterr().err
    assert "motion" not in (out / "asked.jsonl").read_text()


def test_what_it_says_when_it_fails_is_one_line_and_the_rest_is_kept(caiman: None, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="CaImAn failed: ValueError: K of 13 is unlucky .*caiman.log"):
        biofm.active_cells(MOVIE, tmp_path / "run", program="caiman", frame_rate=10, components=13)
    with pytest.raises(RecordingError, match="both must be positive"):
        biofm.active_cells(MOVIE, tmp_path / "other", program="caiman", frame_rate=10, radius_px=0)


def test_another_package_of_its_name_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "caiman").mkdir()
    (tmp_path / "caiman" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "caiman" not in biofm.cell_programs()
    with pytest.raises(
        RecordingError, match="CaImAn is not installed here: conda install -c conda-forge caiman"
    ):
        biofm.active_cells(MOVIE, tmp_path / "run", program="caiman", frame_rate=10)
