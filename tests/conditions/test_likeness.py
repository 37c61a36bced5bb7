"""Similar compounds and similar effects: a known relation is found, none is called chance; few-label heads of structures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.conditions.compounds import read_compounds
from napari_biofm.conditions.likeness import compare_likeness, similar_effects, structures_svg
from napari_biofm.types import ConditionsError

pytest.importorskip("rdkit")
RINGS = (
    "c1ccccc1",
    "C1CCCCC1",
    "c1ccncc1",
    "c1ccc2ccccc2c1",
    "C1CCOCC1",
    "c1ccsc1",
    "c1cc[nH]c1",
    "C1CCNCC1",
)
CHAINS = ("C", "CC", "CCC", "CCO", "CCN", "CC(=O)O", "CCCl", "CC#N")
SMILES = [f"{ring}{chain}" for ring in RINGS for chain in CHAINS]


def test_the_correlation_is_scipys_and_compounds_are_permuted() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    at = rng.normal(size=(12, 2))
    apart = np.sqrt(((at[:, None] - at[None]) ** 2).sum(-1))
    alike = np.exp(-apart) + rng.normal(0, 0.02, apart.shape)
    alike = (alike + alike.T) / 2
    rho, p, chance = compare_likeness(alike, apart, draws=500)
    upper = np.triu_indices(12, 1)
    assert rho == pytest.approx(spearmanr(alike[upper], -apart[upper]).statistic, abs=1e-12)
    assert rho > 0.9 and p == pytest.approx(1 / 501) and abs(chance.mean()) < 0.05
    with pytest.raises(ConditionsError, match="4 compounds"):
        compare_likeness(alike[:4, :4], apart[:4, :4])
    with pytest.raises(ConditionsError, match="equally alike"):
        compare_likeness(np.ones((6, 6)), apart[:6, :6])


def test_p_is_uniform_where_effects_are_chance() -> None:
    rng = np.random.default_rng(1)
    small = 0
    for _ in range(60):
        structure, effects = rng.random((10, 10)), rng.normal(size=(10, 3))
        apart = np.sqrt(((effects[:, None] - effects[None]) ** 2).sum(-1))
        small += compare_likeness(structure + structure.T, apart, draws=99, seed=2)[1] <= 0.1
    assert 1 <= small <= 13


def _wells() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows = [
        (
            ring * 8 + chain,
            text,
            "",
            3.0 * (ring % 2) + rng.normal(0, 0.3),
            3.0 * (ring // 2) + rng.normal(0, 0.3),
        )
        for ring in range(5)
        for chain, text in enumerate(SMILES[ring * 8 : ring * 8 + 8])
        for _ in range(2)
    ]
    table = pd.DataFrame(rows, columns=["number", "smiles", "control", "a_z", "b_z"])
    return pd.concat(
        [table, pd.DataFrame({"smiles": ["", "C1CC"], "control": ["negative", ""], "a_z": 0.0, "b_z": 0.0})]
    )


def test_compounds_of_one_scaffold_with_one_effect_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wells = _wells()
    found = biofm.similar_effects(wells, draws=300)
    assert found.n == 40 and found.rho > 0.2 and found.p < 0.01 and "C1CC" in found.notes[0]
    shuffled = wells.copy()
    shuffled[["a_z", "b_z"]] = wells[["a_z", "b_z"]].sample(frac=1, random_state=0).to_numpy()
    assert similar_effects(shuffled, draws=300).p > 0.01
    with pytest.raises(ConditionsError, match="no column c_z"):
        similar_effects(wells, ["c_z"])
    wells.to_csv(tmp_path / "wells.csv", index=False)
    call = [
        "compounds",
        str(tmp_path / "wells.csv"),
        "--effects",
        "z",
        "--similar",
        "c1ccccc1CO",
        "--most",
        "6",
    ]
    assert main([*call, "--svg", str(tmp_path / "s.svg"), "--out", str(tmp_path / "o.csv")]) == 0
    assert "40 compounds: similar structures do similar things" in capsys.readouterr().err
    root = ET.parse(tmp_path / "s.svg").getroot()
    assert root.tag.endswith("svg")


def test_structures_are_drawn_in_order_with_captions() -> None:
    found = read_compounds([*SMILES[:3], "C1CC"])
    text = structures_svg(found, [2, 0], ["third", "first"])
    ET.fromstring(text.encode())
    assert structures_svg(found) != text
    with pytest.raises(ConditionsError, match="no structure"):
        structures_svg(found, [3])


def test_a_property_is_learned_and_scored_on_scaffolds_left_out(tmp_path: Path) -> None:
    heavy = [float(m.GetNumHeavyAtoms()) for m in read_compounds(SMILES).molecules]
    labels = [value + 0.01 * i if i % 4 else None for i, value in enumerate(heavy)]
    head = biofm.compound_head([*SMILES, "C1CC"], [*labels, None])
    assert head.score > 0.8 and head.baseline is not None and head.baseline < head.score
    assert "groups left out" in head.notes[0] and np.isnan(head.predicted[-1])
    assert np.corrcoef(np.asarray(head.predicted[:-1], float), heavy)[0, 1] > 0.9
    table = pd.DataFrame(
        {"smiles": SMILES, "oily": ["yes" if "O" not in s and "N" not in s else "no" for s in SMILES]}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    assert (
        main(["compounds", str(tmp_path / "t.csv"), "--label", "oily", "--out", str(tmp_path / "o.csv")]) == 0
    )
    out = pd.read_csv(tmp_path / "o.csv")
    assert (out["predicted"] == out["oily"]).mean() > 0.9 and out["probability"].between(0, 1).all()
