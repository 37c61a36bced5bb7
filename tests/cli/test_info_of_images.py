"""`info` on images: what the file says, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.cli import main


def test_a_movie_of_imagej_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "movie.tif"
    metadata = {"axes": "TYX", "finterval": 0.1, "unit": "um"}
    tifffile.imwrite(
        path, np.zeros((5, 8, 9), np.uint16), imagej=True, resolution=(2.0, 2.0), metadata=metadata
    )
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["shape"] == [5, 8, 9] and told["axes"] == "TYX" and told["dtype"] == "uint16"
    assert told["frame_rate_hz"] == pytest.approx(10)
    assert told["pixel_size_um"] == pytest.approx([0.5, 0.5])
    assert main(["info", str(path)]) == 0
    words = capsys.readouterr().out
    assert "5 x 8 x 9 (TYX)" in words and "10 Hz" in words and "0.5 x 0.5 um" in words


def test_what_the_file_does_not_say_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.zeros((8, 9), np.uint8))
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pixel_size_um"] is None and told["frame_rate_hz"] is None


def test_a_damaged_image_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\0nothing")
    assert main(["info", str(path)]) != 0
    assert "broken.tif" in capsys.readouterr().err
