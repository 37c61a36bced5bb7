"""Analyses as descriptions: parameters are checked, verbs and functions give the same table, figures are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.analyses.description import Analysis, Column, Result, Source, option
from napari_biofm.analyses.registry import analyses, analysis
from napari_biofm.analyses.running import command_of
from napari_biofm.cli import build_parser, main
from napari_biofm.types import BiofmError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Some:
    """Parameters of every kind."""

    window_s: float = option(0.5, "Length.", unit="s", low=0, high=2)
    cells: int | None = option(None, "How many.", low=1)
    mode: Literal["up", "down"] = option("up", "Direction.")
    both: bool = option(False, "Both ways.")


SOME = Analysis("some", "Some", "Tests", "Nothing.", ("table",), lambda source, p: Result(()), Some)


def test_parameters_are_checked_against_kind_limits_and_choices() -> None:
    made = SOME.made({"window_s": "1.5", "cells": 3, "mode": "down", "both": True})
    assert made == Some(1.5, 3, "down", True)
    assert SOME.made({"cells": ""}) == Some()
    for given, words in (
        ({"window_s": "long"}, "give a number"),
        ({"window_s": 3}, "0 to 2 s"),
        ({"cells": 1.5}, "whole number"),
        ({"cells": 0}, "1 or more"),
        ({"mode": "left"}, "up, down"),
        ({"windows_s": 1}, "did you mean 'window_s'"),
        ({"window_s": float("nan")}, "0 to 2 s"),
    ):
        with pytest.raises(BiofmError, match=words):
            SOME.made(given)


def test_a_command_repeats_what_differs_from_the_defaults() -> None:
    made = SOME.made({"window_s": 1.5, "both": True})
    assert (
        command_of(SOME, made, ["my cell.abf"])
        == "napari-biofm some 'my cell.abf' --window-s 1.5 --both --out table.csv"
    )


def test_headers_carry_units() -> None:
    for unit, header in (
        ("pA", "size_pA"), ("pA/pF", "size_pA_per_pF"), ("%", "size_percent"), ("", "size"),
    ):  # fmt: skip
        assert Column("size", np.zeros(1), unit).header == header
    assert Column("time_s", np.zeros(1), "s").header == "time_s"


def test_every_analysis_is_whole_and_on_the_page() -> None:
    page = (ROOT / "docs" / "analyses.md").read_text(encoding="utf-8")
    (verbs,) = (a.choices for a in build_parser()._actions if isinstance(a.choices, dict))
    for one in analyses().values():
        assert one.help.endswith(".") and one.methods, one.name
        assert f"`{one.name}`" in page, one.name
        assert all(o.help.endswith(".") and o.name.islower() for o in one.options), one.name
        assert one.name in verbs
        call = command_of(one, one.made({}), ["x.abf"])
        assert call == f"napari-biofm {one.name} x.abf --out table.csv"


def test_the_verb_writes_what_the_function_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.arange(10.0)
    table = {"x": x, "y": 3 * x + 1 + 0.1 * np.cos(x)}
    (tmp_path / "t.csv").write_text("x,y\n" + "\n".join(f"{a},{b}" for a, b in zip(*table.values())))
    call = ["fit-columns", str(tmp_path / "t.csv"), "--model", "line"]
    figures = [tmp_path / name for name in ("f.svg", "f.pdf", "f.png")]
    for figure in figures:
        assert main([*call, "--out", str(tmp_path / "out.csv"), "--figure", str(figure)]) == 0
    rows = (tmp_path / "out.csv").read_text().splitlines()
    result = biofm.analyse("fit-columns", table, model="line")
    slope = dict(zip(result.table["parameter"], result.table["value"]))["slope"]
    assert rows[0] == "parameter,value,error" and float(rows[1].split(",")[1]) == pytest.approx(
        slope, rel=1e-8
    )
    assert slope == pytest.approx(np.polyfit(x, table["y"], 1)[0])
    assert "<text" in figures[0].read_text() and figures[1].read_bytes().startswith(b"%PDF")
    svg = figures[0].read_bytes()
    assert main([*call, "--out", str(tmp_path / "out.csv"), "--figure", str(figures[0])]) == 0
    assert figures[0].read_bytes() == svg, "the same call gives the same figure"
    capsys.readouterr()
    assert main([*call, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["columns"]["value"]["values"][0] == pytest.approx(slope) and "lmfit" in told["methods"]
    assert main([*call, "--x", "z", "--out", str(tmp_path / "no.csv")]) == 1
    assert "no column 'z' in t.csv; there are: x, y" in capsys.readouterr().err
    assert not (tmp_path / "no.csv").exists()


def test_own_verbs_and_their_analyses_give_the_same_numbers(tmp_path: Path) -> None:
    t = np.arange(2000) / 10_000
    sweep = (50 * np.exp(-t / 0.02) - 5).astype(np.float32)
    np.savez(tmp_path / "a.npz", signal=sweep, sampling_rate=10_000.0, unit="pA")
    call = ["fit", str(tmp_path / "a.npz"), "--from", "0", "--to", "0.19", "--model", "exp1"]
    assert main([*call, "--out", str(tmp_path / "fit.csv")]) == 0
    result = biofm.analyse("fit", tmp_path / "a.npz", start_s=0, stop_s=0.19)
    fitted = dict(zip(result.table["parameter"], result.table["value"]))
    assert fitted["tau1"] == pytest.approx(0.02, rel=1e-4)
    rows = dict(line.split(",")[:2] for line in (tmp_path / "fit.csv").read_text().splitlines()[1:])
    assert float(rows["tau1"]) == pytest.approx(fitted["tau1"], rel=1e-8)
    with pytest.raises(BiofmError, match="two times"):
        biofm.analyse("fit", tmp_path / "a.npz")
    with pytest.raises(BiofmError, match="no analysis 'fits'"):
        analysis("fits")
    with pytest.raises(BiofmError, match="open one first"):
        biofm.analyse("fit", Source(), start_s=0, stop_s=1)
