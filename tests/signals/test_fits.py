"""Curves fitted to points, against values they were made of and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from napari_biofm.signals.fits import MODELS, fit_curve
from napari_biofm.types import RecordingError

X = {
    "exp1": np.arange(400) / 1e3, "exp2": np.arange(3000) / 1e4, "exp3": np.arange(20_000) / 1e4,
    "boltzmann": np.arange(-100.0, 40, 5), "boltzmann-iv": np.arange(-90.0, 60, 5), "hill": np.geomspace(0.01, 100, 16),
    "gaussian": np.linspace(-20, 60, 120), "line": np.linspace(-1, 4, 30),
}  # fmt: skip
TRUE = {
    "exp1": {"offset": -20, "size1": -80, "tau1": 0.045},
    "exp2": {"offset": 5, "size1": 60, "tau1": 0.004, "size2": 30, "tau2": 0.05},
    "exp3": {"offset": 1, "size1": 50, "tau1": 0.005, "size2": 40, "tau2": 0.06, "size3": 30, "tau3": 0.6},
    "boltzmann": {"bottom": 0.02, "top": 0.98, "half": -42, "slope": 6.5},
    "boltzmann-iv": {"conductance": 1.5, "reversal": 48, "half": -25, "slope": 6},
    "hill": {"bottom": 2, "top": 90, "ec50": 1.7, "n": 1.4},
    "gaussian": {"height": 35, "centre": 14, "sd": 6, "offset": 1},
    "line": {"slope": -2.5, "intercept": 0.7},
}


def made(model: str, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = X[model]
    y = MODELS[model].curve(x, **{k: float(v) for k, v in TRUE[model].items()})
    return x, y + noise * np.ptp(y) * np.random.default_rng(seed).normal(size=len(x))


@pytest.mark.parametrize("model", list(MODELS))
def test_parameters_come_back_within_their_errors(model: str) -> None:
    found = fit_curve(*made(model, 0.01), model)
    assert set(found.values) == set(TRUE[model]) and found.r2 > 0.98
    for one in found.parameters:
        assert abs(one.value - TRUE[model][one.name]) < 4 * one.error, one
    np.testing.assert_allclose(found.residual, found.y - found.best)


@pytest.mark.parametrize("model", ["boltzmann", "gaussian", "hill"])
def test_errors_are_those_of_scipy(model: str) -> None:
    x, y = made(model, 0.02, 3)
    found = fit_curve(x, y, model)
    _, covariance = curve_fit(MODELS[model].curve, x, y, list(TRUE[model].values()))
    by_name = dict(zip(TRUE[model], np.sqrt(np.diag(covariance)), strict=True))
    for one in found.parameters:
        assert one.error == pytest.approx(by_name[one.name], rel=0.05)


def test_inactivation_falls_and_exponentials_are_named_by_their_length() -> None:
    x, y = made("boltzmann", 0.01)
    fall = fit_curve(x, 1 - y, "boltzmann").values
    assert fall["half"] == pytest.approx(-42, abs=0.6) and fall["slope"] == pytest.approx(-6.5, rel=0.06)
    found = fit_curve(*made("exp3", 0.002), "exp3").values
    assert found["tau1"] < found["tau2"] < found["tau3"]


def test_what_cannot_be_fitted_says_so() -> None:
    with pytest.raises(RecordingError, match="3 points for a fit of exp2: give 7 or more"):
        fit_curve(np.arange(4.0), np.array([1.0, 2.0, np.nan, 4.0]), "exp2")
    with pytest.raises(RecordingError, match="no model 'cubic'; there are: exp1"):
        fit_curve(np.arange(9.0), np.arange(9.0), "cubic")
    with pytest.raises(RecordingError, match="doses above 0"):
        fit_curve(-np.arange(1.0, 9), np.arange(8.0), "hill")
