"""The cache verb lists and clears what networks left on disk."""

import json

import numpy as np

from napari_biofm.cli import main
from napari_biofm.images.tiling.pass_store import PassStore


def test_kept_passes_are_listed_and_cleared(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "passes"))
    PassStore().open("a" * 64, 1, {"model": "cpsam", "shape": (5, 6)}).put(0, {"x": np.ones(5)})
    assert main(["cache", "list", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passes"][0]["model"] == "cpsam" and report["bytes"] > 0
    assert main(["cache", "list"]) == 0
    assert "5 x 6" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert PassStore().kept() == []
    assert main(["cache", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "passes")
