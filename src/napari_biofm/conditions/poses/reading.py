"""Docking results from SDF and PDBQT: DiffDock with its confidences, Vina, Smina and GNINA with their scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

ENDINGS = (".sdf", ".pdbqt")
MAX_BYTES = 256 << 20
NAN = float("nan")
RANKED = re.compile(r"^rank(\d+)(?:_confidence(-?\d+(?:\.\d+)?))?$")  # of DiffDock
OUT = re.compile(
    r"([_.-]?(out|docked|vina|smina|gnina|poses?))+$", re.IGNORECASE
)  # of names such as aspirin_out.pdbqt
SCORES = ("minimizedAffinity", "r_i_docking_score", "SCORE", "docking_score")  # properties in kcal/mol
ELEMENTS = {
    "A": "C",
    "OA": "O",
    "NA": "N",
    "SA": "S",
    "HD": "H",
    "HS": "H",
    "NS": "N",
    "OS": "O",
    "G": "C",
    "CG": "C",
}


@dataclass(frozen=True, eq=False)
class Pose:
    """A compound as it was placed.

    Attributes
    ----------
    compound : its name. rank : 1 is the program's best.
    confidence : of DiffDock, larger is better; NaN where there is none.
    score : kcal/mol, lower is better; NaN where there is none.
    path, place : the file, and which molecule of it, from 0.
    molecule : of RDKit, with coordinates in angstrom.
    notes : what is not known of it.
    """

    compound: str
    rank: int
    confidence: float
    score: float
    path: Path
    place: int
    molecule: Mol
    notes: tuple[str, ...] = ()

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """(n, 3) x, y, z in angstrom."""
        return np.asarray(self.molecule.GetConformer().GetPositions(), np.float64)


def rdkit() -> ModuleType:
    """Return RDKit's chemistry.

    Raises
    ------
    ConditionsError
        If it is not installed.
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise ConditionsError("Poses need RDKit: pip install 'napari-biofm[poses]'.") from error
    return Chem


def read_poses(path: str | Path, smiles: Mapping[str, str] | None = None) -> tuple[list[Pose], list[str]]:
    """Read all poses of a folder and the folders in it, or of one file.

    DiffDock: a folder per complex with `rank1_confidence-0.53.sdf`; its name is the compound. Vina, Smina and GNINA: a file per
    compound with all its poses, called after it (`aspirin_out.pdbqt`), or with names in the SDF.

    Parameters
    ----------
    path : folder, `.sdf` or `.pdbqt`.
    smiles : structure of each compound, which tells the bonds of PDBQT files that do not have them (Meeko writes them).

    Returns
    -------
    poses : list of Pose
        By compound and rank.
    notes : list of str
        Files and molecules that cannot be read, and why; ranks that stand twice.

    Raises
    ------
    ConditionsError
        If there is nothing, nothing can be read, or RDKit is not installed.
    """
    rdkit()
    path = Path(path)
    if not path.exists():
        raise ConditionsError(f"{path} does not exist.")
    files = [path] if path.is_file() else sorted(p for e in ENDINGS for p in path.rglob(f"*{e}"))
    files = [p for p in files if not _again(p)]
    if not files:
        raise ConditionsError(f"{path} holds no poses ({' or '.join(ENDINGS)}).")
    notes: list[str] = []
    poses: list[Pose] = []
    for file in files:
        try:
            found = list(_poses_of(file, smiles or {}, notes))
        except ConditionsError as error:
            notes.append(str(error))
            continue
        if not found and not any(file.name in sentence for sentence in notes):
            notes.append(f"{file.name} holds no molecule with coordinates")
        poses += found
    if not poses:
        raise ConditionsError(f"No pose of {path.name} can be read: {'; '.join(notes[:3])}.")
    poses.sort(key=lambda one: (one.compound, one.rank, str(one.path), one.place))
    return poses, notes


def _again(path: Path) -> bool:
    """Return whether a file is DiffDock's second copy of its best pose (`rank1.sdf` beside `rank1_confidence...`)."""
    return path.stem == "rank1" and any(path.parent.glob("rank1_confidence*.sdf"))


def _poses_of(path: Path, smiles: Mapping[str, str], notes: list[str]) -> Iterator[Pose]:
    if path.stat().st_size > MAX_BYTES:
        raise ConditionsError(f"{path.name} is larger than {MAX_BYTES >> 20} MB.")
    ranked = RANKED.match(path.stem)
    named = path.parent.name if ranked else OUT.sub("", path.stem) or path.stem
    seen: dict[str, int] = {}
    read = _sdf(path, notes) if path.suffix.lower() == ".sdf" else _pdbqt(path, smiles.get(named, ""), notes)
    for place, molecule, score, said in read:
        inner = _property(molecule, "_Name").strip()
        many = (
            not ranked and path.suffix.lower() == ".sdf" and inner and not inner.lower().startswith("model")
        )
        compound = inner if many else named
        seen[compound] = seen.get(compound, 0) + 1
        confidence = float(ranked[2]) if ranked and ranked[2] else NAN
        rank = int(ranked[1]) if ranked else seen[compound]
        yield Pose(compound, rank, confidence, score, path, place, molecule, said)


def _sdf(path: Path, notes: list[str]) -> Iterator[tuple[int, Any, float, tuple[str, ...]]]:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        try:
            supplier = Chem.SDMolSupplier(str(path), removeHs=False)
            n = len(supplier)
        except OSError as error:
            raise ConditionsError(f"{path.name} cannot be read as SDF ({error}).") from error
        for place in range(n):
            molecule = supplier[place]
            if molecule is None or not molecule.GetNumConformers():
                notes.append(f"{path.name}, molecule {place + 1} cannot be read")
                continue
            score = next((_property(molecule, key) for key in SCORES if molecule.HasProp(key)), "")
            yield place, molecule, _number(score or _free_energy(molecule)), ()


def _property(molecule: Any, key: str) -> str:
    """Return a property of a molecule as text; "" where it has none, or one that is not UTF-8."""
    try:
        return str(molecule.GetProp(key)) if molecule.HasProp(key) else ""
    except UnicodeDecodeError:
        return ""


def _free_energy(molecule: Any) -> str:
    """Return the score that Meeko writes into SDF as JSON, as text."""
    text = _property(molecule, "meeko")
    found = re.search(r'"free_energy"\s*:\s*(-?[\d.]+)', text)
    return found[1] if found else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return NAN


def _pdbqt(path: Path, smiles: str, notes: list[str]) -> Iterator[tuple[int, Any, float, tuple[str, ...]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConditionsError(f"{path.name} cannot be read as PDBQT ({error}).") from error
    for place, model in enumerate(_models(lines)):
        result = next((line.split("RESULT:")[1].split() for line in model if "VINA RESULT:" in line), [])
        other = next((line.split()[-1] for line in model if line.startswith("REMARK minimizedAffinity")), "")
        try:
            molecule, said = _molecule_of(model, smiles)
        except (ConditionsError, ValueError, RuntimeError) as error:
            notes.append(f"{path.name}, model {place + 1} cannot be read: {str(error).splitlines()[0]}")
            continue
        yield place, molecule, _number(result[0] if result else other), said


def _models(lines: Sequence[str]) -> list[list[str]]:
    """Return the lines of each model; a file without MODEL is one."""
    models: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("MODEL"):
            models.append([])
        elif not line.startswith("ENDMDL"):
            models[-1].append(line)
    return [model for model in models if any(line.startswith(("ATOM", "HETATM")) for line in model)]


def _molecule_of(model: Sequence[str], smiles: str) -> tuple[Any, tuple[str, ...]]:
    """Return a molecule with the coordinates of a PDBQT model; bonds are those of its SMILES, or of distances."""
    from rdkit import Chem

    atoms = [line for line in model if line.startswith(("ATOM", "HETATM"))]
    serial = [int(line[6:11]) for line in atoms]
    at = np.array([[float(line[c : c + 8]) for c in (30, 38, 46)] for line in atoms])
    kinds = [line[77:].strip() for line in atoms]
    elements = [ELEMENTS.get(kind, kind.capitalize()) for kind in kinds]
    written = "".join(
        line.split("SMILES", 1)[1].strip() for line in model if re.match(r"REMARK SMILES [^I]", line)
    )
    pairs = [int(n) for line in model if line.startswith("REMARK SMILES IDX") for n in line.split()[3:]]
    if written and pairs:  # of Meeko: atom of the SMILES and serial number, in turn, from 1
        molecule = Chem.MolFromSmiles(written)
        place = {b: i for i, b in enumerate(serial)}
        to = {a - 1: place[b] for a, b in zip(pairs[::2], pairs[1::2], strict=True) if b in place}
        if molecule is None or set(to) != set(range(molecule.GetNumAtoms())):
            raise ConditionsError("its SMILES does not name all of its atoms")
        return _placed(molecule, at[[to[i] for i in range(len(to))]]), ()
    heavy = [i for i, element in enumerate(elements) if element != "H"]
    block = "\n".join(
        f"HETATM{n + 1:5d} {elements[i].upper():>2}{'':2s} LIG A   1    {at[i][0]:8.3f}{at[i][1]:8.3f}{at[i][2]:8.3f}"
        f"  1.00  0.00          {elements[i].upper():>2}"
        for n, i in enumerate(heavy)
    )
    bare = Chem.MolFromPDBBlock(block + "\nEND\n", sanitize=False)
    if bare is None:
        raise ConditionsError("its atoms cannot be read")
    template = Chem.MolFromSmiles(smiles) if smiles else None
    if template is not None:
        from rdkit.Chem import AllChem

        return AllChem.AssignBondOrdersFromTemplate(template, bare), ()
    bare.UpdatePropertyCache(strict=False)
    return bare, ("bonds are told from distances, all as single ones: give the SMILES of the compound",)


def _placed(molecule: Any, at: NDArray[np.float64]) -> Any:
    from rdkit.Chem import Conformer
    from rdkit.Geometry import Point3D

    conformer = Conformer(len(at))
    for i, (x, y, z) in enumerate(at.tolist()):
        conformer.SetAtomPosition(i, Point3D(x, y, z))
    molecule.AddConformer(conformer)
    return molecule


def read_receptor(path: str | Path) -> Mol:
    """Read a receptor from PDB; it is not sanitised, because crystal structures are not whole.

    Parameters
    ----------
    path : `.pdb`.

    Raises
    ------
    ConditionsError
        If it cannot be read or holds no atoms.
    """
    chem = rdkit()
    path = Path(path)
    if not path.is_file():
        raise ConditionsError(f"{path} does not exist.")
    from rdkit import rdBase

    with rdBase.BlockLogs():
        found = chem.MolFromPDBFile(str(path), sanitize=False, removeHs=False, proximityBonding=False)
    if found is None or not found.GetNumAtoms():
        raise ConditionsError(f"{path.name} cannot be read as PDB; receptors are given as PDB.")
    return found


def receptor_beside(path: Path) -> Path | None:
    """Return the one PDB file in the folder of a pose, or in the folder above; None where there is none or several.

    Parameters
    ----------
    path : file of poses.
    """
    for folder in (path.parent, path.parent.parent):
        found = sorted(folder.glob("*.pdb"))
        if found:
            return found[0] if len(found) == 1 else None
    return None
