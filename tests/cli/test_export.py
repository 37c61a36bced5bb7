"""The verbs `export`, `session` and `completion`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tests.session.test_session_files import LAYERS, session

from napari_biofm.cli import build_parser, main
from napari_biofm.cli.argparse_compat import arguments_of, verbs_below
from napari_biofm.cli.completion import verbs_of
from napari_biofm.session.saving import save_session
from napari_biofm.session.snapshot import snapshot

__all__ = ["session"]


def test_export_tells_what_it_wrote_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = np.zeros((3, 12, 12), np.uint8)
    masks[:, 2:6, 2:6] = 1
    tifffile.imwrite(tmp_path / "a_mask.tif", masks[0])
    tifffile.imwrite(tmp_path / "z_mask.tif", masks, photometric="minisblack")
    words = ["export", str(tmp_path / "a_mask.tif"), str(tmp_path / "z_mask.tif"), "--to", "geojson", "csv"]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 3, "a stack has no outlines"
    told = json.loads(capsys.readouterr().out)
    assert [Path(name).name for name in told["files"]] == ["a.geojson", "a_cells.csv", "z_cells.csv"]
    assert list(told["failed"]) == ["z.geojson"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    assert "give --force" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "out"), "--resume", "--plane", "1"]) == 0
    assert (tmp_path / "out" / "z.geojson").is_file()


def test_a_session_is_reported_and_validated(
    session: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_session(tmp_path / "day1", snapshot(session, LAYERS))
    assert main(["session", "report", str(folder), "--out", str(tmp_path / "r.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["links"] == 1 and (tmp_path / "r.html").is_file()
    assert main(["session", "report", str(folder), "--out", str(tmp_path / "r.html")]) == 1
    assert main(["session", "validate", str(folder)]) == 1, "the movie is gone"
    assert "movie.tif" in capsys.readouterr().err
    assert main(["session", "open", str(tmp_path / "r.html")]) == 1
    assert "is no session" in capsys.readouterr().err


def test_session_open_shows_it_in_napari(
    session: Any, tmp_path: Path, qapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari

    seen: dict[str, Any] = {}

    def look() -> None:
        viewer = napari.current_viewer()
        seen["layers"] = [layer.name for layer in viewer.layers]
        seen["docks"] = [name for name in viewer.window.dock_widgets if "napari-biofm" in name]
        viewer.close()

    monkeypatch.setattr(napari, "run", look)
    folder = save_session(tmp_path / "day1", snapshot(session, LAYERS))
    assert main(["session", "open", str(folder)]) == 0
    assert seen["layers"] == ["cells"]
    assert [name.split(" (")[0] for name in seen["docks"]] == ["Traces and events", "Cell states"]


def test_every_verb_is_known_to_the_scripts() -> None:
    verbs = {verb.words: verb for verb in verbs_of(build_parser())}
    assert set(verbs_below(build_parser())) == {words[0] for words in verbs if len(words) == 1}
    assert {"--out", "--device"} <= {name for flag in verbs["segment",].flags for name in flag.names}
    assert verbs["models", "download"].help and arguments_of(build_parser())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["napari-biofm", "exp"], {"export"}),
        (["napari-biofm", "models", "do"], {"download"}),
        (["napari-biofm", "export", "a.tif", "--to", "geo"], {"geojson"}),
        (["napari-biofm", "segment", "a.tif", "--device", ""], {"auto", "cpu", "cuda", "mps"}),
        (["napari-biofm", "segment", "a.tif", "--dia"], {"--diameter"}),
        (["napari-biofm", "segment", "a.tif", "--out", ""], set()),
    ],
)
def test_bash_completes(script: Path, words: list[str], offered: set[str]) -> None:
    line = f"source {script}; COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; "
    run = subprocess.run(
        ["bash", "-c", line + '_napari_biofm; echo "${COMPREPLY[@]}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(run.stdout.split()) == offered and not run.stderr


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `completion bash` prints."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    from napari_biofm.cli.completion import bash

    path = tmp_path_factory.mktemp("shell") / "napari-biofm"
    path.write_text(bash(list(verbs_of(build_parser()))), encoding="utf-8")
    return path


def test_zsh_and_fish_know_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out
    assert main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("-a export " in line and "__fish_use_subcommand" in line for line in lines)
    assert any("-l device -x -a 'auto cpu cuda mps'" in line for line in lines)
