"""The worked example, from the sample to what it leaves, as the README calls it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from napari_biofm.batch.run import run_recipe
from napari_biofm.events.table import join, to_csv
from napari_biofm.types import MEASURED_DTYPE, Events


def test_the_demo_walks_every_dock_and_leaves_picture_tables_and_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "napari_biofm.cli", "demo", "--headless", "--out", str(out)]
    as_users = {k: v for k, v in os.environ.items() if k != "NAPARI_BIOFM_ENGINE"}  # models in the worker
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=as_users)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["cells"] == 30 and report["named_by_hand"] == 15
    right, _, asked = report["rest_predicted_right"].partition(" of ")
    assert int(asked) == 15 and int(right) >= 13
    assert abs(report["offset_s"] - report["true_offset_s"]) < 0.025, "half a frame"
    assert report["events in current_clamp.abf"] > 0 and report["events in voltage_clamp.abf"] > 0
    assert len(report["links"]) == 1
    assert report["torch_in_gui"] is False
    with (out / "cells.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 30
    with (out / "events.csv").open(encoding="utf-8", newline="") as file:
        assert {"time_s", "class", "score"} <= set(next(csv.DictReader(file)))
    assert (out / "screenshot.png").stat().st_size > 20_000
    assert_recipes_make_the_tables_again(out)


def assert_recipes_make_the_tables_again(out: Path) -> None:
    """Recipes that the docks saved after the clicks give the tables of the clicks, to the last bit."""
    cells = pd.read_csv(out / "cells.csv", float_precision="round_trip", keep_default_na=False)
    again = run_recipe(out / "cells.toml")
    assert not again.failed, again.failed[0]["error"]
    made = pd.read_parquet(again.out / "cells.parquet")
    for column, same in (
        ("label", "label"), ("area", "area_px"), ("centroid-0", "centroid_y_px"), ("predicted", "class"),
        ("mean_intensity", "calcium movie_mean"), ("probability", "probability"),
    ):  # fmt: skip
        assert cells[column].tolist() == made[same].tolist(), column
    np.testing.assert_allclose(made["area_um2"], 0.65**2 * made["area_px"], rtol=1e-6)
    events = [read_events(run_recipe(out / f"{name}_clamp.toml").out) for name in ("current", "voltage")]
    assert to_csv(join(events)) == (out / "events.csv").read_text(encoding="utf-8")


def read_events(out: Path) -> Events:
    found = pd.read_parquet(out / "events.parquet")
    table = np.zeros(len(found), MEASURED_DTYPE)
    for name in table.dtype.names or ():
        table[name] = found[name]
    return table
