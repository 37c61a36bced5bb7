"""Dose and response: known curves are found, and a fit that means nothing says so."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.conditions.dose_plot import dose_svg
from napari_biofm.conditions.dose_response import fit_dose_response
from napari_biofm.conditions.plates import PlateMap
from napari_biofm.simulate.plate import simulate_plate
from napari_biofm.types import ConditionsError

DOSES = np.repeat([0.0, 0.01, 0.05, 0.25, 1.25, 6.25, 31.25], 3)


def response(ec50: float, hill: float, bottom: float, top: float, sd: float, seed: int = 0) -> np.ndarray:
    with np.errstate(divide="ignore"):
        clean = bottom + (top - bottom) / (1 + (ec50 / DOSES) ** hill)
    return clean + np.random.default_rng(seed).normal(0, sd, len(DOSES))


def test_a_curve_without_noise_is_found() -> None:
    fit = fit_dose_response(DOSES, response(0.7, 1.5, 2, 10, 1e-6))
    assert (fit.ec50, fit.hill, fit.bottom, fit.top) == pytest.approx((0.7, 1.5, 2, 10), rel=1e-3)
    assert fit.reason == "" and fit.r2 > 0.999 and fit.n == 21 and fit.n_doses == 6
    assert fit(0.7)[()] == pytest.approx(6, rel=1e-3)


def test_an_inhibition_has_a_negative_hill_slope_and_top_above_bottom() -> None:
    falling = 12 - response(0.7, 1.5, 2, 10, 1e-6)
    fit = fit_dose_response(DOSES, falling)
    assert (fit.ec50, fit.hill, fit.bottom, fit.top) == pytest.approx((0.7, -1.5, 2, 10), rel=1e-3)
    assert fit.hill_low <= fit.hill <= fit.hill_high < 0


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_units_of_the_response_do_not_matter(scale: float) -> None:
    fit = fit_dose_response(DOSES, scale * response(0.7, 1.5, 2, 10, 0.3))
    assert fit.ec50 == pytest.approx(fit_dose_response(DOSES, response(0.7, 1.5, 2, 10, 0.3)).ec50, rel=1e-3)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = []
    for seed in range(40):
        fit = fit_dose_response(DOSES, response(0.7, 1.2, 0, 1, 0.06, seed))
        inside.append(fit.ec50_low <= 0.7 <= fit.ec50_high)
    assert np.mean(inside) >= 0.85


def test_fits_that_mean_nothing_say_so() -> None:
    flat = [
        fit_dose_response(DOSES, np.random.default_rng(seed).normal(size=len(DOSES))) for seed in range(30)
    ]
    assert sum(fit.reason == "" for fit in flat) <= 2
    assert "does not change" in flat[0].reason and np.isnan(flat[0].ec50)
    assert "4 doses" in fit_dose_response([0, 1, 2, 3] * 3, range(12)).reason
    assert fit_dose_response(DOSES, np.ones(len(DOSES))).reason == "all responses are equal"
    beyond = fit_dose_response(DOSES, response(500, 1, 0, 10, 0.02))
    assert beyond.reason and np.isnan(beyond.ec50)
    below = fit_dose_response(DOSES[3:], response(0.0005, 1, 0, 10, 0.02)[3:])
    assert below.reason and np.isnan(below.ec50)
    with pytest.raises(ConditionsError, match="-1"):
        fit_dose_response([-1, 1], [1, 2])


def test_ec50_of_a_simulated_plate() -> None:
    errors, fitted_inactive = [], 0
    for seed in (0, 1):
        plate = simulate_plate(seed)
        cells, _ = biofm.join_conditions(plate.cells, PlateMap(plate.plate_map))
        wells = biofm.profiles(cells, ["event_rate"], classes="predicted", correct_edges=True).table
        table, _ = biofm.dose_response(wells, ["fraction_responding", "event_rate"])
        truth = plate.truth.set_index("compound")
        for row in table.itertuples():
            if truth.loc[row.compound, "active"]:
                assert row.reason == "" and row.dose_unit == "uM"
                errors.append(row.ec50 / truth.loc[row.compound, "ec50"] - 1)
            else:
                fitted_inactive += row.reason == ""
    assert np.median(np.abs(errors)) < 0.08 and np.max(np.abs(errors)) < 0.2 and fitted_inactive == 0


def test_series_by_replicate_and_what_is_missing() -> None:
    table = pd.DataFrame(
        {"compound": "x", "dose": DOSES, "replicate": ["1", "2", "3"] * 7, "y": response(1, 1, 0, 9, 0.1)}
    )
    table["control"] = np.where(table["dose"] == 0, "negative", "")
    rows, fits = biofm.dose_response(table, ["y"], ["compound", "replicate"])
    assert len(rows) == 3 and set(rows["n"]) == {7} and ("x", "2", "y") in fits
    with pytest.raises(ConditionsError, match="no column z"):
        biofm.dose_response(table, ["z"])
    with pytest.raises(ConditionsError, match="mg/mL and uM"):
        biofm.dose_response(table.assign(dose_unit=["uM"] * 20 + ["mg/mL"]), ["y"])


def test_the_plot_is_svg_with_a_circle_per_well_and_its_message() -> None:
    y = response(0.7, 1.5, 2, 10, 0.2)
    fit = fit_dose_response(DOSES, y)
    text = dose_svg(DOSES, y, fit, title="a <b> & c", unit="uM", value="rate")
    root = ET.fromstring(text)
    kinds = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert kinds.count("circle") == 21 and kinds.count("polyline") == 1 and f"EC50 {fit.ec50:.3g}" in text
    none = fit_dose_response(DOSES, np.ones(21))
    assert "no EC50: all responses are equal" in dose_svg(DOSES, np.ones(21), none)


def test_an_uneven_spread_is_weighted_and_intervals_still_hold_the_truth() -> None:
    clean, inside, powers, errors = response(0.7, 1.2, 0.5, 5, 1e-9), [], [], []
    for seed in range(60):
        noisy = clean * np.exp(np.random.default_rng(seed).normal(0, 0.15, len(DOSES)))
        fit = fit_dose_response(DOSES, noisy)
        if fit.reason == "":
            inside.append(fit.ec50_low <= 0.7 <= fit.ec50_high)
            powers.append(fit.spread_power)
            errors.append(abs(np.log(fit.ec50 / 0.7)))
    assert len(inside) > 50 and np.mean(inside) >= 0.88
    assert np.mean(np.array(powers) > 0) > 0.7 and np.median(powers) == pytest.approx(1, abs=0.3)
    even = [fit_dose_response(DOSES, response(0.7, 1.2, 1, 5, 0.3, seed)).spread_power for seed in range(40)]
    assert np.mean(np.array(even) > 0) < 0.2, "an even spread is rarely taken for an uneven one"
    assert fit_dose_response(DOSES, response(0.7, 1.2, -1, 5, 0.3)).spread_power == 0, (
        "below 0 there is no power"
    )
