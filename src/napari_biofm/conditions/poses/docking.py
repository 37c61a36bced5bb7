"""Docking by programs that are installed: DiffDock, Smina or GNINA, Vina. None of them is part of this package."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_biofm.conditions.poses.reading import rdkit, read_receptor
from napari_biofm.types import ConditionsError, Progress, Task

PROGRAMS = ("diffdock", "gnina", "smina", "vina")
WHERE = {
    "diffdock": "put a command `diffdock` on the PATH that runs its inference.py (github.com/gcorso/DiffDock)",
    "gnina": "download the program gnina (github.com/gnina/gnina) and put it on the PATH",
    "smina": "conda install -c conda-forge smina",
    "vina": "conda install -c conda-forge vina, and pip install meeko for its files",
}


@dataclass(frozen=True)
class Box:
    """Where ligands are searched: centre and size along x, y and z in angstrom."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float] = (22.5, 22.5, 22.5)


def found_programs() -> dict[str, str]:
    """Return the docking programs on the PATH and where they are."""
    return {name: path for name in PROGRAMS if (path := shutil.which(name)) is not None}


def docking_program(name: str = "") -> tuple[str, str]:
    """Return name and path of a docking program.

    Parameters
    ----------
    name : one of `diffdock`, `gnina`, `smina`, `vina`; the first that is installed if not given.

    Raises
    ------
    ConditionsError
        If it is not known or not installed; says how each is installed.
    """
    if name and name not in PROGRAMS:
        raise ConditionsError(
            f"{name!r} is no docking program that is known; there are {', '.join(PROGRAMS)}."
        )
    there = found_programs()
    wanted = [name] if name else [one for one in PROGRAMS if one in there]
    if wanted and wanted[0] in there:
        return wanted[0], there[wanted[0]]
    missing = [name] if name else list(PROGRAMS)
    said = "; ".join(f"{one}: {WHERE[one]}" for one in missing)
    raise ConditionsError(f"{name or 'No docking program'} is {'not ' if name else ''}installed. {said}.")


def ligand_files(smiles: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Write a 3D structure of each compound as SDF; return the files by compound.

    Parameters
    ----------
    smiles : structure of each compound.
    folder : gets one file per compound.

    Raises
    ------
    ConditionsError
        If a SMILES does not parse or has no 3D structure.
    """
    chem = rdkit()
    from rdkit import rdBase
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    folder.mkdir(parents=True, exist_ok=True)
    out: dict[str, Path] = {}
    for name, text in smiles.items():
        with rdBase.BlockLogs():
            molecule = chem.MolFromSmiles(text)
            if molecule is None:
                raise ConditionsError(f"{name}: the SMILES {text!r} does not parse.")
            molecule = chem.AddHs(molecule)
            if rdDistGeom.EmbedMolecule(molecule, randomSeed=0) != 0:
                raise ConditionsError(f"{name}: no 3D structure of {text!r} was found.")
            rdForceFieldHelpers.MMFFOptimizeMolecule(molecule)
        molecule.SetProp("_Name", name)
        path = folder / f"{file_name(name)}.sdf"
        if path in out.values():
            raise ConditionsError(f"{name}: another compound has the same file name {path.name}.")
        with chem.SDWriter(str(path)) as writer:
            writer.write(molecule)
        out[name] = path
    return out


def file_name(compound: str) -> str:
    """Return a compound's name as that of a file.

    Parameters
    ----------
    compound : any text.
    """
    return re.sub(r"[^\w.+-]+", "_", compound).strip("._") or "compound"


def docking_command(
    program: str, path: str, receptor: Path, ligand: Path, smiles: str, out: Path, box: Box | None
) -> list[str]:
    """Return the command that docks one compound.

    Parameters
    ----------
    program, path : from `docking_program`.
    receptor : PDB; for Vina a PDBQT of the same name beside it.
    ligand : SDF; for Vina a PDBQT of the same name beside it.
    smiles : of the compound, for DiffDock.
    out : file of the poses; for DiffDock the folder.
    box : for all but DiffDock, which searches everywhere.

    Raises
    ------
    ConditionsError
        If a box or a PDBQT file is missing.
    """
    if program == "diffdock":
        return [
            path, "--protein_path", str(receptor), "--ligand_description", smiles, "--complex_name", out.name,
            "--out_dir", str(out.parent),
        ]  # fmt: skip
    if box is None:
        raise ConditionsError(f"{program} searches a box: give its centre (--centre x,y,z in angstrom).")
    places = [("center", box.centre), ("size", box.size)]
    where = [
        text
        for key, v in places
        for axis, n in zip("xyz", v, strict=True)
        for text in (f"--{key}_{axis}", f"{n:g}")
    ]
    if program == "vina":
        receptor, ligand = receptor.with_suffix(".pdbqt"), ligand.with_suffix(".pdbqt")
        for file, tool in ((receptor, "mk_prepare_receptor.py"), (ligand, "mk_prepare_ligand.py")):
            if not file.is_file():
                raise ConditionsError(
                    f"Vina needs {file.name}: make it with Meeko's {tool} (pip install meeko)."
                )
    return [
        path,
        "--receptor",
        str(receptor),
        "--ligand",
        str(ligand),
        "--out",
        str(out),
        "--seed",
        "0",
        *where,
    ]


def dock(
    receptor: str | Path,
    smiles: Mapping[str, str],
    out: str | Path,
    *,
    program: str = "",
    box: Box | None = None,
) -> Task[Path]:
    """Dock compounds with a program that is installed; results are read by `read_poses`.

    Parameters
    ----------
    receptor : PDB.
    smiles : structure of each compound.
    out : folder of the poses; compounds that have some there are left as they are.
    program : see `docking_program`.
    box : where to search; not for DiffDock.

    Returns
    -------
    The folder.

    Raises
    ------
    ConditionsError
        If no program is installed, the receptor or a compound cannot be read, or the program fails; says what it said.
    """
    name, path = docking_program(program)
    read_receptor(receptor)
    receptor, folder = Path(receptor).resolve(), Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ligands = ligand_files(smiles, folder / "ligands")
    ending = {"diffdock": "", "vina": "_out.pdbqt"}.get(name, "_out.sdf")
    for i, (compound, ligand) in enumerate(ligands.items()):
        yield Progress(i, len(ligands), compound)
        target = folder / f"{file_name(compound)}{ending}"
        if target.exists():
            continue
        if name == "vina":
            _prepare(ligand)
        command = docking_command(name, path, receptor, ligand, smiles[compound], target, box)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.exists():
            said = (done.stderr.strip() or done.stdout.strip() or "it wrote nothing").splitlines()[-1]
            raise ConditionsError(f"{name} failed on {compound}: {said[:300]}")
    return folder


def _prepare(ligand: Path) -> None:
    """Make the PDBQT of a ligand with Meeko where it is installed."""
    tool, made = shutil.which("mk_prepare_ligand.py"), ligand.with_suffix(".pdbqt")
    if tool is not None and not made.exists():
        subprocess.run([tool, "-i", str(ligand), "-o", str(made)], capture_output=True, check=False)
