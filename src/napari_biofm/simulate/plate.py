"""A plate of cells with known effects of known compounds: dose and response, edge effect, dead wells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

N_FEATURES = 12


@dataclass(frozen=True)
class SimulatedPlate:
    """Cells, the plate map, and what is true of them.

    Attributes
    ----------
    cells : one row per cell: plate, well, `predicted` (`normal` or `responding`), `event_rate` (1/s), `f0` to `f11`.
    plate_map : one row per well: plate, well, compound, dose, dose_unit, control, replicate.
    truth : one row per compound: compound, active, ec50 (uM), hill.
    dead : wells in which the cells died, so that a few are left.
    """

    cells: DataFrame
    plate_map: DataFrame
    truth: DataFrame
    dead: tuple[str, ...]


def simulate_plate(
    seed: int = 0,
    *,
    ec50: Sequence[float] = (0.1, 0.5, 2.0, 1.0),
    active: Sequence[bool] = (True, True, True, False),
    doses: Sequence[float] = (0.01, 0.05, 0.25, 1.25, 6.25, 31.25),
    n_replicates: int = 3,
    n_cells: int = 500,
    edge: float = 0.3,
    n_dead: int = 2,
    well_noise: float = 0.1,
    plate: str = "P1",
) -> SimulatedPlate:
    """Return a plate of 96 wells (384 where more are needed), treated wells and controls placed by chance.

    Parameters
    ----------
    seed : of everything that is drawn.
    ec50 : per compound, uM; the Hill slope is 1.2.
    active : per compound, whether it does anything.
    doses : in uM, the same for every compound.
    n_replicates : wells per compound and dose.
    n_cells : mean number of cells per well.
    edge : what the outer wells differ by, in log odds of responding and in standard deviations of `f0`.
    n_dead : treated wells in which almost all cells died.
    well_noise : standard deviation between wells that are alike, in log odds.
    plate : its name.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    treated = [(c, d, r) for c in range(len(ec50)) for d in doses for r in range(n_replicates)]
    rows, columns = (8, 12) if len(treated) + 16 <= 96 else (16, 24)
    places = rng.permutation(rows * columns)
    n_controls = min(rows * columns - len(treated), max(16, len(treated) // 3))
    content = treated + [(-1, 0.0, r) for r in range(n_controls)]
    directions = rng.normal(size=(len(ec50), N_FEATURES))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    dead = set(rng.choice(len(treated), n_dead, replace=False).tolist())
    cells, wells = [], []
    for i, (compound, dose, replicate) in enumerate(content):
        row, column = divmod(int(places[i]), columns)
        name = f"{chr(65 + row)}{column + 1:02d}"
        does = compound >= 0 and active[compound]
        effect = dose**1.2 / (dose**1.2 + ec50[compound] ** 1.2) if does else 0.0
        outer = row in (0, rows - 1) or column in (0, columns - 1)
        shift = edge * outer + rng.normal(0, well_noise)
        n = 3 if i in dead else int(rng.poisson(n_cells))
        cells.append(_cells(rng, n, effect, shift, directions[compound] if does else None, edge * outer))
        cells[-1].insert(0, "well", name)
        wells.append((
            plate, name, "DMSO" if compound < 0 else f"compound {compound + 1}", dose, "uM",
            "negative" if compound < 0 else "", str(replicate + 1),
        ))  # fmt: skip
    table = pd.concat(cells, ignore_index=True)
    table.insert(0, "plate", plate)
    names = ["plate", "well", "compound", "dose", "dose_unit", "control", "replicate"]
    truth = pd.DataFrame({
        "compound": [f"compound {i + 1}" for i in range(len(ec50))], "active": list(active),
        "ec50": list(ec50), "hill": 1.2,
    })  # fmt: skip
    return SimulatedPlate(
        table, pd.DataFrame(wells, columns=names), truth, tuple(wells[i][1] for i in sorted(dead))
    )


def _cells(
    rng: np.random.Generator,
    n: int,
    effect: float,
    shift: float,
    direction: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None,
    edge: float,
) -> DataFrame:
    """Cells of one well; `effect` is 0 to 1. The share that responds goes from 10 to 80 %, the rate from 0.5 to 3."""
    import pandas as pd

    share = 0.1 + 0.7 * effect
    odds = np.log(share / (1 - share)) + shift
    responds = rng.random(n) < 1 / (1 + np.exp(-odds))
    features = rng.normal(size=(n, N_FEATURES)) + rng.normal(0, 0.05, N_FEATURES)
    features[:, 0] += edge
    if direction is not None:
        features += 2.0 * effect * direction
    rate = (0.5 + 2.5 * effect) * rng.gamma(4.0, 0.25, n) * np.exp(0.1 * shift)
    table = pd.DataFrame(features, columns=[f"f{i}" for i in range(N_FEATURES)])
    table.insert(0, "predicted", np.where(responds, "responding", "normal"))
    table.insert(1, "event_rate", rate)
    return table
