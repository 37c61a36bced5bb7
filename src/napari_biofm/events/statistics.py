"""Groups of events compared: cumulative distributions, ranks, and a mixed model that counts cells, not events."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import RecordingError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GroupComparison:
    """Two groups of one quantity.

    Attributes
    ----------
    first, second : names of the groups.
    n_first, n_second : events. cells_first, cells_second : cells.
    mean_first, mean_second : of the means of cells.
    ks, ks_p : Kolmogorov and Smirnov's statistic over events, and its p.
    u_p : p of Mann and Whitney's test over events.
    cells_p : p of Mann and Whitney's test over means of cells.
    difference, low, high, mixed_p : second minus first by a linear mixed model with a random intercept per cell, its
        95 % interval and p; NaN where a group has fewer than two cells.
    """

    first: str
    second: str
    n_first: int
    n_second: int
    cells_first: int
    cells_second: int
    mean_first: float
    mean_second: float
    ks: float
    ks_p: float
    u_p: float
    cells_p: float
    difference: float
    low: float
    high: float
    mixed_p: float

    @property
    def text(self) -> str:
        """The comparison in one sentence."""
        return (
            f"{self.second} against {self.first}: {self.difference:+.4g} ({self.low:.4g} to {self.high:.4g}, "
            f"p = {self.mixed_p:.3g}) over {self.cells_first} + {self.cells_second} cells; KS over "
            f"{self.n_first} + {self.n_second} events D = {self.ks:.3f}, p = {self.ks_p:.3g}"
        )


def cumulative(values: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the finite values in order, and the share of them up to each."""
    finite = np.sort(np.asarray(values, np.float64)[np.isfinite(values)])
    return finite, np.arange(1, len(finite) + 1) / max(len(finite), 1)


def compare_groups(
    values: NDArray[Any], groups: NDArray[np.str_], cells: NDArray[np.str_]
) -> list[GroupComparison]:
    """Compare a quantity between each two groups.

    Events of one cell are not independent: tests over events (KS, Mann and Whitney) describe distributions, the mixed
    model and the test over means of cells say whether cells differ.

    Parameters
    ----------
    values : (n_events,). groups, cells : (n_events,) names of each event's group and cell.

    Raises
    ------
    RecordingError
        If there are fewer than two groups with values.
    """
    from scipy import stats

    known = np.isfinite(np.asarray(values, np.float64))
    values, groups, cells = np.asarray(values, np.float64)[known], groups[known], cells[known]
    names = [str(name) for name in dict.fromkeys(groups.tolist())]
    if len(names) < 2:
        raise RecordingError(f"{len(names)} group of values: two are needed to compare")
    out = []
    for first, second in itertools.combinations(names, 2):
        one, two = values[groups == first], values[groups == second]
        means = [_cell_means(values[groups == g], cells[groups == g]) for g in (first, second)]
        ks = stats.ks_2samp(one, two)
        enough = min(len(m) for m in means) >= 2
        cells_p = float(stats.mannwhitneyu(*means).pvalue) if enough else float("nan")
        here = (groups == first) | (groups == second)
        mixed = _mixed(values[here], groups[here] == second, cells[here]) if enough else (float("nan"),) * 4
        out.append(
            GroupComparison(
                first, second, len(one), len(two), len(means[0]), len(means[1]), float(means[0].mean()),
                float(means[1].mean()), float(ks.statistic), float(ks.pvalue),
                float(stats.mannwhitneyu(one, two).pvalue), cells_p, *mixed,
            )
        )  # fmt: skip
    return out


def _cell_means(values: Floats, cells: NDArray[np.str_]) -> Floats:
    return np.array([values[cells == name].mean() for name in np.unique(cells)])


def _mixed(
    values: Floats, second: NDArray[np.bool_], cells: NDArray[np.str_]
) -> tuple[float, float, float, float]:
    """Return difference, 95 % interval and p of a random-intercept model, fitted by restricted likelihood."""
    try:
        import statsmodels.api as sm
    except ImportError as error:
        raise RecordingError("the mixed model needs statsmodels: pip install 'napari-biofm[fits]'") from error
    scale = float(values.std()) or 1.0
    names = np.char.add(np.where(second, "b/", "a/"), cells.astype(str))  # a cell belongs to one group
    design = np.stack([np.ones(len(values)), second.astype(float)], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of cells at 0 is an answer, too
        fitted = sm.MixedLM(values / scale, design, groups=names).fit(
            reml=True, method="powell"
        )  # lbfgs may end far away and call that converged
    low, high = fitted.conf_int()[1]
    return float(fitted.params[1] * scale), float(low * scale), float(high * scale), float(fitted.pvalues[1])
