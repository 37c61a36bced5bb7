"""A fit as a result: parameters with errors, data and curve, what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.analyses.description import Column, Curve, Plot, Result

if TYPE_CHECKING:
    from napari_biofm.signals.fits import CurveFit

_MOST_POINTS = 4000  # drawn of data and curve; numbers come from all of them


def fit_result(found: CurveFit, x: str, x_unit: str, y: str, y_unit: str) -> Result:
    """Return the table of parameters and two plots: data with the curve, and residuals.

    Parameters
    ----------
    found : the fit.
    x, x_unit, y, y_unit : names and units of the axes.
    """
    names = [one.name for one in found.parameters] + ["r2"]
    values = [one.value for one in found.parameters] + [found.r2]
    errors = [one.error for one in found.parameters] + [np.nan]
    columns = (
        Column("parameter", np.array(names, str), meaning=f"of {found.formula}"),
        Column("value", np.array(values), meaning="least squares"),
        Column("error", np.array(errors), meaning="standard error, empty where the data do not tell"),
    )
    step = max(1, len(found.x) // _MOST_POINTS)
    order = np.argsort(found.x, kind="stable")[::step]
    style = "points" if len(found.x) < 200 else "line"
    data = Curve(
        found.x[order], found.y[order], "data", "points" if style == "points" else "line", faint=step > 1
    )
    curve = Curve(found.x[order], found.best[order], found.model, "line")
    rest = Curve(found.x[order], found.residual[order], "", "points" if style == "points" else "line")
    plots = (
        Plot(x, y, (data, curve), x_unit, y_unit),
        Plot(x, "Residual", (rest,), x_unit, y_unit),
    )
    notes = tuple(
        f"cannot tell {one.name}: its error is as large as its value"
        for one in found.parameters
        if one.name != "offset" and not np.abs(one.error) < np.abs(one.value)
    )
    return Result(columns, plots, found.text, notes)
