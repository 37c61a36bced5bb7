"""Linear mixed models of groups with cells within animals (statsmodels)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.ephys.common import Floats
from napari_biofm.types import BiofmError


def mixed_model(
    values: Floats, groups: NDArray[np.str_], cells: NDArray[np.str_], animals: NDArray[np.str_] | None
) -> tuple[list[dict[str, float | int | str]], list[str]]:
    """Fit values by group with random intercepts of cells, and of animals where they are given.

    Parameters
    ----------
    values, groups, cells, animals : (n_rows,); rows without a number are left out.

    Returns
    -------
    One row for the intercept (the first group) and one per other group, and notes.

    Raises
    ------
    BiofmError
        If statsmodels is missing, or there are too few groups, cells or animals.
    """
    try:
        import pandas as pd
        import statsmodels.formula.api as smf
    except ImportError as error:
        raise BiofmError("mixed models need statsmodels: pip install 'napari-biofm[fits]'") from error
    known = np.isfinite(values)
    frame = pd.DataFrame(
        {
            "y": values[known],
            "g": groups[known],
            "c": np.char.add(np.char.add(groups[known], "/"), cells[known]),
        }
    )
    frame["a"] = frame["c"] if animals is None else animals[known]
    names = list(dict.fromkeys(frame["g"]))
    per_group = frame.groupby("g")["c"].nunique()
    if len(names) < 2 or per_group.min() < 2:
        raise BiofmError(
            f"{len(names)} groups with {per_group.to_dict()} cells: two groups of two cells are the least"
        )
    scale = float(frame["y"].std()) or 1.0
    frame["y"] /= scale
    frame["k"] = [names.index(name) for name in frame["g"]]  # a name from a file is never part of a formula
    formula = "y ~ C(k, Treatment(0))"
    notes = []
    if animals is None or frame["a"].nunique() == frame["c"].nunique():
        model = smf.mixedlm(formula, frame, groups=frame["c"])
        notes += ["every animal has one cell: animals and cells are one"] if animals is not None else []
    else:
        if frame["a"].nunique() < 3:
            raise BiofmError(f"{frame['a'].nunique()} animals: three are the least for their variance")
        model = smf.mixedlm(
            formula, frame, groups=frame["a"], re_formula="1", vc_formula={"cell": "0 + C(c)"}
        )
    fitted = model.fit(reml=True, method="powell")
    if not fitted.converged:
        notes.append("cannot be sure: the fit of the mixed model did not converge")
    if per_group.min() < 6:
        notes.append(
            f"{per_group.min()} cells in the smallest group: Wald intervals are too narrow below six"
        )
    estimates = zip(
        fitted.fe_params, fitted.bse_fe, fitted.conf_int().to_numpy(), fitted.pvalues, strict=False
    )
    rows: list[dict[str, float | int | str]] = []
    for name, (value, spread, (low, high), p) in zip(["intercept", *names[1:]], estimates, strict=True):
        here = frame if name == "intercept" else frame[frame["g"] == name]
        rows.append({
            "term": name, "estimate": float(value * scale), "error": float(spread * scale), "low": float(low * scale),
            "high": float(high * scale), "p": float(p), "n_rows": len(here), "n_cells": int(here["c"].nunique()),
            "n_animals": int(here["a"].nunique()),
        })  # fmt: skip
    return rows, notes
