"""The verb `poses`: docking results read, checked, compared with references, and joined to a plate map."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import inputs_exist, note
from napari_biofm.cli.conditions import read_table
from napari_biofm.types import ConditionsError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "poses",
        help="docking results (DiffDock, Vina, Smina, GNINA): checks, RMSD, best pose per compound (extra poses)",
        description="With --dock the compounds of the map are docked before, by a program that is installed.",
    )
    verb.add_argument("folder", type=Path, metavar="DIR", help="of SDF or PDBQT files, or one file")
    verb.add_argument("--receptor", type=Path, metavar="PDB", help="in which the compounds were placed")
    verb.add_argument("--reference", type=Path, metavar="SDF", help="known poses, by compound or one for all")
    verb.add_argument(
        "--map", type=Path, metavar="CSV", help="plate map or wells, joined by the column compound"
    )
    verb.add_argument(
        "--joined", type=Path, metavar="CSV", help="rows of --map with the best pose of their compound"
    )
    verb.add_argument("--no-checks", action="store_true", help="without PoseBusters")
    verb.add_argument(
        "--dock",
        metavar="PROGRAM",
        choices=("diffdock", "gnina", "smina", "vina", "any"),
        help="dock the compounds of --map (columns compound and smiles) into DIR: diffdock, gnina, smina, vina, or any",
    )
    verb.add_argument(
        "--centre", metavar="X,Y,Z", help="of the box that is searched, angstrom (not for diffdock)"
    )
    verb.add_argument(
        "--size", default="22.5,22.5,22.5", metavar="X,Y,Z", help="of the box (default: 22.5 each)"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table, one row per pose")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write a row per pose, and the rows of the map with the best ones."""
    from napari_biofm.api.poses import dock, join_poses, pose_table, read_poses
    from napari_biofm.cells.table.export import write_rows

    inputs_exist([p for p in (args.receptor, args.reference, args.map) if p is not None])
    if args.joined and args.map is None:
        raise ConditionsError("--joined needs --map.")
    rows = None if args.map is None else read_table(args.map)
    smiles = {} if rows is None else structures_of(rows)
    if args.dock:
        if args.receptor is None or not smiles:
            raise ConditionsError("--dock needs --receptor, and --map with the columns compound and smiles.")
        centre = None if args.centre is None else _three(args.centre)
        program = "" if args.dock == "any" else args.dock
        dock(args.receptor, smiles, args.folder, program=program, centre=centre, size=_three(args.size))
    poses, notes = read_poses(args.folder, smiles)
    table, said = pose_table(poses, args.receptor, args.reference, checks=not args.no_checks)
    for sentence in (*notes, *said):
        note(sentence)
    write_rows(table, args.out)
    if rows is not None and args.joined:
        write_rows(join_poses(rows, table), args.joined)
    valid = f", {int(table['valid'].sum())} pass all checks" if "valid" in table else ""
    note(f"{len(table)} poses of {table['compound'].nunique()} compounds{valid}")


def structures_of(rows: Any) -> dict[str, str]:
    """Return the SMILES of each compound of a table that has both columns."""
    column = next((c for c in rows.columns if str(c).lower() == "smiles"), None)
    if column is None or "compound" not in rows:
        return {}
    known = rows[rows[column].notna() & rows["compound"].notna()]
    return dict(zip(known["compound"].astype(str), known[column].astype(str), strict=True))


def _three(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConditionsError(f"{text!r}: give three numbers with commas between, in angstrom.") from error
    return x, y, z
