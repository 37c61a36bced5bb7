"""Many recordings in one table, groups compared with respect for cells, fits between two times."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.events.collecting import groups_of, name_pattern
from napari_biofm.simulate.synaptic import Recorded, Wave, synaptic_trace
from napari_biofm.types import RecordingError

SIZES = {"wt_1_a": -30.0, "wt_2_a": -40.0, "ko_1_a": -60.0, "ko_2_b": -80.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cells of two genotypes, with 6 events each and different numbers of noise events."""
    path = tmp_path_factory.mktemp("cells")
    for seed, (name, size) in enumerate(SIZES.items()):
        n = 6 if name.startswith("wt_1") else 10
        truth = synaptic_trace(Wave(0.5e-3, 5e-3), size, Recorded(snr=20, n=n, seed=seed))
        np.savez(path / f"{name}.npz", signal=truth.values, sampling_rate=truth.sampling_rate, unit="pA")
    return path


def test_a_folder_becomes_one_table(folder: Path) -> None:
    made = biofm.collect([folder], names="{genotype}_{cell}_*", detector="template", kind="psc")
    table = made.table
    assert list(table)[:3] == ["file", "genotype", "cell"] and not made.failed
    assert {name: int(np.sum(table["file"] == f"{name}.npz")) for name in SIZES} == {
        "wt_1_a": 6, "wt_2_a": 10, "ko_1_a": 10, "ko_2_b": 10,
    }  # fmt: skip
    for name, size in SIZES.items():
        rows = table["file"] == f"{name}.npz"
        assert np.median(table["amplitude"][rows]) == pytest.approx(size, rel=0.03)
        assert set(table["genotype"][rows]) == {name[:2]}


def test_each_file_counts_once_in_its_group(folder: Path) -> None:
    by_file = biofm.collect(
        [folder], rows="file", names="{genotype}_{cell}_*", detector="template", kind="psc"
    ).table
    assert by_file["n"].tolist() == [10, 10, 6, 10] and by_file["genotype"].tolist() == [
        "ko",
        "ko",
        "wt",
        "wt",
    ]
    group = biofm.collect(
        [folder], rows="group", names="{genotype}_{cell}_*", detector="template", kind="psc"
    ).table
    assert group["genotype"].tolist() == ["ko", "wt"] and group["n"].tolist() == [2, 2]
    np.testing.assert_allclose(
        group["amplitude"], [by_file["amplitude"][:2].mean(), by_file["amplitude"][2:].mean()]
    )
    assert group["amplitude"][1] == pytest.approx(-35, rel=0.03)  # not the mean of all 16 events
    features = biofm.collect([folder], what="features", rows="sweep", detector="template", kind="psc").table
    assert features["psc_n_events"].tolist() == [10, 10, 6, 10] and set(features["row"]) == {"sweep"}


def test_the_command_line_collects_goes_past_bad_files_and_compares(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "ko_9_x.npz"
    bad.write_bytes(b"no archive")
    out, said = tmp_path / "events.csv", tmp_path / "stats.csv"
    call = ["collect", str(folder), str(bad), "--out", str(out), "--names", "{genotype}_{cell}_*"]
    assert main([*call, "--detector", "template", "--kind", "psc"]) != 0  # told, and the others are there
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36 and {row["genotype"] for row in rows} == {"wt", "ko"}
    assert main(["compare", str(out), "--value", "amplitude", "--group", "genotype", "--out", str(said)]) == 0
    with said.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["first"], row["cells_first"], row["n_second"]) == ("ko", "2", "16")
    assert float(row["difference"]) == pytest.approx(35, rel=0.05)


def test_names_say_their_groups_or_that_they_do_not() -> None:
    pattern = name_pattern("{genotype}-{day}_cell*")
    assert groups_of(pattern, Path("wt-3_cell07.abf")) == {"genotype": "wt", "day": "3"}
    with pytest.raises(RecordingError, match=r"x\.abf: the name is not of the pattern"):
        groups_of(pattern, Path("x.abf"))
    with pytest.raises(RecordingError, match="name each field once"):
        name_pattern("cell*")


def test_cells_are_compared_not_events() -> None:
    rng = np.random.default_rng(4)
    cells = np.repeat([f"c{k}" for k in range(8)], 200)
    groups = np.repeat(["a", "b"], 800)
    level = np.repeat(rng.normal(0, 5, 8), 200)  # cells differ, groups do not
    values = 20 + level + rng.normal(0, 2, 1600)
    (found,) = biofm.compare_groups({"v": values, "g": groups, "file": cells}, "v", group="g")
    assert found.ks_p < 1e-6 and found.u_p < 1e-3  # over events anything is significant
    assert found.mixed_p > 0.05 and found.cells_p > 0.05
    means = [values[cells == f"c{k}"].mean() for k in range(8)]
    assert found.difference == pytest.approx(
        np.mean(means[4:]) - np.mean(means[:4]), rel=1e-3
    )  # balanced cells
    assert found.cells_p == pytest.approx(stats.mannwhitneyu(means[:4], means[4:]).pvalue)
    assert found.ks == pytest.approx(stats.ks_2samp(values[:800], values[800:]).statistic)
    (other,) = biofm.compare_groups(
        {"v": values + 20 * (groups == "b"), "g": groups, "file": cells}, "v", group="g"
    )
    assert other.mixed_p < 0.01 and other.low < other.difference < other.high
    with pytest.raises(RecordingError, match="no column 'w'"):
        biofm.compare_groups({"v": values, "g": groups, "file": cells}, "w", group="g")


def test_a_decay_is_fitted_between_two_times(folder: Path, tmp_path: Path) -> None:
    path, out, curve = folder / "ko_2_b.npz", tmp_path / "fit.csv", tmp_path / "curve.csv"
    events = biofm.detect_events(path, detector="template", kind="psc")
    start = float(events["time_s"][3]) + 1e-3
    found = biofm.fit_between(path, start, start + 0.04, "exp1")
    assert found.values["tau1"] == pytest.approx(5e-3, rel=0.1)
    call = [
        "fit",
        str(path),
        "--model",
        "exp1",
        "--from",
        str(start),
        "--to",
        str(start + 0.04),
        "--out",
        str(out),
    ]
    assert main([*call, "--curve", str(curve)]) == 0
    with out.open(newline="") as file:
        rows = {row["parameter"]: float(row["value"]) for row in csv.DictReader(file)}
    assert rows["tau1"] == pytest.approx(found.values["tau1"], rel=1e-6)
    assert (
        main(["fit", str(curve), "--model", "exp1", "--x", "x", "--y", "y", "--out", str(tmp_path / "2.csv")])
        == 0
    )
    with pytest.raises(RecordingError, match="no sample"):
        biofm.fit_between(path, 1e6, 2e6)
