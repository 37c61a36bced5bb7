"""The best pose of each compound in a folder of docking results, with the receptor it lies in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_biofm.conditions.poses.checking import pose_table
from napari_biofm.conditions.poses.drawing import LayerData, pose_layers
from napari_biofm.conditions.poses.reading import Pose, read_poses, receptor_beside
from napari_biofm.types import ConditionsError


@dataclass(frozen=True, eq=False)
class BestPose:
    """A pose, its receptor (None where there is none, or several), and what is known of it in one line."""

    pose: Pose
    receptor: Path | None
    text: str


def best_poses(
    path: str | Path, smiles: Mapping[str, str] | None = None
) -> tuple[dict[str, BestPose], list[str]]:
    """Return the best pose of each compound by its name in lower case, and sentences on what could not be read or checked.

    Parameters
    ----------
    path : folder of results, or one file, as for `read_poses`; the receptor is the one PDB file beside them.
    smiles : structure by compound, for PDBQT.

    Raises
    ------
    ConditionsError
        If there is nothing to read, or RDKit is not installed.
    """
    poses, notes = read_poses(path, smiles)
    by_receptor: dict[Path | None, list[Pose]] = {}
    for one in poses:
        by_receptor.setdefault(receptor_beside(one.path), []).append(one)
    found: dict[str, BestPose] = {}
    for receptor, some in by_receptor.items():
        try:
            table, said = pose_table(some, receptor)
        except ConditionsError as error:  # without PoseBusters, or a receptor that cannot be read
            table, said = pose_table(some, checks=False)
            said = [f"not checked: {error}", *said]
        notes += said
        for i in table.index[table["best"]].tolist():
            row = table.loc[i]
            parts = [
                f"rank {row['rank']}",
                "no receptor beside it" if receptor is None else f"in {receptor.name}",
            ]
            if row["confidence"] == row["confidence"]:
                parts.append(f"confidence {row['confidence']:.3g}")
            if row["score_kcal_mol"] == row["score_kcal_mol"]:
                parts.append(f"score {row['score_kcal_mol']:.3g} kcal/mol")
            if "valid" in table:
                parts.append("passes all checks" if row["valid"] else f"fails {row['failed']}")
            found[some[i].compound.strip().lower()] = BestPose(some[i], receptor, ", ".join(parts))
    return found, notes


def layers_of(best: BestPose) -> list[LayerData]:
    """Return the layers of a pose and its pocket, axes z, y, x in angstrom; without the pocket where none is near.

    Parameters
    ----------
    best : of a compound.
    """
    try:
        return pose_layers(best.pose, best.receptor)
    except ConditionsError:
        return pose_layers(best.pose)
