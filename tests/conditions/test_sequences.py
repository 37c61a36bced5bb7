"""Sequences: words counted as by hand, the same on both strands; trees as of a known phylogeny; variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.conditions.sequences import (
    checked_sequences,
    homologous_groups,
    kmer_vectors,
    read_sequences,
    reverse_complement,
    variant,
    word_distances,
)
from napari_biofm.conditions.trees import Node, robinson_foulds, tree
from napari_biofm.types import ConditionsError


def _random(rng: np.random.Generator, n: int) -> str:
    return "".join(rng.choice(list("ACGT"), n))


def _mutated(rng: np.random.Generator, text: str, share: float) -> str:
    letters = np.array(list(text))
    at = np.flatnonzero(rng.random(len(text)) < share)
    letters[at] = rng.choice(list("ACGT"), len(at))
    return "".join(letters)


def test_words_are_counted_on_both_strands() -> None:
    found, words = kmer_vectors(
        checked_sequences(["a"], ["AACGT"]), 2
    )  # AA AC CG GT; GT is AC on the other strand
    assert len(words) == 10
    shares = dict(zip(words, found[0].tolist(), strict=True))
    assert shares["AA"] == 0.25 and shares["AC"] == 0.5 and shares["CG"] == 0.25
    text = _random(np.random.default_rng(0), 500)
    two, _ = kmer_vectors(checked_sequences(["f", "r"], [text, reverse_complement(text)]), 4)
    np.testing.assert_array_equal(two[0], two[1])


def test_unknown_letters_are_told_and_not_counted() -> None:
    found = checked_sequences(["a", "b", "c"], ["AANAC", "NNNN", "ACGU"])
    assert "2 sequences hold N" in found.notes[0] and "a (1 of 5)" in found.notes[0]
    values, words = kmer_vectors(found, 2)
    assert values[0, words.index("AA")] == values[0, words.index("AC")] == 0.5
    assert np.isnan(values[1]).all() and np.isfinite(values[2]).all()


@pytest.mark.parametrize("method", ["nj", "upgma"])
def test_the_tree_of_tree_distances_is_that_tree(method: str) -> None:
    # ((A:1,B:1):2,((C:1,D:1):1,E:2):1), clocklike, so both methods must find it; distances by hand
    d = np.array([[0, 2, 6, 6, 6], [2, 0, 6, 6, 6], [6, 6, 0, 2, 4], [6, 6, 2, 0, 4], [6, 6, 4, 4, 0]])
    found = tree(d, list("ABCDE"), method)
    truth = Node(children=(
        Node(children=(Node("A"), Node("B"))),
        Node(children=(Node(children=(Node("C"), Node("D"))), Node("E"))),
    ))  # fmt: skip
    assert robinson_foulds(found, truth) == (0, 4)
    other = Node(children=(
        Node(children=(Node("A"), Node("C"))),
        Node(children=(Node(children=(Node("B"), Node("D"))), Node("E"))),
    ))  # fmt: skip
    assert robinson_foulds(found, other) == (4, 4)
    if method == "upgma":
        assert found.newick().count(":1") == 6


def test_neighbour_joining_finds_the_branches_of_unequal_rates() -> None:
    # A:2 B:3 | C:4 D:5 with 1 between (Felsenstein's four points), as Newick text
    d = np.array([[0, 5, 7, 8], [5, 0, 8, 9], [7, 8, 0, 9], [8, 9, 9, 0]])
    text = tree(d, ["A", "B", "C x", "D"]).newick()
    assert "A:2" in text and "B:3" in text and "'C x':4" in text and "D:5" in text and text.endswith(";")


def test_a_simulated_phylogeny_is_found_again_and_relatives_are_one_group() -> None:
    rng = np.random.default_rng(3)
    root = _random(rng, 3000)
    sides = [_mutated(rng, root, 0.05) for _ in range(2)]
    inner = [_mutated(rng, side, 0.04) for side in sides for _ in range(2)]
    leaves = [_mutated(rng, one, 0.03) for one in inner for _ in range(2)]
    names = [f"s{i}" for i in range(8)]
    pairs = [Node(children=(Node(names[i]), Node(names[i + 1]))) for i in range(0, 8, 2)]
    truth = Node(children=(Node(children=tuple(pairs[:2])), Node(children=tuple(pairs[2:]))))
    found = checked_sequences(names, leaves)
    assert robinson_foulds(tree(word_distances(found), names), truth) == (0, 10)
    mixed = checked_sequences([*names, "x", "y"], [*leaves, _random(rng, 3000), reverse_complement(root)])
    groups = homologous_groups(mixed)
    assert len(set(groups[:8])) == 1 and groups[9] == groups[0] and groups[8] != groups[0]


def test_variants_name_what_stands_there() -> None:
    assert variant("ACGT", "2C>TT") == "ATTGT"
    with pytest.raises(ConditionsError, match="has C there, not A"):
        variant("ACGT", "2A>G")
    with pytest.raises(ConditionsError, match="is no change"):
        variant("ACGT", "p.Val600Glu")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (">a\nACGT\n>a\nACG\n", "'a' stands twice"),
        (">a\nMKVLAAGIE\n", "is it a protein"),
        (">a\n\n", "has no letters"),
        ("", "no sequence|cannot be read"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, content: str, words: str) -> None:
    pytest.importorskip("Bio")
    (tmp_path / "x.fa").write_text(content)
    with pytest.raises(ConditionsError, match=words):
        read_sequences(tmp_path / "x.fa")


def test_the_verb_reads_fasta_and_genbank_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seq_io = pytest.importorskip("Bio.SeqIO")
    rng = np.random.default_rng(5)
    texts = [_random(rng, 200) for _ in range(3)]
    (tmp_path / "s.fa").write_text("".join(f">s{i} told\n{t}N\n" for i, t in enumerate(texts)))
    with (tmp_path / "s.fa").open() as file:
        records = list(seq_io.parse(file, "fasta"))
    for record in records:
        record.annotations["molecule_type"] = "DNA"
    seq_io.write(records, tmp_path / "s.gb", "genbank")
    for ending in ("fa", "gb"):
        call = [
            "sequences",
            str(tmp_path / f"s.{ending}"),
            "--k",
            "3",
            "--out",
            str(tmp_path / f"{ending}.csv"),
        ]
        assert main([*call, "--tree", str(tmp_path / f"{ending}.nwk")]) == 0
    assert "3 sequences hold N" in capsys.readouterr().err
    assert (tmp_path / "fa.csv").read_text() == (tmp_path / "gb.csv").read_text()
    rows = pd.read_csv(tmp_path / "fa.csv")
    assert list(rows["name"]) == ["s0", "s1", "s2"] and len(rows.columns) == 3 + 32
    assert (tmp_path / "fa.nwk").read_text().count(":") == 3
    change = f"s1:3{texts[1][2]}>{'A' if texts[1][2] != 'A' else 'C'}"
    call = ["sequences", str(tmp_path / "s.fa"), "--variant", change, "--out", str(tmp_path / "e.csv")]
    assert main(call) == 0
    assert 0 < pd.read_csv(tmp_path / "e.csv")["distance"][0] < 0.1


def test_a_motif_is_learned_and_relatives_are_never_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("Bio")
    rng = np.random.default_rng(7)
    names, texts, labels = [], [], []
    for i in range(60):
        text = list(_random(rng, 200))
        if i % 2:
            for at in rng.choice(24, 10, replace=False):
                text[at * 8 : at * 8 + 6] = "TGACGT"
        for copy in range(2):
            names.append(f"s{i}_{copy}")
            texts.append(_mutated(rng, "".join(text), 0.03 * copy))
            labels.append("active" if i % 2 else "silent")
    head = biofm.sequence_head(names, texts, [label if i % 3 else None for i, label in enumerate(labels)])
    assert head.score > 0.9 and head.baseline is not None and head.score > head.baseline
    assert "groups left out" in head.notes[0]
    assert np.mean(head.predicted == np.array(labels)) > 0.95
    (tmp_path / "s.fa").write_text("".join(f">{n}\n{t}\n" for n, t in zip(names, texts, strict=True)))
    pd.DataFrame({"name": [*names[:80], "x"], "activity": [*labels[:80], "silent"]}).to_csv(
        tmp_path / "l.csv", index=False
    )
    call = ["sequences", str(tmp_path / "s.fa"), "--labels", str(tmp_path / "l.csv"), "--label", "activity"]
    assert main([*call, "--out", str(tmp_path / "o.csv")]) == 0
    said = capsys.readouterr().err
    assert "1 labels are of no sequence: x" in said and "macro-F1" in said
    out = pd.read_csv(tmp_path / "o.csv")
    assert (out["predicted"][80:] == np.array(labels)[80:]).mean() > 0.9
    groups = out["homologous"].to_numpy()
    assert (groups[::2] == groups[1::2]).all()
