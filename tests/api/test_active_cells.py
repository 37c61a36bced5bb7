"""suite2p is called as its versions are called, offered only where it is installed, and its folder is read back."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy.io import savemat

import napari_biofm as biofm
from napari_biofm.api import active_cells as module
from napari_biofm.cli import main
from napari_biofm.signals.curation import accepted_cells
from napari_biofm.types import RecordingError

MOVIE = np.random.default_rng(0).poisson(200, (30, 24, 32)).astype(np.float32)


def write_results(where: dict[str, Any], rate: float) -> None:
    """Leave what suite2p leaves, for two regions."""
    movie = tifffile.imread(next(Path(where["data_path"][0]).glob("*.tif")))
    assert movie.dtype == np.int16 and movie.shape == MOVIE.shape
    folder = Path(where["save_path0"]) / "suite2p" / "plane0"
    folder.mkdir(parents=True)
    traces = np.stack([movie[:, 4:8, 4:8].mean((1, 2)), movie[:, 14:18, 20:24].mean((1, 2))]).astype(
        np.float32
    )
    stat = [
        {
            "ypix": np.repeat(np.arange(y, y + 4), 4),
            "xpix": np.tile(np.arange(x, x + 4), 4),
            "lam": np.ones(16),
        }
        for y, x in ((4, 4), (14, 20))
    ]
    iscell = np.array([[1, 0.9], [0, 0.1]], np.float32)
    for name, values in (("F", traces), ("Fneu", 0.5 * traces), ("spks", 0 * traces), ("iscell", iscell)):
        np.save(folder / f"{name}.npy", values)
    ops = {"fs": rate, "Ly": 24, "Lx": 32}
    savemat(folder / "Fall.mat", {"stat": np.array(stat, object), "ops": ops, "F": traces, "iscell": iscell})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def put(version: int) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        stand_in = ModuleType("suite2p")
        stand_in.__spec__ = importlib.machinery.ModuleSpec("suite2p", None)

        def default_settings() -> dict[str, Any]:  # suite2p 1.1
            return {"tau": 1.0, "fs": 10.0, "run": {"do_registration": 1}, "io": {"save_mat": False}}

        def new(db: Any = {}, settings: Any = default_settings(), server: Any = {}) -> list[str]:  # noqa: B006, B008
            asked.update(settings=settings)
            write_results(db, settings["fs"])
            return []

        def default_ops() -> dict[str, Any]:  # suite2p 0.14
            return {"tau": 1.0, "fs": 10.0, "save_mat": False, "do_registration": True}

        def old(ops: Any = {}, db: Any = {}, server: Any = {}) -> dict[str, Any]:  # noqa: B006
            asked.update(ops=ops)
            write_results(db, ops["fs"])
            return ops

        parts = (
            {"default_settings": default_settings, "run_s2p": new}
            if version
            else {"default_ops": default_ops, "run_s2p": old}
        )
        vars(stand_in).update(parts)
        monkeypatch.setitem(sys.modules, "suite2p", stand_in)
        return asked

    return put


def test_what_is_not_installed_is_not_offered_and_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    assert biofm.cell_programs() == []
    with pytest.raises(RecordingError, match="suite2p is not installed here: pip install suite2p"):
        biofm.active_cells(MOVIE, tmp_path / "run", frame_rate=20.0)
    with pytest.raises(RecordingError, match="no program 'ica'"):
        biofm.active_cells(MOVIE, tmp_path / "run", program="ica", frame_rate=20.0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("version", [0, 1])
def test_its_regions_come_back_as_cells_with_masks_and_iscell(
    version: int, installed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    asked = installed(version)
    assert biofm.cell_programs() == ["suite2p"]
    found = biofm.active_cells(MOVIE, tmp_path / "run", frame_rate=20.0, decay_s=0.7, register=False)
    if version:
        told = asked["settings"]
        assert told["io"]["save_mat"] and told["run"]["do_registration"] == 0
    else:
        told = asked["ops"]
        assert told["save_mat"] and not told["do_registration"]
    assert (told["fs"], told["tau"]) == (20.0, 0.7)
    assert found.is_cells and found.channels[0].sampling_rate == 20.0
    np.testing.assert_allclose(found.values(0, 0), MOVIE[:, 4:8, 4:8].mean((1, 2)), rtol=1e-5)
    assert (found.rois[14:18, 20:24] == 2).all() and accepted_cells(found).tolist() == [True, False]
    with pytest.raises(RecordingError, match="holds results of suite2p"):
        biofm.active_cells(MOVIE, tmp_path / "run", frame_rate=20.0)


def test_the_verb_needs_a_rate_and_says_what_was_found(
    installed: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(1)
    tifffile.imwrite(tmp_path / "movie.tif", MOVIE)
    call = ["active-cells", str(tmp_path / "movie.tif"), "--out", str(tmp_path / "run")]
    assert main(call) == 1 and "--frame-rate" in capsys.readouterr().err
    assert main([*call, "--frame-rate", "20"]) == 0
    assert "2 regions, 1 of them cells as suite2p says" in capsys.readouterr().err


def test_what_the_program_says_when_it_fails_is_one_line_of_ours(
    installed: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(1)

    def fails(**_: Any) -> None:
        raise ValueError("no ROIs were found")

    monkeypatch.setattr(sys.modules["suite2p"], "run_s2p", fails)
    with pytest.raises(RecordingError, match="suite2p .* failed: no ROIs were found"):
        biofm.active_cells(MOVIE, tmp_path / "run", frame_rate=20.0)
