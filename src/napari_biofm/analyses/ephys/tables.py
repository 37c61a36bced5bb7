"""Many recordings as one table, groups compared, curves fitted to columns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import Analysis, Curve, Plot, Result, Source, option
from napari_biofm.analyses.tables import columns_of, columns_of_rows
from napari_biofm.types import Kind, Preset, RecordingError

GROUP = "Many recordings and groups"
FitModel = Literal["exp1", "exp2", "exp3", "boltzmann", "boltzmann-iv", "hill", "gaussian", "line"]
MODEL_HELP = "The curve: sums of one to three exponentials, Boltzmann, Hill, Gaussian, line."
FIT_METHODS = (
    "Curves were fitted by least squares (lmfit; Newville et al., doi:10.5281/zenodo.11813); errors are standard errors "
    "from the covariance of the fit."
)


@dataclass(frozen=True)
class CollectParameters:
    """As in `biofm.collect`."""

    what: Literal["events", "features"] = option("events", "Events, or features of sweeps and events.")
    rows: Literal["event", "sweep", "file", "group"] = option(
        "event",
        "A row per event or sweep, per file (the mean of its events), or per group (the mean of its files).",
    )
    names: str = option("", "Pattern of file names such as {genotype}_{cell}_*: each field becomes a column.")
    detector: str = option("physio-fm", "Detector of events.")
    kind: Kind = option("auto", "Kind of events.")
    preset: Preset = option("balanced", "Balanced, or precise: fewer false events.")


def collected(source: Source, p: CollectParameters) -> Result:
    """Return one table of many recordings."""
    from napari_biofm.api.collections import collect

    made = collect(
        source.recordings,
        what=p.what,
        rows=p.rows,
        names=p.names,
        detector=p.detector,
        kind=p.kind,
        preset=p.preset,
    )
    n = len(next(iter(made.table.values()), ()))
    notes = tuple(f"{name} was left out: {message}" for name, message in made.failed.items())
    return Result(
        columns_of(made.table), summary=f"{n} rows of {len(source.recordings)} recordings.", notes=notes
    )


@dataclass(frozen=True)
class CompareParameters:
    """As in `biofm.compare_groups`."""

    value: str = option("amplitude", "Column that is compared.", role="column")
    group: str = option("group", "Column with the group of each row.", role="column")
    cell: str = option("file", "Column with the cell of each row.", role="column")


def compared(source: Source, p: CompareParameters) -> Result:
    """Compare a column between groups; draws the cumulative distribution of each."""
    from napari_biofm.api.collections import compare_groups
    from napari_biofm.events.statistics import cumulative

    found = compare_groups(source.the_table, p.value, group=p.group, cell=p.cell)
    groups, values = np.asarray(source.column(p.group), str), source.numbers(p.value)
    curves = []
    for name in dict.fromkeys(groups.tolist()):
        x, share = cumulative(values[groups == name])
        curves.append(Curve(x, share, str(name), "steps"))
    rows = [dataclasses.asdict(one) for one in found]
    plot = Plot(p.value, "Cumulative share", tuple(curves))
    return Result(columns_of_rows(rows), (plot,), " ".join(f"{one.text}." for one in found))


@dataclass(frozen=True)
class FitColumnsParameters:
    """Which columns, and which curve."""

    x: str = option("x", "Column along the x axis.", role="column")
    y: str = option("y", "Column that is fitted.", role="column")
    model: FitModel = option("line", MODEL_HELP)


def fitted_columns(source: Source, p: FitColumnsParameters) -> Result:
    """Fit a curve to two columns of a table."""
    from napari_biofm.analyses.ephys.fitting import fit_result
    from napari_biofm.api.collections import fit_curve

    if p.x == p.y:
        raise RecordingError(f"x and y are both {p.x!r}: choose two columns")
    found = fit_curve(source.numbers(p.x), source.numbers(p.y), p.model)
    return fit_result(found, p.x, "", p.y, "")


ANALYSES = (
    Analysis(
        "collect", "Collect recordings", GROUP, "Events or features of many recordings in one table.",
        ("recordings",), collected, CollectParameters,
        "Events of all recordings were detected and measured by the same settings.", own_verb=True,
    ),
    Analysis(
        "compare", "Compare groups", GROUP, "A quantity between each two groups, with respect for cells.",
        ("table",), compared, CompareParameters,
        "Distributions were compared by Kolmogorov-Smirnov and Mann-Whitney tests over events, and groups by a linear "
        "mixed model with a random intercept per cell (statsmodels; Seabold & Perktold, SciPy 2010) and a Mann-Whitney "
        "test over means of cells.", own_verb=True,
    ),
    Analysis(
        "fit-columns", "Fit columns", GROUP, "A curve fitted to two columns of a table.",
        ("table",), fitted_columns, FitColumnsParameters, FIT_METHODS,
    ),
)  # fmt: skip
