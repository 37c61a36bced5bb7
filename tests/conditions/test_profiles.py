"""Profiles, hits, activity, fractions and edge effects on a plate whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.conditions.activity import activity
from napari_biofm.conditions.fractions import class_fractions
from napari_biofm.conditions.hits import edge_effect, edge_wells, hits, without_edge_effect
from napari_biofm.conditions.plates import PlateMap
from napari_biofm.conditions.profiles import Profiles, normalised, well_profiles
from napari_biofm.conditions.statistics import benjamini_hochberg
from napari_biofm.simulate.plate import SimulatedPlate, simulate_plate
from napari_biofm.types import ConditionsError

BY = ["compound", "dose"]


@pytest.fixture(scope="module")
def plate() -> SimulatedPlate:
    return simulate_plate(3)


@pytest.fixture(scope="module")
def cells(plate: SimulatedPlate) -> pd.DataFrame:
    rows, join = biofm.join_conditions(plate.cells, PlateMap(plate.plate_map))
    assert join.n_matched == 96 and not join.unused
    return rows


@pytest.fixture(scope="module")
def found(cells: pd.DataFrame) -> Profiles:
    return biofm.profiles(cells, classes="predicted", correct_edges=True)


def test_wells_hold_the_median_of_their_cells(cells: pd.DataFrame, plate: SimulatedPlate) -> None:
    raw = well_profiles(cells, ["f1"], classes="predicted")
    assert len(raw.table) == 94 and "2 wells have fewer than 10 cells" in raw.notes[0]
    assert all(well in raw.notes[0] for well in plate.dead)
    row = raw.table.iloc[5]
    of_well = cells[cells["well"] == row["well"]]
    assert row["f1"] == np.median(of_well["f1"]) and row["n_cells"] == len(of_well)
    assert row["f1_mad"] == np.median(np.abs(of_well["f1"] - row["f1"]))
    assert row["fraction_responding"] == (of_well["predicted"] == "responding").mean()
    assert row["compound"] == of_well["compound"].iloc[0]


def test_controls_have_middle_0_and_spread_1(found: Profiles, cells: pd.DataFrame) -> None:
    controls = found.table[found.table["control"] == "negative"]
    for value in found.normalised:
        z = controls[f"{value}_z"]
        assert abs(z.median()) < 1e-9 and np.median(np.abs(z)) == pytest.approx(1 / 1.4826, rel=1e-6)
    sphered = biofm.profiles(cells, ["f0", "f1", "f2", "event_rate"], normalise="sphering")
    z = sphered.table.loc[sphered.table["control"] == "negative", [f"{v}_z" for v in sphered.normalised]]
    covariance = np.cov(z.to_numpy().T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.5 and np.abs(z.mean()).max() < 1e-9


def test_replicates_of_active_compounds_are_found_and_of_inactive_ones_not(found: Profiles) -> None:
    rows = activity(found, BY)
    high = rows[(rows["dose"] > 6) & (rows["compound"] != "compound 4")]
    none = rows[rows["compound"] == "compound 4"]
    assert high["map"].min() > 0.9 and (high["q"] <= 0.05).all()
    assert abs(none["map"].mean() - none["map_by_chance"].mean()) < 0.15 and not (none["q"] <= 0.05).any()


def test_activity_has_no_false_ones_in_controls_alone() -> None:
    rng = np.random.default_rng(0)
    p = []
    for _ in range(40):
        z = pd.DataFrame(rng.normal(size=(21, 5)), columns=[f"f{i}_z" for i in range(5)])
        table = z.assign(compound=["x"] * 3 + [""] * 18, control=[""] * 3 + ["negative"] * 18, well="A01")
        p.append(activity(Profiles(table, tuple(f"f{i}" for i in range(5))), ["compound"])["p"].iloc[0])
    assert np.mean(np.array(p) <= 0.05) <= 0.1 and 0.35 < np.mean(p) < 0.65


def test_hits_are_the_active_compounds(found: Profiles) -> None:
    rows = hits(found, BY)
    high = rows[(rows["dose"] > 6) & (rows["value"] == "fraction_responding")].set_index("compound")
    assert high.loc[["compound 1", "compound 2", "compound 3"], "hit"].all()
    assert rows.loc[rows["compound"] == "compound 4", "hit"].mean() <= 0.05
    assert set(rows["unit"]) == {"well"} and rows["n"].max() <= 3
    one = high.loc["compound 1"].iloc[0]
    assert one["low"] < one["difference"] < one["high"]


def test_the_donor_is_the_unit_where_there_are_donors(found: Profiles) -> None:
    donors = found.table.assign(donor=[f"d{i % 3}" for i in range(len(found.table))])
    rows = hits(Profiles(donors, found.values), ["compound"], ["event_rate"])
    assert set(rows["unit"]) == {"donor"} and rows["n"].max() == 3


def test_edge_effects_are_found_and_taken_away(cells: pd.DataFrame) -> None:
    raw = well_profiles(cells, ["f0", "f5"], classes="predicted")
    rows = edge_effect(raw).set_index("value")
    assert rows.loc["f0", "difference"] == pytest.approx(0.3, abs=0.06) and rows.loc["f0", "q"] < 1e-6
    assert rows.loc["fraction_responding", "difference"] == pytest.approx(0.3, abs=0.1)
    assert rows.loc["f5", "q"] > 0.05
    after = without_edge_effect(raw)
    assert edge_effect(after).set_index("value").loc["f0", "p"] > 0.5
    assert any("f0 of edge wells was lowered by 0.3" in note for note in after.notes)
    assert edge_wells(raw.table).sum() == sum(
        w[0] in "AH" or w[1:] in ("01", "12") for w in raw.table["well"]
    )


def test_intervals_of_fractions_know_wells_not_cells(cells: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        shares = np.clip(rng.normal(0.4, 0.1, 4), 0, 1)
        made = pd.DataFrame({
            "well": np.repeat(["A01", "A02", "A03", "A04"], 200), "compound": "x",
            "state": np.where(rng.random(800) < np.repeat(shares, 200), "a", "b"),
        })  # fmt: skip
        row = class_fractions(made, "state", ["compound"]).iloc[0]
        inside.append(row["low"] <= 0.4 <= row["high"])
    assert 0.88 <= np.mean(inside) <= 1.0  # an interval that took 800 cells as n would hold about half
    rows = class_fractions(cells, "predicted", BY)
    assert (rows["n_units"] == rows["n_wells"]).all() and (rows["low"] <= rows["fraction"]).all()


def test_one_well_has_no_interval_and_agreement_on_0_has_a_wide_one() -> None:
    one = pd.DataFrame({"well": "A01", "compound": "x", "state": ["a", "b", "b", ""]})
    row = class_fractions(one, "state", ["compound"]).iloc[0]
    assert row["fraction"] == pytest.approx(1 / 3) and np.isnan(row["low"])
    three = pd.DataFrame(
        {"well": ["A01", "A02", "A03", "B01"], "compound": list("xxxy"), "state": list("aaab")}
    )
    row = class_fractions(three, "state", ["compound"]).query("compound == 'x' and `class` == 'b'").iloc[0]
    assert row["fraction"] == 0 and row["low"] == 0 and 0.3 < row["high"] < 0.7


def test_benjamini_hochberg() -> None:
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(0).random(20)
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    assert np.isnan(benjamini_hochberg([0.1, np.nan])[1]) and benjamini_hochberg([0.1, np.nan])[0] == 0.1


def test_what_is_missing_is_named(cells: pd.DataFrame, found: Profiles) -> None:
    with pytest.raises(ConditionsError, match="no column well"):
        well_profiles(cells.drop(columns="well"))
    with pytest.raises(ConditionsError, match="no column nothing"):
        well_profiles(cells, ["nothing"])
    with pytest.raises(ConditionsError, match="compound holds text"):
        well_profiles(cells, ["compound"])
    with pytest.raises(ConditionsError, match="No well has 9999 cells"):
        well_profiles(cells, min_cells=9999)
    with pytest.raises(ConditionsError, match="Plate P1 has 0 wells of negative controls"):
        normalised(well_profiles(cells[cells["control"] == ""], ["f1"]))
    with pytest.raises(ConditionsError, match="no column guide"):
        hits(found, ["guide"])
