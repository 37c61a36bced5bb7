"""Dose and response: the four-parameter logistic, its intervals, and whether it means anything.

    response = bottom + (top - bottom) / (1 + (EC50 / dose) ** hill)

`bottom` is below `top`; a response that falls with the dose has a negative `hill`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

Column = NDArray[np.float64]
MIN_DOSES = 4  # different doses above 0 that four parameters ask for
POWERS = np.round(np.arange(0, 1.55, 0.1), 1)  # of the response, that the spread may grow with
LIKELIER = (
    3.84  # twice the log likelihood ratio that an uneven spread needs (p = 0.05, one degree of freedom)
)
LEAST_SHARE = 0.05  # of the largest response; smaller ones weigh no more
MOST_LEVERAGE = 0.9
NAN = float("nan")


@dataclass(frozen=True)
class DoseFit:
    """A fitted curve.

    Attributes
    ----------
    ec50, hill, top, bottom : parameters; NaN where `reason` says why the fit means nothing. `ec50` is in the unit of
        the doses.
    ec50_low, ec50_high, hill_low, hill_high, top_low, top_high, bottom_low, bottom_high : 95 % intervals.
    p : of the F test against a response that does not change with the dose.
    r2 : share of the variance the curve explains.
    n, n_doses : values, and different doses above 0.
    spread_power : the spread of values was taken to grow with this power of the response; 0 for an even spread.
    reason : why the fit means nothing; empty where it does.
    fitted : the parameters (at zero dose, at infinite dose, log10 EC50, hill > 0) for drawing; empty for no fit.
    """

    ec50: float = NAN
    ec50_low: float = NAN
    ec50_high: float = NAN
    hill: float = NAN
    hill_low: float = NAN
    hill_high: float = NAN
    top: float = NAN
    top_low: float = NAN
    top_high: float = NAN
    bottom: float = NAN
    bottom_low: float = NAN
    bottom_high: float = NAN
    p: float = NAN
    r2: float = NAN
    n: int = 0
    n_doses: int = 0
    reason: str = ""
    fitted: tuple[float, ...] = ()
    spread_power: float = 0.0

    def __call__(self, dose: ArrayLike) -> Column:
        """Return the response of the curve at doses."""
        return curve(np.asarray(dose, float), *self.fitted)


def curve(dose: Column, at_zero: float, at_infinity: float, log_ec50: float, hill: float) -> Column:
    """Return the logistic at doses of 0 and more."""
    with np.errstate(divide="ignore"):
        power = hill * (np.log10(dose) - log_ec50)
    return at_zero + (at_infinity - at_zero) / (1 + 10.0 ** np.clip(-power, -300, 300))


def fit_dose_response(dose: ArrayLike, response: ArrayLike) -> DoseFit:
    """Fit the four-parameter logistic by least squares; wells (not cells) are the values.

    Where all responses are above 0 and their spread is seen to grow with the response (likelihood ratio, p < 0.05), values are
    weighted by a power of the fitted response (Davidian and Carroll, J Am Stat Assoc 82:1079, 1987). Intervals are the wider of
    those for an even spread and those that hold for any (HC3; MacKinnon and White, J Econometrics 29:305, 1985).

    Parameters
    ----------
    dose : (n,) of 0 and more; values at 0 (controls) hold the plateau of no dose.
    response : (n,) any number.

    Returns
    -------
    DoseFit
        With `reason` where there are too few doses, no change with the dose, an EC50 outside of the tested doses or
        one that the values do not determine.
    """
    x, y = np.asarray(dose, float).ravel(), np.asarray(response, float).ravel()
    if len(x) != len(y):
        raise ConditionsError(f"{len(x)} doses and {len(y)} responses; there must be as many of both.")
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if (x < 0).any():
        raise ConditionsError(f"A dose of {x.min():g}; doses are 0 or more.")
    tested = np.unique(x[x > 0])
    counts = {"n": len(x), "n_doses": len(tested)}
    if len(tested) < MIN_DOSES or len(x) < 6:
        return DoseFit(
            n=len(x),
            n_doses=len(tested),
            reason=f"{len(tested)} doses and {len(x)} values; 4 doses and 6 values are needed",
        )
    spread = float(((y - y.mean()) ** 2).sum())
    if spread <= 1e-24 * max(float((y**2).sum()), 1e-300):
        return DoseFit(n=len(x), n_doses=len(tested), reason="all responses are equal")
    low, reach = float(y.min()), float(np.ptp(y))
    spread /= reach**2
    scaled = (y - low) / reach
    found, jacobian, left = _least_squares(x, scaled, tested)
    free = len(x) - 4
    left = max(left, 1e-12 * spread)
    f = ((spread - left) / 3) / (left / free)
    from scipy import stats

    p, r2 = float(stats.f.sf(f, 3, free)), 1 - left / spread
    weights, power = np.ones(len(x)), 0.0
    if low > 0 and p < 0.05:
        weights, power = spread_weights(y, low + reach * curve(x, *found))
        if power > 0:
            found, jacobian, left = _refit(x, scaled, weights, found, tested)
    errors = _standard_errors(jacobian, weights * (curve(x, *found) - scaled), 1e-12 * spread)
    errors *= float(stats.t.ppf(0.975, free))
    lost = np.abs(jacobian).max(axis=0) < 1e-9 * np.sqrt(spread)
    errors[lost] = np.inf  # values say nothing of such a parameter
    reason = _reason(found, errors, tested, p)
    scales = np.array([reach, reach, 1.0, 1.0])
    fit = _described(found * scales + [low, low, 0, 0], errors * scales, counts, p, r2, reason)
    return replace(fit, spread_power=power)


def spread_weights(y: Column, fitted: Column) -> tuple[Column, float]:
    """Return weights of values whose spread grows with a power of the response, and that power; ones and 0 for an even spread.

    Parameters
    ----------
    y : (n,) above 0.
    fitted : (n,) of an unweighted curve.
    """
    mean = np.maximum(fitted, LEAST_SHARE * float(fitted.max()))
    mean = mean / float(np.exp(np.log(mean).mean()))
    left = (y - fitted) ** 2
    if float(left.sum()) <= 1e-20 * float((y**2).sum()):
        return np.ones(len(y)), 0.0
    cost = np.array([len(y) * np.log(np.mean(left / mean ** (2 * power))) for power in POWERS])
    best = int(cost.argmin())  # the product of all means is 1, so that twice the log likelihood is -cost
    if cost[0] - cost[best] < LIKELIER:
        return np.ones(len(y)), 0.0
    return mean ** -POWERS[best], float(POWERS[best])


def _refit(
    x: Column, y: Column, weights: Column, start: Column, tested: Column
) -> tuple[Column, Column, float]:
    from scipy.optimize import least_squares

    low, high = np.log10(tested[0]), np.log10(tested[-1])
    bounds = ([-4.0, -4.0, low - 2, 0.1], [5.0, 5.0, high + 2, 10.0])
    done = least_squares(
        lambda parameters: weights * (curve(x, *parameters) - y), start, bounds=bounds, max_nfev=300
    )
    return done.x, done.jac, float(2 * done.cost)


def _standard_errors(jacobian: Column, residuals: Column, least: float) -> Column:
    """Return standard errors of parameters: the larger of those for an even spread and of HC3."""
    inverse = np.linalg.pinv(jacobian.T @ jacobian)
    n, k = jacobian.shape
    even = inverse * max(float((residuals**2).sum()), least) / (n - k)
    leverage = np.clip(np.einsum("ij,jk,ik->i", jacobian, inverse, jacobian), 0, MOST_LEVERAGE)
    meat = jacobian.T * (residuals / (1 - leverage)) ** 2 @ jacobian
    return np.sqrt(np.maximum(np.diag(even), np.diag(inverse @ meat @ inverse)))


def _least_squares(x: Column, y: Column, tested: Column) -> tuple[Column, Column, float]:
    """Fit responses of 0 to 1: the best of a grid of EC50 and slopes, whose plateaus follow, then all four."""
    from scipy.optimize import least_squares

    low, high = np.log10(tested[0]), np.log10(tested[-1])
    best, start = np.inf, np.array([y[0], y[-1], (low + high) / 2, 1.0])
    for middle in np.linspace(low - 0.5, high + 0.5, 25):
        for hill in (0.3, 0.6, 1.0, 1.5, 2.5, 5.0):
            share = curve(x, 0.0, 1.0, middle, hill)
            design = np.stack([1 - share, share], axis=1)
            plateaus = np.linalg.lstsq(design, y, rcond=None)[0]
            cost = float(((design @ plateaus - y) ** 2).sum())
            if cost < best and np.abs(plateaus).max() < 4:
                best, start = cost, np.array([*plateaus, middle, hill])
    bounds = ([-4.0, -4.0, low - 2, 0.1], [5.0, 5.0, high + 2, 10.0])
    done = least_squares(lambda parameters: curve(x, *parameters) - y, start, bounds=bounds, max_nfev=300)
    return done.x, done.jac, float(2 * done.cost)


def _reason(found: Column, errors: Column, tested: Column, p: float) -> str:
    zero, infinity, log_ec50, _ = found
    if not p < 0.05:
        return f"the response does not change with the dose (F test, p = {p:.2g})"
    if not np.log10(tested[0]) <= log_ec50 <= np.log10(tested[-1]):
        side = "above" if log_ec50 > np.log10(tested[-1]) else "below"
        return f"half of the effect lies {side} the tested doses, {tested[0]:g} to {tested[-1]:g}"
    if not errors[2] < 1.0:
        return "the EC50 is not determined: its interval spans more than a factor of 10 to each side"
    if not errors[1] < abs(infinity - zero):
        return "the plateau at high doses is not reached, so that EC50 and top are not determined"
    return ""


def _described(
    found: Column, errors: Column, counts: dict[str, int], p: float, r2: float, reason: str
) -> DoseFit:
    fitted = tuple(float(v) for v in found)
    if reason:
        return DoseFit(n=counts["n"], n_doses=counts["n_doses"], p=p, r2=r2, reason=reason, fitted=fitted)
    zero, infinity, log_ec50, hill = fitted
    rises = infinity >= zero
    top, bottom = (1, 0) if rises else (0, 1)
    sign = 1.0 if rises else -1.0
    slopes = sorted((sign * (hill - errors[3]), sign * (hill + errors[3])))
    return DoseFit(
        10**log_ec50, 10 ** (log_ec50 - errors[2]), 10 ** (log_ec50 + errors[2]),
        sign * hill, float(slopes[0]), float(slopes[1]),
        fitted[top], fitted[top] - float(errors[top]), fitted[top] + float(errors[top]),
        fitted[bottom], fitted[bottom] - float(errors[bottom]), fitted[bottom] + float(errors[bottom]),
        p, r2, counts["n"], counts["n_doses"], "", fitted,
    )  # fmt: skip


def dose_responses(
    wells: DataFrame, values: Sequence[str], by: Sequence[str] = ("compound",)
) -> tuple[DataFrame, dict[tuple[str, ...], DoseFit]]:
    """Fit every value of every compound; negative controls stand at dose 0 of each.

    Parameters
    ----------
    wells : one row per well, with `dose`, `control` and the columns of `by`.
    values : columns to fit.
    by : columns that make a series of doses: compound, and replicate or donor to fit each by itself.

    Returns
    -------
    table : DataFrame
        The series, `value`, `dose_unit`, and the parameters of `DoseFit`.
    fits : dict
        The fits by (series ..., value).
    """
    import pandas as pd

    missing = [c for c in ("dose", *by, *values) if c not in wells]
    if missing or not values or not by:
        raise ConditionsError(
            f"The table has no column {', '.join(missing) or 'to fit'}; there are {', '.join(wells)}."
        )
    rows, fits = [], {}
    treated = wells[~_controls(wells) & (wells["dose"] > 0)]
    for key, _ in treated.groupby(list(by), sort=True):
        names = tuple(str(k) for k in (key if isinstance(key, tuple) else (key,)))
        for value in values:
            x, y, unit = series(wells, by, names, value)
            fit = fits[(*names, value)] = fit_dose_response(x, y)
            found = {k: v for k, v in asdict(fit).items() if k != "fitted"}
            rows.append(dict(zip(by, names, strict=True)) | {"value": value, "dose_unit": unit} | found)
    if not rows:
        raise ConditionsError("No row has a dose above 0.")
    return pd.DataFrame(rows), fits


def series(wells: DataFrame, by: Sequence[str], key: Sequence[str], value: str) -> tuple[Column, Column, str]:
    """Return doses, responses and the unit of one series; negative controls stand at dose 0.

    Raises
    ------
    ConditionsError
        If the doses of the series have several units.
    """
    here = np.ones(len(wells), bool)
    of_controls = _controls(wells)
    own = of_controls.copy()
    for column, name in zip(by, key, strict=True):
        here &= (wells[column].astype(str) == name).to_numpy()
        if column != "compound":
            own &= (wells[column].astype(str) == name).to_numpy()
    group = wells[here & ~of_controls & (wells["dose"] > 0).to_numpy()]
    units = sorted(set(group["dose_unit"].astype(str))) if "dose_unit" in group else [""]
    if len(units) > 1:
        raise ConditionsError(
            f"{' '.join(key)}: doses are in {' and '.join(units)}; convert them to one unit."
        )
    x = np.concatenate([group["dose"].to_numpy(float), np.zeros(int(own.sum()))])
    return x, np.concatenate([group[value].to_numpy(float), wells[own][value].to_numpy(float)]), units[0]


def _controls(wells: DataFrame) -> NDArray[np.bool_]:
    if "control" not in wells:
        return np.zeros(len(wells), bool)
    return (wells["control"].astype(str) == "negative").to_numpy()
