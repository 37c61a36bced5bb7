"""Curves fitted to samples or to points of a table by least squares, with errors of the parameters (lmfit)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import RecordingError

Floats = NDArray[np.float64]
Start = Callable[
    [Floats, Floats], dict[str, tuple[float, float, float]]
]  # value, lowest, highest of each parameter


@dataclass(frozen=True)
class Model:
    """A curve that can be fitted.

    Attributes
    ----------
    formula : as a person writes it.
    curve : of x and the parameters by name.
    start : where a fit of x and y begins, and the bounds.
    """

    formula: str
    curve: Callable[..., Floats]
    start: Start


@dataclass(frozen=True)
class Parameter:
    """One fitted number and its standard error (NaN where the data do not tell)."""

    name: str
    value: float
    error: float


@dataclass(frozen=True)
class CurveFit:
    """The outcome of a fit.

    Attributes
    ----------
    model : name in `MODELS`. formula : of it.
    parameters : with their standard errors.
    x, y, best : (n,) the data and the curve. residual : data minus curve.
    r2 : share of the variance that the curve describes.
    reduced_chi2 : sum of squares over degrees of freedom.
    """

    model: str
    formula: str
    parameters: tuple[Parameter, ...]
    x: Floats
    y: Floats
    best: Floats
    r2: float
    reduced_chi2: float

    @property
    def residual(self) -> Floats:
        """Data minus curve."""
        return self.y - self.best

    @property
    def values(self) -> dict[str, float]:
        """The parameters by name."""
        return {one.name: one.value for one in self.parameters}

    @property
    def text(self) -> str:
        """The fit in one line."""
        parts = ", ".join(f"{p.name} = {p.value:.5g} +- {p.error:.2g}" for p in self.parameters)
        return f"{self.formula}: {parts}; R2 = {self.r2:.4f}"


_INF = float("inf")


def _line(x: Floats, slope: float, intercept: float) -> Floats:
    return slope * x + intercept


def _gaussian(x: Floats, height: float, centre: float, sd: float, offset: float) -> Floats:
    return np.asarray(offset + height * np.exp(-0.5 * ((x - centre) / sd) ** 2))


def _boltzmann(x: Floats, bottom: float, top: float, half: float, slope: float) -> Floats:
    return np.asarray(bottom + (top - bottom) / (1 + np.exp(-np.clip((x - half) / slope, -500, 500))))


def _boltzmann_iv(x: Floats, conductance: float, reversal: float, half: float, slope: float) -> Floats:
    return conductance * (x - reversal) / (1 + np.exp(-np.clip((x - half) / slope, -500, 500)))


def _hill(x: Floats, bottom: float, top: float, ec50: float, n: float) -> Floats:
    ratio = np.where(x > 0, np.exp(np.clip(n * np.log(np.maximum(x, 1e-300) / ec50), -500, 500)), 0.0)
    return np.asarray(bottom + (top - bottom) * ratio / (1 + ratio))


def _exponentials(n: int) -> Callable[..., Floats]:
    def curve(x: Floats, **p: float) -> Floats:
        late = x - x[0] if len(x) else x
        return np.asarray(
            p["offset"] + sum(p[f"size{k}"] * np.exp(-late / p[f"tau{k}"]) for k in range(1, n + 1))
        )

    return curve


def _start_line(x: Floats, y: Floats) -> dict[str, tuple[float, float, float]]:
    slope, intercept = np.polyfit(x, y, 1)
    return {"slope": (slope, -_INF, _INF), "intercept": (intercept, -_INF, _INF)}


def _start_gaussian(x: Floats, y: Floats) -> dict[str, tuple[float, float, float]]:
    offset = float(np.quantile(y, 0.1))
    up = abs(y.max() - offset) >= abs(y.min() - offset)
    at = int(np.argmax(y) if up else np.argmin(y))
    weight = np.abs(y - offset)
    sd = float(np.sqrt(np.sum(weight * (x - x[at]) ** 2) / max(weight.sum(), 1e-300)))
    span = float(np.ptp(x))
    return {
        "height": (y[at] - offset, -_INF, _INF), "centre": (x[at], x.min() - span, x.max() + span),
        "sd": (max(0.5 * sd, 1e-3 * span), 1e-6 * span, 10 * span), "offset": (offset, -_INF, _INF),
    }  # fmt: skip


def _start_sigmoid(x: Floats, y: Floats) -> dict[str, tuple[float, float, float]]:
    order = np.argsort(x)
    ends = y[order[:2]].mean(), y[order[-2:]].mean()
    half = float(x[np.argmin(np.abs(y - 0.5 * (y.min() + y.max())))])
    span = float(np.ptp(x))
    low, high = float(y.min()), float(y.max())
    slope = span / 10 if ends[1] >= ends[0] else -span / 10
    bounds = (1e-4 * span, 5 * span) if slope > 0 else (-5 * span, -1e-4 * span)
    return {
        "bottom": (low, -_INF, _INF), "top": (high, -_INF, _INF),
        "half": (half, x.min() - span, x.max() + span), "slope": (slope, *bounds),
    }  # fmt: skip


def _start_iv(x: Floats, y: Floats) -> dict[str, tuple[float, float, float]]:
    span = float(np.ptp(x))
    last = np.argsort(x)[-3:]
    conductance, _ = np.polyfit(x[last], y[last], 1)
    largest = float(x[np.argmax(np.abs(y))])
    reversal = float(x[last][-1] - y[last][-1] / conductance) if conductance else float(x.max())
    return {
        "conductance": (conductance, -_INF, _INF),
        "reversal": (float(np.clip(reversal, x.min() - span, x.max() + span)), x.min() - span, x.max() + span),
        "half": (largest - 0.1 * span, x.min() - span, x.max() + span), "slope": (0.05 * span, 1e-4 * span, span),
    }  # fmt: skip


def _start_hill(x: Floats, y: Floats) -> dict[str, tuple[float, float, float]]:
    positive = x[x > 0]
    if not len(positive):
        raise RecordingError("a Hill curve needs doses above 0; the largest is " + f"{float(x.max()):g}")
    order = np.argsort(x)
    rising = y[order[-1]] >= y[order[0]]
    middle = float(x[np.argmin(np.abs(y - 0.5 * (y.min() + y.max())))])
    middle = middle if middle > 0 else float(np.median(positive))
    low, high = (float(y.min()), float(y.max())) if rising else (float(y.max()), float(y.min()))
    return {
        "bottom": (low, -_INF, _INF), "top": (high, -_INF, _INF),
        "ec50": (middle, 1e-3 * positive.min(), 1e3 * positive.max()), "n": (1.0, 0.05, 20.0),
    }  # fmt: skip


def _start_exponentials(n: int) -> Start:
    def start(x: Floats, y: Floats) -> dict[str, tuple[float, float, float]]:
        late, span = x - x[0], float(x[-1] - x[0])
        constants = np.geomspace(span / 60, span / 1.5, 24)
        best: tuple[float, tuple[float, ...], Floats] | None = None
        for taus in _combinations(constants, n):
            basis = np.stack([np.ones_like(late), *(np.exp(-late / tau) for tau in taus)], 1)
            parts = np.linalg.lstsq(basis, y, rcond=None)[0]
            left = float(((y - basis @ parts) ** 2).sum())
            if best is None or left < best[0]:
                best = left, taus, parts
        assert best is not None
        _, taus, parts = best
        out = {"offset": (float(parts[0]), -_INF, _INF)}
        for k, tau in enumerate(taus, start=1):
            out[f"size{k}"] = (float(parts[k]), -_INF, _INF)
            out[f"tau{k}"] = (tau, span / 2000, 50 * span)
        return out

    return start


def _combinations(values: Floats, n: int) -> list[tuple[float, ...]]:
    from itertools import combinations

    step = {1: 1, 2: 1, 3: 3}[n]
    return [tuple(float(v) for v in one) for one in combinations(values[::step], n)]


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "exp1": Model("offset + size1 exp(-t / tau1)", _exponentials(1), _start_exponentials(1)),
        "exp2": Model("offset + sum of two size exp(-t / tau)", _exponentials(2), _start_exponentials(2)),
        "exp3": Model("offset + sum of three size exp(-t / tau)", _exponentials(3), _start_exponentials(3)),
        "boltzmann": Model(
            "bottom + (top - bottom) / (1 + exp(-(x - half) / slope))", _boltzmann, _start_sigmoid
        ),
        "boltzmann-iv": Model(
            "conductance (x - reversal) / (1 + exp(-(x - half) / slope))", _boltzmann_iv, _start_iv
        ),
        "hill": Model("bottom + (top - bottom) x^n / (ec50^n + x^n)", _hill, _start_hill),
        "gaussian": Model("offset + height exp(-(x - centre)^2 / (2 sd^2))", _gaussian, _start_gaussian),
        "line": Model("slope x + intercept", _line, _start_line),
    }
)


def fit_curve(x: NDArray[Any], y: NDArray[Any], model: str) -> CurveFit:
    """Fit a curve by least squares; points that are no numbers are left out.

    Parameters
    ----------
    x, y : (n,) points. Exponentials count their time from the first point.
    model : name in `MODELS`.

    Raises
    ------
    RecordingError
        If there is no such model, there are too few points, x does not vary, or the fit does not converge.
    """
    try:
        import lmfit
    except ImportError as error:
        raise RecordingError("fits need the package lmfit: pip install 'napari-biofm[fits]'") from error
    if model not in MODELS:
        raise RecordingError(f"no model '{model}'; there are: {', '.join(MODELS)}")
    known = np.isfinite(x) & np.isfinite(y)
    data_x, data_y = np.asarray(x, np.float64)[known], np.asarray(y, np.float64)[known]
    if model.startswith("exp"):
        order = np.argsort(data_x, kind="stable")
        data_x, data_y = data_x[order], data_y[order]
    chosen = MODELS[model]
    least = {"line": 3, "exp2": 7, "exp3": 9}.get(model, 5)
    if len(data_x) < least or np.ptp(data_x) == 0:
        raise RecordingError(
            f"{len(data_x)} points for a fit of {model}: give {least} or more at different x"
        )
    unit_x, unit_y = float(np.ptp(data_x)), float(np.ptp(data_y)) or 1.0
    parameters = lmfit.Parameters()
    for name, (value, low, high) in chosen.start(data_x, data_y).items():
        parameters.add(name, value=float(np.clip(value, low, high)), min=low, max=high)

    def residual(p: Any) -> Floats:
        return np.asarray((chosen.curve(data_x, **p.valuesdict()) - data_y) / unit_y)

    found = lmfit.minimize(residual, parameters, method="least_squares", x_scale="jac")
    if not found.success:
        raise RecordingError(f"the fit of {model} over {unit_x:g} did not converge: {found.message}")
    best = np.asarray(chosen.curve(data_x, **found.params.valuesdict()), np.float64)
    left = float(((data_y - best) ** 2).sum())
    total = float(((data_y - data_y.mean()) ** 2).sum())
    rows = [
        Parameter(n, float(p.value), float(p.stderr) if p.stderr is not None else float("nan"))
        for n, p in found.params.items()
    ]
    free = max(len(data_x) - len(rows), 1)
    return CurveFit(
        model, chosen.formula, tuple(_by_time(rows)), data_x, data_y, best,
        1 - left / total if total > 0 else float("nan"), left / free,
    )  # fmt: skip


def _by_time(rows: list[Parameter]) -> list[Parameter]:
    """Return parameters with exponentials named in the order of their time constants."""
    named = {row.name: row for row in rows}
    order = sorted((k for k in range(1, 4) if f"tau{k}" in named), key=lambda k: named[f"tau{k}"].value)
    if not order:
        return rows
    out = [named["offset"]]
    for new, old in enumerate(order, start=1):
        for name in ("size", "tau"):
            one = named[f"{name}{old}"]
            out.append(Parameter(f"{name}{new}", one.value, one.error))
    return out
