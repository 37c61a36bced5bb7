"""Whether replicates of a condition resemble each other more than they resemble controls: mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions.profiles import Profiles, controls_of
from napari_biofm.conditions.statistics import benjamini_hochberg
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

DRAWS = 2000


def activity(profiles: Profiles, by: Sequence[str], seed: int = 0) -> DataFrame:
    """Return the mean average precision of every condition against the negative controls.

    Each well of a condition ranks its replicates and the controls by the cosine of their normalised values; average
    precision is 1 where all replicates come before all controls.

    Parameters
    ----------
    profiles : normalised.
    by : columns that make a condition, such as compound and dose.
    seed : of the permutations: wells of the condition and controls change places, which gives `p` and `map_by_chance`.

    Returns
    -------
    DataFrame
        The condition, `n_wells`, `map`, `map_by_chance`, `p` and `q` (Benjamini-Hochberg).

    Raises
    ------
    ConditionsError
        If nothing is normalised, or no condition has two wells.

    References
    ----------
    Kalinin et al., Nature Communications 16:5181 (2025).
    """
    import pandas as pd

    names = [f"{v}_z" for v in profiles.normalised]
    if not names:
        raise ConditionsError(
            "No value is normalised; mean average precision compares wells by normalised values."
        )
    table = profiles.table
    control = controls_of(table).to_numpy(bool)
    z = table[names].to_numpy(float)
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    others = np.flatnonzero(control)
    rng = np.random.default_rng(seed)
    rows = []
    for key, index in _conditions(table, by, control):
        if len(index) < 2:
            continue
        places = _places(unit[np.concatenate([index, others])])
        n = len(index)
        score = float(_precision(places, np.arange(n)[None])[0])
        drawn = np.argsort(rng.random((DRAWS, n + len(others))), axis=1)[:, :n]
        chance = _precision(places, drawn)
        p = (1 + int((chance >= score - 1e-12).sum())) / (DRAWS + 1)
        rows.append(key | {"n_wells": n, "map": score, "map_by_chance": float(chance.mean()), "p": p})
    if not rows:
        raise ConditionsError(f"No condition ({', '.join(by)}) has two wells; precision needs replicates.")
    out = pd.DataFrame(rows)
    return out.assign(q=benjamini_hochberg(out["p"]))


def _conditions(
    table: DataFrame, by: Sequence[str], control: NDArray[np.bool_]
) -> list[tuple[dict[str, object], NDArray[np.int64]]]:
    missing = [c for c in by if c not in table]
    if missing or not by:
        raise ConditionsError(f"The table has no column {', '.join(missing) or 'that makes a condition'}.")
    groups = table.reset_index(drop=True)[~control].groupby(list(by), sort=True, dropna=False)
    return [
        (
            dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True)),
            np.asarray(group.index, np.int64),
        )
        for key, group in groups
    ]


def _places(unit: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each well (row) the place, counted from 1, that every other well takes by likeness to it."""
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)  # itself comes last
    order = np.argsort(-likeness, axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(1, len(unit) + 1)[None], axis=1)
    return places


def _precision(places: NDArray[np.int64], sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean average precision of sets of wells (n_sets, n), each against all wells that are not in it."""
    n = sets.shape[1]
    out = np.zeros(len(sets))
    for i in range(n):
        same = np.delete(sets, i, axis=1)
        found = np.sort(places[sets[:, i][:, None], same], axis=1)
        out += np.mean(np.arange(1, n) / found, axis=1)
    return out / n
