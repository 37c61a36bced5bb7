"""Activity of simulated sequences from few and many labels, and trees of simulated samples against their phylogeny.

    python benchmarks/sequences.py [--quick] [--json]

Activity: sequences of 200 letters, in families of four relatives (4 % of letters changed); those of half of the families
hold a motif of 8 letters, each copy with one letter changed, on either strand, some times. Words of 4 and 6 letters beside
the share of G and C; macro-F1 with whole families left out, and with families split, which is too good. With 40 labels and with all.
Trees: 24 samples at the leaves of a random tree (Yule), letters changed along its branches (Jukes and Cantor), genomes of 2,000
letters; distances of shared words, neighbour joining and UPGMA. Robinson-Foulds distance to the true tree as a share of the
largest, 0 for the same tree; beside it, what the aligned letters themselves give (Jukes and Cantor): branches on which no letter
changed are found by nothing. 10 seeds each; `--quick` 2.
"""

from __future__ import annotations

import argparse
import json
import warnings
from typing import Any

import numpy as np

from napari_biofm.api.vectors import few_label_head
from napari_biofm.conditions.sequences import (
    Sequences,
    checked_sequences,
    homologous_groups,
    kmer_vectors,
    reverse_complement,
    word_distances,
)
from napari_biofm.conditions.treatments import letter_shares
from napari_biofm.conditions.trees import Node, robinson_foulds, tree

LETTERS = list("ACGT")
N_FAMILIES, N_RELATIVES, LENGTH, FEW = 60, 4, 200, 40
N_SAMPLES, GENOME = 24, 2000


def drawn(rng: np.random.Generator, n: int) -> str:
    return "".join(rng.choice(LETTERS, n))


def changed(rng: np.random.Generator, text: str, share: float) -> str:
    letters = np.array(list(text))
    at = np.flatnonzero(rng.random(len(text)) < share)
    letters[at] = rng.choice(LETTERS, len(at))
    return "".join(letters)


def families(seed: int, copies: int) -> tuple[Sequences, list[str], list[int]]:
    """Return sequences, their activity, and the family of each."""
    rng = np.random.default_rng(seed)
    motif = drawn(rng, 8)
    texts, labels, family = [], [], []
    for i in range(N_FAMILIES):
        letters = list(drawn(rng, LENGTH))
        if i % 2:
            for place in rng.choice(LENGTH // 8, copies, replace=False):
                one = list(motif)
                one[int(rng.integers(8))] = str(rng.choice(LETTERS))
                word = "".join(one)
                letters[place * 8 : place * 8 + 8] = word if rng.random() < 0.5 else reverse_complement(word)
        for _ in range(N_RELATIVES):
            texts.append(changed(rng, "".join(letters), 0.04))
            labels.append("active" if i % 2 else "silent")
            family.append(i)
    return checked_sequences([f"s{i}" for i in range(len(texts))], texts), labels, family


def yule(rng: np.random.Generator, root: str, rate: float) -> tuple[Node, dict[str, str]]:
    """Return a random tree and the sequences at its leaves; `rate` is substitutions per site from root to leaf."""
    lineages: list[dict[str, Any]] = [{"text": root, "children": []}]
    top = lineages[0]
    waits = rng.exponential(1 / np.arange(1, N_SAMPLES + 1))
    waits *= rate / waits.sum()
    for wait in waits[:-1]:
        for one in lineages:
            one["text"] = changed(rng, one["text"], 4 / 3 * wait)
        parent = lineages.pop(int(rng.integers(len(lineages))))
        parent["children"] = [{"text": parent["text"], "children": []} for _ in range(2)]
        lineages += parent["children"]
    names = {}
    for i, one in enumerate(lineages):
        one["name"] = f"t{i}"
        names[f"t{i}"] = changed(rng, one["text"], 4 / 3 * float(waits[-1]))

    def node(one: dict[str, Any]) -> Node:
        return Node(one.get("name", ""), children=tuple(node(child) for child in one["children"]))

    return node(top), names


def activity(seed: int, copies: int, n: int | None) -> dict[str, float]:
    found, labels, family = families(seed, copies)
    rng = np.random.default_rng(seed)
    shown: list[object] = list(labels)
    if n is not None:
        kept = set(rng.permutation(len(labels))[:n].tolist())
        shown = [label if i in kept else None for i, label in enumerate(labels)]
    groups = homologous_groups(found)
    out = {}
    for k in (4, 6):
        words = kmer_vectors(found, k)[0]
        out[f"words of {k}, families left out"] = few_label_head(words, shown, groups.tolist()).score
        if k == 6:
            out["words of 6, families split"] = few_label_head(words, shown).score
    out["G and C, families left out"] = few_label_head(letter_shares(found), shown, groups.tolist()).score
    together = [len({groups[i] for i in range(len(family)) if family[i] == f}) == 1 for f in set(family)]
    out["families found whole"] = float(np.mean(together))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(2 if args.quick else 10)
    result: dict[str, Any] = {}
    for copies in (6, 3):
        for n in (None, FEW):
            runs = [activity(seed, copies, n) for seed in seeds]
            print(
                f"{copies} copies of the motif, {n or 'all'} labels: macro-F1 (standard deviation over seeds)"
            )
            for name in runs[0]:
                values = [run[name] for run in runs]
                print(f"  {name:28} {np.mean(values):.3f} ({np.std(values):.3f})")
                result[f"{name}, {copies} copies, {n or 'all'} labels"] = round(float(np.mean(values)), 4)
    print(
        f"trees of {N_SAMPLES} samples, {GENOME:,} letters: Robinson-Foulds distance as a share of the largest"
    )
    for rate in (0.02, 0.1, 0.3):
        shares: dict[str, list[float]] = {"nj": [], "upgma": [], "nj of aligned letters": []}
        for seed in seeds:
            rng = np.random.default_rng(seed)
            truth, texts = yule(rng, drawn(rng, GENOME), rate)
            found = checked_sequences(list(texts), list(texts.values()))
            distances = word_distances(found)
            letters = np.array([list(text) for text in found.texts])
            aligned = np.array([(letters != one).mean(1) for one in letters])
            aligned = -0.75 * np.log(1 - aligned / 0.75)
            for method, values in shares.items():
                used = aligned if "aligned" in method else distances
                apart, most = robinson_foulds(tree(used, found.names, method.split()[0]), truth)
                values.append(apart / most)
        for method, values in shares.items():
            print(
                f"  {rate:g} substitutions per site, {method:21} {np.mean(values):.3f} (largest {np.max(values):.3f})"
            )
            result[f"robinson_foulds_{method.replace(' ', '_')}_{rate:g}"] = round(float(np.mean(values)), 4)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
