"""Do similar compounds do similar things? Structures and effects compared pair by pair, with a permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.conditions.compounds import Compounds, read_compounds, tanimoto, vectors
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

LEAST = 5  # compounds; fewer have too few orders for a permutation test
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Likeness:
    """How likeness of structures goes with likeness of effects.

    Attributes
    ----------
    rho : Spearman's rank correlation over all pairs of compounds.
    p : share of permutations of the compounds whose correlation is as large or larger (one-sided).
    n : compounds. chance : (draws,) correlations of the permutations.
    structure, effect : (n, n) Tanimoto likeness, and Euclidean distance of the effects.
    names : of the compounds.
    notes : sentences on what was left out.
    """

    rho: float
    p: float
    n: int
    chance: NDArray[np.float64]
    structure: NDArray[np.float64]
    effect: NDArray[np.float64]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def compare_likeness(
    structure: ArrayLike, effect: ArrayLike, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, NDArray[np.float64]]:
    """Return the rank correlation of likeness and nearness over pairs, its p, and the correlations by chance.

    Pairs share compounds, so that they are not independent: compounds are permuted, not pairs (Mantel, Cancer Res 27:209,
    1967).

    Parameters
    ----------
    structure : (n, n) likeness. effect : (n, n) distance.
    draws : permutations. seed : of them.

    Raises
    ------
    ConditionsError
        If there are fewer than five compounds, or all pairs are alike in one of the two.
    """
    from scipy.stats import rankdata

    alike, apart = np.asarray(structure, float), np.asarray(effect, float)
    n = len(alike)
    if n < LEAST:
        raise ConditionsError(f"{n} compounds; {LEAST} are needed to tell likeness from chance.")
    upper = np.triu_indices(n, 1)
    ranks = rankdata(alike[upper])
    near = np.zeros((n, n))
    near[upper] = rankdata(-apart[upper])
    near += near.T
    ranks, near_spread = ranks - ranks.mean(), near[upper] - near[upper].mean()
    size = float(np.sqrt((ranks**2).sum() * (near_spread**2).sum()))
    if size < 1e-12:
        raise ConditionsError("All pairs of compounds are equally alike; no rank correlation can be told.")
    rho = float(ranks @ near_spread / size)
    rng = np.random.default_rng(seed)
    chance = np.empty(draws)
    for i in range(draws):
        order = rng.permutation(n)
        chance[i] = ranks @ (near[np.ix_(order, order)][upper]) / size
    return rho, float((1 + (chance >= rho - 1e-12).sum()) / (1 + draws)), chance


def similar_effects(
    wells: DataFrame, values: Sequence[str] = (), *, smiles: str = "smiles", draws: int = DRAWS, seed: int = 0
) -> Likeness:
    """Compare the structures of compounds with what they do to cells.

    Wells of one compound are averaged (median over replicates and doses), so that the compound is the unit. Likeness is the
    Tanimoto likeness of Morgan fingerprints, nearness the Euclidean distance of effects.

    Parameters
    ----------
    wells : a row per well; negative controls are left out.
    values : columns of effects, all of one scale; columns that end in `_z` if not given (see `biofm.profiles`).
    smiles : column of the structures.
    draws : permutations. seed : of them.

    Raises
    ------
    ConditionsError
        If a column is missing, fewer than five compounds are left, or RDKit is not installed.
    """
    columns = list(values) or [str(c) for c in wells.columns if str(c).endswith("_z")]
    missing = [c for c in (smiles, *columns) if c not in wells]
    if missing or not columns:
        raise ConditionsError(
            f"The table has no column {', '.join(missing) or 'that ends in _z'}; effects are made by `profiles`."
        )
    treated = wells[wells["control"].astype(str) != "negative"] if "control" in wells else wells
    known = treated[smiles].notna() & (treated[smiles].astype(str).str.strip() != "")
    table = treated[known].groupby(treated[smiles].astype(str), sort=True)[columns].median().dropna()
    compounds = read_compounds(list(table.index))
    notes = [f"{text!r} does not parse: {why}" for _, text, why in compounds.unreadable()]
    keep = compounds.parsed
    structure = tanimoto(*[vectors(compounds)[keep]] * 2) if keep.any() else np.zeros((0, 0))
    effects = table.to_numpy(float)[keep]
    apart = np.sqrt(((effects[:, None] - effects[None]) ** 2).sum(-1))
    rho, p, chance = compare_likeness(structure, apart, draws, seed)
    names = tuple(np.array(table.index)[keep].tolist())
    return Likeness(rho, p, len(names), chance, structure, apart, names, tuple(notes))


def structures_svg(
    compounds: Compounds, rows: Sequence[int] | None = None, captions: Sequence[str] = (), *, across: int = 4
) -> str:
    """Draw structures as one SVG, a frame each with its caption.

    Parameters
    ----------
    compounds : from `read_compounds`.
    rows : which, in order; all that parse if not given.
    captions : a line under each.
    across : frames in a row.

    Raises
    ------
    ConditionsError
        If there is nothing to draw.
    """
    from rdkit.Chem.Draw import MolsToGridImage

    chosen: list[int] = np.flatnonzero(compounds.parsed).tolist() if rows is None else [int(i) for i in rows]
    if not chosen or any(compounds.molecules[i] is None for i in chosen):
        raise ConditionsError("There is no structure that could be drawn.")
    text = MolsToGridImage(
        [compounds.molecules[i] for i in chosen], molsPerRow=min(across, len(chosen)), subImgSize=(220, 200),
        legends=list(captions) or [compounds.canonical[i] for i in chosen], useSVG=True,
    )  # fmt: skip
    return str(text)
