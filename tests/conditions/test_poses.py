"""Poses: what DiffDock, Vina and Smina write is read, checked by PoseBusters, compared with symmetry, joined and drawn."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.conditions.poses.checking import pose_rmsd
from napari_biofm.conditions.poses.docking import docking_program
from napari_biofm.conditions.poses.drawing import COLOURS, pocket_atoms, pocket_surface
from napari_biofm.conditions.poses.reading import read_receptor, receptor_beside
from napari_biofm.types import ConditionsError

Chem: Any = pytest.importorskip("rdkit.Chem")
from rdkit.Chem import AllChem  # noqa: E402 - RDKit is optional

SMILES = {"aspirin": "CC(=O)Oc1ccccc1C(=O)O", "tolyl": "Cc1ccc(C(=O)O)cc1"}


def _moved(molecule: Any, by: tuple[float, float, float]) -> Any:
    moved = Chem.Mol(molecule)
    conformer = moved.GetConformer()
    conformer.SetPositions(conformer.GetPositions() + np.array(by))
    return moved


def _ligand(smiles: str) -> Any:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(molecule)
    return molecule


def _sdf(path: Path, *molecules: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Chem.SDWriter(str(path)) as writer:
        for molecule in molecules:
            writer.write(molecule)
    return path


def _receptor(path: Path) -> Path:
    """Write a peptide that lies beside the ligands, 12 angstrom away along x."""
    peptide = Chem.MolFromSequence("GASVL")
    AllChem.EmbedMolecule(peptide, randomSeed=2)
    Chem.MolToPDBFile(
        _moved(peptide, (12.0 - peptide.GetConformer().GetPositions()[:, 0].min() - 7, 0, 0)), str(path)
    )
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as DiffDock leaves it: two compounds, three ranks, and the receptor."""
    folder = tmp_path_factory.mktemp("results")
    _receptor(folder / "receptor.pdb")
    for name, smiles in SMILES.items():
        one = _ligand(smiles)
        poses = [(1, 0.71, (9.0, 0, 0)), (2, -0.53, (0.0, 0, 0)), (3, -2.1, (0, 0, 1.0))]
        for rank, confidence, by in poses:  # the first stands in the receptor
            _sdf(folder / name / f"rank{rank}_confidence{confidence:.2f}.sdf", _moved(one, by))
        _sdf(folder / name / "rank1.sdf", _moved(one, (9.0, 0, 0)))
    return folder


def test_diffdock_folders_give_compounds_ranks_and_confidences(results: Path) -> None:
    poses, notes = biofm.read_poses(results)
    assert [(one.compound, one.rank, one.confidence) for one in poses] == [
        (name, rank, c) for name in ("aspirin", "tolyl") for rank, c in ((1, 0.71), (2, -0.53), (3, -2.1))
    ]
    assert not notes and poses[0].molecule.GetNumHeavyAtoms() == 13 and np.isnan(poses[0].score)
    assert receptor_beside(poses[0].path) == results / "receptor.pdb"


def test_poses_in_the_wall_of_the_receptor_fail_and_are_not_best(results: Path) -> None:
    pytest.importorskip("posebusters")
    poses, _ = biofm.read_poses(results)
    table, notes = biofm.pose_table(poses, results / "receptor.pdb")
    assert not table["valid"][0] and "minimum_distance_to_protein" in table["failed"][0]
    assert list(table[table["best"]]["rank"]) == [2, 2] and not notes
    free, _ = biofm.pose_table(poses)
    assert free["valid"].all() and list(free[free["best"]]["rank"]) == [1, 1]
    wells = pd.DataFrame({"well": ["A1", "A2", "B1"], "compound": ["Aspirin", "DMSO", "tolyl"]})
    joined = biofm.join_poses(wells, table)
    assert (
        joined["pose_rank"].tolist()[0] == 2 and np.isnan(joined["pose_rank"][1]) and joined["pose_valid"][2]
    )
    with pytest.raises(ConditionsError, match="No compound of the table has a pose"):
        biofm.join_poses(wells.assign(compound="x"), table)


def test_the_deviation_knows_symmetry_and_other_compounds(results: Path) -> None:
    poses, _ = biofm.read_poses(results / "tolyl")
    reference = Chem.Mol(poses[1].molecule)
    assert pose_rmsd(poses[1], reference) == pytest.approx(0, abs=1e-6)
    assert pose_rmsd(poses[2], reference) == pytest.approx(1.0, abs=1e-3)
    heavy = Chem.RemoveHs(reference)
    ring = heavy.GetSubstructMatch(Chem.MolFromSmarts("Cc1ccc(C)cc1"))
    order = list(range(heavy.GetNumAtoms()))  # the ring is turned by half: the same pose with other numbers
    for a, b in ((ring[2], ring[7]), (ring[3], ring[6])):
        order[a], order[b] = order[b], order[a]
    assert pose_rmsd(poses[1], Chem.RenumberAtoms(heavy, order)) == pytest.approx(0, abs=1e-6)
    single = Chem.RWMol(heavy)
    for bond in single.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
    assert pose_rmsd(poses[1], single.GetMol()) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ConditionsError, match="another compound"):
        pose_rmsd(poses[1], _ligand("CCO"))


def _pdbqt(molecule: Any, score: float, model: int, smiles: str = "") -> str:
    kinds = {"C": "C", "O": "OA", "N": "NA"}
    lines = [f"MODEL {model}", f"REMARK VINA RESULT:    {score:.1f}      0.000      0.000"]
    heavy = Chem.RemoveHs(molecule)
    order = list(range(heavy.GetNumAtoms()))
    if smiles:
        order = list(Chem.MolFromSmiles(smiles).GetSubstructMatch(heavy))
        where = {b: a for a, b in enumerate(order)}
        lines.append(f"REMARK SMILES {smiles}")
        pairs = " ".join(f"{i + 1} {where[i] + 1}" for i in range(len(order)))
        lines.append(f"REMARK SMILES IDX {pairs}")
    at = heavy.GetConformer().GetPositions()
    for i, atom in enumerate(heavy.GetAtoms()):
        symbol = atom.GetSymbol()
        x, y, z = at[i]
        kind = "A" if atom.GetIsAromatic() else kinds[symbol]
        lines.append(
            f"ATOM  {i + 1:5d}  {symbol:<3s} UNL     1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00    +0.000 {kind}"
        )
    return "\n".join([*lines, "ENDMDL", ""])


def test_vina_and_smina_files_give_scores_and_bonds(tmp_path: Path) -> None:
    one = _ligand(SMILES["aspirin"])
    (tmp_path / "aspirin_out.pdbqt").write_text(
        "".join(_pdbqt(_moved(one, (k, 0, 0)), -7.2 + k, k + 1, SMILES["aspirin"]) for k in range(2))
    )
    (tmp_path / "plain_out.pdbqt").write_text(_pdbqt(one, -5.5, 1))
    smina = Chem.Mol(one)
    smina.SetProp("_Name", "third")
    smina.SetProp("minimizedAffinity", "-8.25")
    _sdf(tmp_path / "library_docked.sdf", smina, _moved(smina, (1, 0, 0)))
    (tmp_path / "broken.sdf").write_text("nothing\n")
    poses, notes = biofm.read_poses(tmp_path)
    assert [(p.compound, p.rank, p.score) for p in poses] == [
        ("aspirin", 1, -7.2), ("aspirin", 2, -6.2), ("plain", 1, -5.5), ("third", 1, -8.25), ("third", 2, -8.25),
    ]  # fmt: skip
    assert any("broken.sdf" in sentence for sentence in notes)
    assert Chem.MolToSmiles(poses[0].molecule) == Chem.CanonSmiles(SMILES["aspirin"])
    np.testing.assert_allclose(
        np.sort(poses[1].coordinates[:, 0]),
        np.sort(Chem.RemoveHs(one).GetConformer().GetPositions()[:, 0] + 1),
        atol=1e-3,
    )
    assert "all as single ones" in poses[2].notes[0]
    known, _ = biofm.read_poses(tmp_path / "plain_out.pdbqt", {"plain": SMILES["aspirin"]})
    assert Chem.MolToSmiles(known[0].molecule) == Chem.CanonSmiles(SMILES["aspirin"]) and not known[0].notes
    assert pose_rmsd(poses[2], one) == pytest.approx(0, abs=2e-3)
    table, said = biofm.pose_table(poses, checks=False)
    assert list(table["best"]) == [True, False, True, True, False] and "plain: bonds" in said[0]
    with pytest.raises(ConditionsError, match="does not exist"):
        biofm.read_poses(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConditionsError, match="holds no poses"):
        biofm.read_poses(tmp_path / "empty")


def test_the_verb_writes_poses_and_wells(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("posebusters")
    wells = pd.DataFrame({"well": ["A1", "A2"], "compound": ["aspirin", "tolyl"], "smiles": SMILES.values()})
    wells.to_csv(tmp_path / "map.csv", index=False)
    poses, _ = biofm.read_poses(results / "aspirin")
    reference = Chem.Mol(poses[1].molecule)
    reference.SetProp("_Name", "aspirin")
    _sdf(tmp_path / "known.sdf", reference)
    call = [
        "poses",
        str(results),
        "--receptor",
        str(results / "receptor.pdb"),
        "--reference",
        str(tmp_path / "known.sdf"),
    ]
    out = [
        "--map",
        str(tmp_path / "map.csv"),
        "--joined",
        str(tmp_path / "w.csv"),
        "--out",
        str(tmp_path / "p.csv"),
    ]
    assert main([*call, *out]) == 0
    said = capsys.readouterr().err
    table = pd.read_csv(tmp_path / "p.csv")
    n_valid = int(table["valid"].sum())  # releases of RDKit fold the second compound otherwise
    assert f"6 poses of 2 compounds, {n_valid} pass all checks" in said and "another compound" in said
    assert table["valid"][:5].tolist() == [False, True, True, False, True]
    assert table["rmsd_A"][1] == pytest.approx(0, abs=1e-4) and table["rmsd_A"][0] == pytest.approx(
        9, abs=1e-3
    )
    assert list(pd.read_csv(tmp_path / "w.csv")["pose_rank"]) == [2, 2]


def test_pose_and_pocket_become_layers(results: Path) -> None:
    poses, _ = biofm.read_poses(results / "aspirin")
    receptor = read_receptor(results / "receptor.pdb")
    at, kinds, numbers = pocket_atoms(receptor, poses[1], within=8)
    assert len(at) == len(kinds) == len(numbers) > 3 and "H" not in kinds
    gaps = np.sqrt(((at[:, None] - poses[1].coordinates[None]) ** 2).sum(-1)).min(1)
    assert gaps.max() <= 8
    surface, bonds, atoms = biofm.pose_layers(poses[1], results / "receptor.pdb", 8)
    assert [surface[2], bonds[2], atoms[2]] == ["surface", "vectors", "points"]
    np.testing.assert_allclose(atoms[0][:, ::-1], poses[1].coordinates)
    assert atoms[1]["face_color"][0] == COLOURS["C"] and len(bonds[0]) == 2 * poses[1].molecule.GetNumBonds()
    vertices, _ = pocket_surface(np.zeros((1, 3)))
    assert np.linalg.norm(vertices, axis=1) == pytest.approx(1.8, abs=0.03), "one atom is a ball"
    with pytest.raises(ConditionsError, match="no atom of the receptor"):
        pocket_atoms(receptor, poses[1], within=0.1)
    (results / "x.txt").write_text("no\n")
    with pytest.raises(ConditionsError, match="cannot be read as PDB"):
        read_receptor(results / "x.txt")


def test_docking_runs_what_is_installed_and_says_what_is_not(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ConditionsError, match="No docking program is installed.*smina: conda install"):
        docking_program()
    with pytest.raises(ConditionsError, match="vina is not installed"):
        biofm.dock(results / "receptor.pdb", SMILES, tmp_path / "out", program="vina")
    with pytest.raises(ConditionsError, match="no docking program that is known"):
        docking_program("other")
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "smina"
    fake.write_text(
        '#!/bin/sh\nwhile [ "$1" != "" ]; do\n case $1 in --ligand) l=$2;; --out) o=$2;; esac\n shift\ndone\n/bin/cp "$l" "$o"\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    with pytest.raises(ConditionsError, match="give its centre"):
        biofm.dock(results / "receptor.pdb", SMILES, tmp_path / "out")
    folder = biofm.dock(results / "receptor.pdb", SMILES, tmp_path / "out", centre=(0, 0, 0))
    poses, _ = biofm.read_poses(folder / "aspirin_out.sdf")
    assert poses[0].compound == "aspirin" and (folder / "tolyl_out.sdf").exists()
    fake.write_text('#!/bin/sh\necho "no memory" >&2\nexit 3\n')
    with pytest.raises(ConditionsError, match="smina failed on aspirin: no memory"):
        biofm.dock(results / "receptor.pdb", SMILES, tmp_path / "again", program="smina", centre=(0, 0, 0))


def test_a_file_of_poses_opens_in_the_viewer(results: Path, viewer: Any) -> None:
    from napari_biofm import readers

    path = str(next((results / "aspirin").glob("rank2*.sdf")))
    reader = readers.get_pose_reader(path)
    assert reader is not None and readers.get_pose_reader("cells.csv") is None
    for data, options, kind in reader([path]):
        getattr(viewer, f"add_{kind}")(data, **options)
    assert [type(layer).__name__ for layer in viewer.layers] == ["Surface", "Vectors", "Points"]
    assert viewer.dims.ndisplay == 3 and viewer.layers[2].features["element"][0] == "C"


def test_names_and_scores_that_are_no_utf_8_are_left_out(tmp_path: Path) -> None:
    ligand = _ligand("CCO")
    ligand.SetProp("_Name", "NAME")
    ligand.SetProp("minimizedAffinity", "SCORE")
    path = _sdf(tmp_path / "ethanol.sdf", ligand)
    path.write_bytes(path.read_bytes().replace(b"NAME", b"caf\xe9").replace(b"SCORE", b"-7\xff.1"))
    poses, _ = biofm.read_poses(path)
    assert [(one.compound, np.isnan(one.score)) for one in poses] == [("ethanol", True)]
