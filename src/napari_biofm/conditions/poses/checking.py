"""Whether poses are possible, how far they lie from a reference, and which one of each compound is best."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions.poses.reading import Pose, rdkit, read_poses, read_receptor
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame
    from rdkit.Chem import Mol


def pose_checks(poses: Sequence[Pose], receptor: str | Path | None = None) -> DataFrame:
    """Return what PoseBusters finds of each pose (Buttenschoen et al., Chem Sci 15:3130, 2024).

    Parameters
    ----------
    poses : from `read_poses`.
    receptor : PDB; without it only the molecules themselves are checked.

    Returns
    -------
    DataFrame
        A row per pose, a column of True or False per check.

    Raises
    ------
    ConditionsError
        If PoseBusters is not installed or the receptor cannot be read.
    """
    try:
        from posebusters import PoseBusters
    except ImportError as error:
        raise ConditionsError(
            "Checks of poses need PoseBusters: pip install 'napari-biofm[poses]'."
        ) from error
    from rdkit import log_handler, rdBase

    log_handler.stream = (
        sys.stderr
    )  # PoseBusters flushes it; where it was closed meanwhile, its checks would fail
    if receptor is not None:
        read_receptor(receptor)
    config = "mol" if receptor is None else "dock"
    with rdBase.BlockLogs():
        found = PoseBusters(config=config, max_workers=0).bust(
            [one.molecule for one in poses], None, None if receptor is None else str(receptor)
        )
    if len(found) != len(poses):
        raise ConditionsError(f"PoseBusters returned {len(found)} rows for {len(poses)} poses.")
    return found.reset_index(drop=True)


def pose_rmsd(pose: Pose, reference: Mol) -> float:
    """Return the root mean square deviation of heavy atoms in angstrom, where they lie, over all symmetric assignments.

    Parameters
    ----------
    pose : of the compound.
    reference : molecule of RDKit with coordinates, of the same compound.

    Raises
    ------
    ConditionsError
        If it is another compound.
    """
    chem = rdkit()
    from rdkit.Chem import rdMolAlign

    ours, theirs = (chem.RemoveHs(one, sanitize=False) for one in (pose.molecule, reference))
    try:
        return float(rdMolAlign.CalcRMS(ours, theirs))
    except RuntimeError:  # other bond orders: compare elements and connections only
        plain = [_connections(one) for one in (ours, theirs)]
        try:
            return float(rdMolAlign.CalcRMS(*plain))
        except RuntimeError as error:
            raise ConditionsError(
                f"{pose.compound}: the reference is another compound ({theirs.GetNumAtoms()} heavy atoms against "
                f"{ours.GetNumAtoms()})."
            ) from error


def _connections(molecule: Any) -> Any:
    from rdkit import Chem

    plain = Chem.RWMol(molecule)
    for bond in plain.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
    for atom in plain.GetAtoms():
        atom.SetIsAromatic(False)
        atom.SetFormalCharge(0)
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(0)
    return plain.GetMol()


def read_references(path: str | Path) -> dict[str, Mol]:
    """Return reference molecules by compound, lower case, from SDF; one without a name goes under the name of its file.

    Parameters
    ----------
    path : `.sdf`, or a folder of them.

    Raises
    ------
    ConditionsError
        If nothing can be read.
    """
    return {one.compound.lower(): one.molecule for one in reversed(read_poses(path)[0])}


def pose_table(
    poses: Sequence[Pose],
    receptor: str | Path | None = None,
    reference: str | Path | None = None,
    *,
    checks: bool = True,
) -> tuple[DataFrame, list[str]]:
    """Return a row per pose: rank, scores, checks, deviation from the reference, and which is best.

    Best of a compound is the pose with the highest confidence, or the lowest score, or the first rank, among those that pass
    all checks; where none passes, among all, and this is told.

    Parameters
    ----------
    poses : from `read_poses`.
    receptor : PDB.
    reference : SDF with one molecule per compound, or one for all.
    checks : whether PoseBusters looks at them.

    Returns
    -------
    table : DataFrame
        `compound`, `rank`, `confidence`, `score_kcal_mol`, `valid`, `failed`, `rmsd_A`, `best`, `file`, `place`.
    notes : list of str

    Raises
    ------
    ConditionsError
        If a file cannot be read or PoseBusters is not installed.
    """
    import pandas as pd

    notes = sorted({f"{one.compound}: {said}" for one in poses for said in one.notes})
    table = pd.DataFrame({
        "compound": [one.compound for one in poses], "rank": [one.rank for one in poses],
        "confidence": [one.confidence for one in poses], "score_kcal_mol": [one.score for one in poses],
    })  # fmt: skip
    if checks:
        found = pose_checks(poses, receptor)
        passed = found.to_numpy(bool)
        table["valid"] = passed.all(1)
        table["failed"] = ["; ".join(found.columns[~row]) for row in passed]
    if reference is not None:
        known = read_references(reference)
        table["rmsd_A"], said = _deviations(poses, known)
        notes += said
    table["best"] = _best(table, notes)
    table["file"], table["place"] = [str(one.path) for one in poses], [one.place for one in poses]
    return table, notes


def _deviations(poses: Sequence[Pose], known: dict[str, Mol]) -> tuple[list[float], list[str]]:
    out, said = [], []
    for one in poses:
        reference = next(iter(known.values())) if len(known) == 1 else known.get(one.compound.lower())
        try:
            out.append(float("nan") if reference is None else pose_rmsd(one, reference))
        except ConditionsError as error:
            out.append(float("nan"))
            said.append(str(error))
            continue
        if reference is None:
            said.append(f"{one.compound} has no reference")
    return out, sorted(set(said))


def _best(table: DataFrame, notes: list[str]) -> NDArray[np.bool_]:
    best = np.zeros(len(table), bool)
    for compound, group in table.groupby("compound", sort=True):
        among = group
        if "valid" in group:
            among = group[group["valid"]]
            if among.empty:
                notes.append(f"{compound}: no pose passes all checks")
                among = group
        if among["confidence"].notna().any():
            chosen = among["confidence"].idxmax()
        elif among["score_kcal_mol"].notna().any():
            chosen = among["score_kcal_mol"].idxmin()
        else:
            chosen = among["rank"].idxmin()
        best[table.index.get_loc(chosen)] = True
    return best


def with_best_poses(rows: DataFrame, table: DataFrame) -> DataFrame:
    """Return rows of a plate map or of wells with the best pose of their compound, in columns `pose_...`.

    Parameters
    ----------
    rows : with a column `compound`.
    table : from `pose_table`.

    Raises
    ------
    ConditionsError
        If there is no such column, or no compound has a pose.
    """
    if "compound" not in rows:
        raise ConditionsError("Poses are joined by the column compound, and the table has none.")
    best = table[table["best"]].drop(columns=["best"])
    keys = best["compound"].astype(str).str.strip().str.lower()
    best = best.drop(columns=["compound"]).add_prefix("pose_").set_axis(keys, axis=0)
    wanted = rows["compound"].astype(str).str.strip().str.lower()
    if not wanted.isin(best.index).any():
        raise ConditionsError(
            f"No compound of the table has a pose; poses are of {', '.join(sorted(keys)[:8])}, the table has "
            f"{', '.join(sorted(set(wanted))[:8])}."
        )
    joined = best.reindex(wanted).set_axis(rows.index, axis=0)
    return rows.assign(**{str(name): joined[name] for name in joined})
