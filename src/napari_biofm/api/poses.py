"""Poses of compounds in a receptor, as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_biofm.conditions.poses import checking, docking, drawing, reading
from napari_biofm.conditions.poses.docking import Box
from napari_biofm.conditions.poses.drawing import LayerData
from napari_biofm.conditions.poses.reading import Pose
from napari_biofm.types import run_task

if TYPE_CHECKING:
    from pandas import DataFrame


def read_poses(path: str | Path, smiles: Mapping[str, str] | None = None) -> tuple[list[Pose], list[str]]:
    """Read docking results: DiffDock's ranked SDF with confidences, or SDF and PDBQT of Vina, Smina and GNINA.

    Parameters
    ----------
    path : a folder, with its folders, or one file.
    smiles : structure by compound; tells the bonds of PDBQT files that do not have them.

    Returns
    -------
    poses : list of Pose
        By compound and rank; `molecule` is RDKit's.
    notes : list of str
        What could not be read, and why.

    Raises
    ------
    ConditionsError
        If there is nothing to read, or RDKit is not installed.
    """
    return reading.read_poses(path, smiles)


def pose_table(
    poses: Sequence[Pose],
    receptor: str | Path | None = None,
    reference: str | Path | None = None,
    *,
    checks: bool = True,
) -> tuple[DataFrame, list[str]]:
    """Return a row per pose: scores, PoseBusters' checks, deviation from a reference, and the best of each compound.

    Parameters
    ----------
    poses : from `read_poses`.
    receptor : PDB; without it only the molecules themselves are checked.
    reference : SDF of known poses, by compound, or one for all; heavy atoms are compared where they lie, over all symmetric
        assignments.
    checks : whether PoseBusters looks at them.

    Returns
    -------
    table : DataFrame
        `compound`, `rank`, `confidence`, `score_kcal_mol`, `valid`, `failed`, `rmsd_A`, `best`, `file`, `place`.
    notes : list of str
        Compounds none of whose poses passes, and references that do not fit.

    Raises
    ------
    ConditionsError
        If a file cannot be read, or PoseBusters is not installed.
    """
    return checking.pose_table(poses, receptor, reference, checks=checks)


def join_poses(rows: DataFrame, table: DataFrame) -> DataFrame:
    """Give rows of a plate map, wells or cells the best pose of their compound, in columns `pose_...`.

    Parameters
    ----------
    rows : with a column `compound`.
    table : from `pose_table`.

    Raises
    ------
    ConditionsError
        If there is no such column, or no compound has a pose.
    """
    return checking.with_best_poses(rows, table)


def pose_layers(pose: Pose, receptor: str | Path | None = None, within: float = 6.0) -> list[LayerData]:
    """Return a pose and its pocket as layers of napari: atoms as points, bonds as vectors, the pocket as a surface.

    Add each with `getattr(viewer, f"add_{kind}")(data, **options)`.

    Parameters
    ----------
    pose : from `read_poses`.
    receptor : PDB; without it the pose alone.
    within : angstrom around the pose that count as its pocket.

    Raises
    ------
    ConditionsError
        If the receptor cannot be read, or no atom of it is near.
    """
    return drawing.pose_layers(pose, receptor, within)


def dock(
    receptor: str | Path,
    smiles: Mapping[str, str],
    out: str | Path,
    *,
    program: str = "",
    centre: tuple[float, float, float] | None = None,
    size: tuple[float, float, float] = (22.5, 22.5, 22.5),
) -> Path:
    """Dock compounds with DiffDock, GNINA, Smina or Vina where one is installed.

    Parameters
    ----------
    receptor : PDB.
    smiles : structure by compound.
    out : folder of the poses, for `read_poses`.
    program : `diffdock`, `gnina`, `smina` or `vina`; the first that is installed if not given.
    centre, size : of the box that is searched, angstrom; not for DiffDock.

    Raises
    ------
    ConditionsError
        If no program is installed (says how each is), or it fails.
    """
    box = None if centre is None else Box(centre, size)
    return run_task(docking.dock(receptor, smiles, out, program=program, box=box))
