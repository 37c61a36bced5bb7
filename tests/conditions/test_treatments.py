"""Vectors of what was done to wells: one per compound or sequence, groups for scores, and sentences where there can be none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_biofm.analyses.running import analyse
from napari_biofm.api.treatments import treatment_effects, treatment_vectors, vector_map
from napari_biofm.cli import main
from napari_biofm.types import BiofmError, ConditionsError

RINGS = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccoc1", "c1ccsc1")


def chains() -> pd.DataFrame:
    """24 compounds on six rings, in two wells each: the value is twice the number of carbons of the chain."""
    smiles = [f"{'C' * n}{ring}" for ring in RINGS for n in (1, 3, 5, 7)]
    rows = [(s, 2.0 * n) for s, n in zip(smiles, (1, 3, 5, 7) * 6, strict=True)]
    table = pd.DataFrame(rows + rows, columns=["smiles", "area"])
    table.insert(0, "well", [f"{'ABCD'[i // 12]}{i % 12 + 1:02d}" for i in range(48)])
    return table.assign(area=table["area"] + np.random.default_rng(0).normal(0, 0.1, 48))


def test_wells_of_one_compound_share_a_vector_and_are_one_unit() -> None:
    pytest.importorskip("rdkit")
    table = chains()
    table.loc[5, "smiles"] = "C1CC"
    made = treatment_vectors(table, "descriptors")
    assert made.column == "smiles" and len(made.items) == 24 and made.of_row[5] == -1
    assert made.of_row[0] == made.of_row[24] and len(set(made.groups)) == 6
    assert "'C1CC' does not parse" in made.notes[0] and made.baseline_name == "fingerprints"
    found = treatment_effects(made, table["area"].tolist())
    assert found.n_rows.sum() == 47 and found.why_not == ""
    assert found.score is not None and found.score > 0.8, (
        "another ring tells nothing of the length of the chain"
    )
    assert np.corrcoef(found.left_out.astype(float), found.measured.astype(float))[0, 1] > 0.9
    assert found.p is not None and found.p < 0.05


def test_too_few_compounds_give_no_score_but_say_so() -> None:
    pytest.importorskip("rdkit")
    table = chains().head(8)
    found = treatment_effects(treatment_vectors(table), table["area"].tolist())
    assert found.score is None and not len(found.left_out)
    assert "8 different entries of smiles have a value, in 2 groups (scaffold)" in found.why_not


def test_classes_that_differ_between_wells_of_a_compound_are_left_out() -> None:
    pytest.importorskip("rdkit")
    table = chains()
    classes = ["long" if "CCCC" in s[: s.index("1")] else "short" for s in table["smiles"]]
    classes[0] = "long" if classes[0] == "short" else "short"
    found = treatment_effects(treatment_vectors(table, "descriptors"), classes)
    assert found.measured[0] == "" and "1 entries of smiles are of several classes" in found.notes[-1]
    assert found.probability is not None and found.score is not None and found.likeness is None


def test_sequences_of_a_column_or_of_a_file_and_vectors_from_outside(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("ACGT"), 120)) for _ in range(6)]
    table = pd.DataFrame({"well": [f"A{i + 1:02d}" for i in range(6)], "construct": list("abcdef")})
    direct = treatment_vectors(table.assign(sequence=texts), "words")
    assert direct.column == "sequence" and direct.vectors.shape == (6, 136) and direct.columns[0] == "AAAA"
    pytest.importorskip("Bio")
    (tmp_path / "x.fa").write_text("".join(f">{n}\n{t}\n" for n, t in zip("abcde", texts, strict=False)))
    named = treatment_vectors(table, "words", "construct", fasta=tmp_path / "x.fa")
    assert named.items == tuple("abcde") and named.of_row.tolist() == [0, 1, 2, 3, 4, -1]
    np.testing.assert_array_equal(named.vectors, direct.vectors[:5])
    assert "has no sequence f" in named.notes[0]
    pd.DataFrame({"id": list("abcdef"), "x": range(6)}).to_csv(tmp_path / "made.csv", index=False)
    outside = treatment_vectors(table, str(tmp_path / "made.csv"), "construct")
    assert outside.vectors[:, 0].tolist() == [0, 1, 2, 3, 4, 5] and outside.grouping == "item"


def test_what_cannot_be_used_ends_in_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    table = pd.DataFrame({"well": ["A01", "A02"], "what": ["x", "x"], "donor": ["1", "2"]})
    with pytest.raises(
        ConditionsError, match="no column smiles or canonical_smiles: add it to the plate map"
    ):
        treatment_vectors(table)
    with pytest.raises(ConditionsError, match="'fingers' are no vectors; use morgan"):
        treatment_vectors(table, "fingers")
    (tmp_path / "v.csv").write_text("id,a\nx,1\n")
    with pytest.raises(ConditionsError, match="'x' stands in the groups '1' and '2' of donor"):
        treatment_vectors(table, str(tmp_path / "v.csv"), "what", groups="donor")
    with pytest.raises(ConditionsError, match="The column what is empty"):
        treatment_vectors(table.assign(what=""), str(tmp_path / "v.csv"), "what")
    with pytest.raises(BiofmError, match="1 values for 2 rows"):
        treatment_effects(treatment_vectors(table, str(tmp_path / "v.csv"), "what"), [1.0])
    assert not vector_map(np.ones((3, 4), np.float32)).any()


def test_controls_low_doses_and_wells_of_few_cells_do_not_count() -> None:
    pytest.importorskip("rdkit")
    table = chains().assign(dose=[1.0] * 24 + [10.0] * 24, n_cells=50.0, control="")
    table["area"] = np.where(table["dose"] == 1, 1000.0, table["area"])
    table.loc[47, ["n_cells", "area"]] = 2, 5000.0
    table.loc[[22, 46], ["control", "area"]] = "negative", 5000.0
    found = analyse("treatments", table.to_dict("list"), vectors="descriptors", value="area")
    assert "1 wells have fewer than 10 cells and are left out: D12" in found.notes
    assert "R2 0." in found.summary and "fingerprints" in found.summary
    pairs = dict(zip(found.table["well"], found.table["predicted_left_out"], strict=True))
    assert len(pairs) == 48 and pairs["A01"] == pairs["C01"] < 100, "of the wells at 1 nothing was learned"
    assert [plot.y_label for plot in found.plots] == ["Predicted", "Second axis"]


def test_the_verb_writes_predictions_and_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rdkit")
    chains().to_csv(tmp_path / "wells.csv", index=False)
    command = ["treatments", str(tmp_path / "wells.csv"), "--vectors", "descriptors", "--value", "area"]
    assert main([*command, "--with-vectors", "--out", str(tmp_path / "out.csv")]) == 0
    rows = pd.read_csv(tmp_path / "out.csv")
    assert {"group", "predicted_left_out", "v0"} <= set(rows) and len(rows) == 48
    assert "on groups left out" in capsys.readouterr().err
