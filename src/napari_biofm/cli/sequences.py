"""The verb `sequences`: k-mer vectors, homologous groups, trees, variants, and heads on few labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import inputs_exist, note
from napari_biofm.cli.conditions import read_table
from napari_biofm.types import ConditionsError, Vectors


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    sequences = verbs.add_parser(
        "sequences",
        help="FASTA or GenBank: k-mer vectors, homologous groups, a tree, the effect of variants (extra sequences)",
        description="Words of k letters are counted on both strands. Sequences with N are named.",
    )
    sequences.add_argument("file", type=Path, metavar="FASTA|GB", help="FASTA or GenBank")
    sequences.add_argument("--k", type=int, default=4, metavar="N", help="letters of a word (default: 4)")
    sequences.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="folder of a k-mer BERT on disk, such as DNABERT, whose vectors stand in place of words (extra bert; default: words)",
    )
    sequences.add_argument(
        "--tree", type=Path, metavar="NWK", help="a tree of the sequences in the Newick format"
    )
    sequences.add_argument(
        "--method",
        choices=("nj", "upgma"),
        default="nj",
        help="of the tree: neighbour joining (default) or UPGMA",
    )
    sequences.add_argument(
        "--variant", action="append", default=[], metavar="NAME:12A>G",
        help="a change of a sequence: the distance of vectors between reference and variant",
    )  # fmt: skip
    sequences.add_argument(
        "--labels", type=Path, metavar="CSV", help="activities to learn: a column of names, and --label"
    )
    sequences.add_argument("--label", default="label", metavar="COLUMN", help="of --labels (default: label)")
    sequences.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
    sequences.set_defaults(run=run_sequences)


def run_sequences(args: argparse.Namespace) -> None:
    """Write vectors and homologous groups, and the tree."""
    import numpy as np
    import pandas as pd

    from napari_biofm.api.compounds import sequence_head
    from napari_biofm.cells.table.export import write_rows
    from napari_biofm.conditions.bert_folder import read_bert_folder
    from napari_biofm.conditions.bert_vectors import bert_vectors
    from napari_biofm.conditions.sequences import (
        Sequences,
        checked_sequences,
        homologous_groups,
        kmer_vectors,
        read_sequences,
        variant,
        word_distances,
    )
    from napari_biofm.conditions.trees import tree
    from napari_biofm.files import write_text

    inputs_exist([args.file, *([] if args.labels is None else [args.labels])])
    found = read_sequences(args.file)
    for sentence in found.notes:
        note(sentence)
    model = None if args.model is None else read_bert_folder(args.model, "sequences")
    if model is not None:
        note(model.text)

    def vectors_of(these: Sequences) -> Vectors:
        return kmer_vectors(these, args.k)[0] if model is None else bert_vectors(model, these.texts)

    if args.variant:
        texts, rows = dict(zip(found.names, found.texts, strict=True)), []
        for asked in args.variant:
            name, _, change = asked.rpartition(":")
            if name not in texts:
                raise ConditionsError(f"{asked!r}: {args.file.name} has no sequence {name!r}.")
            pair = checked_sequences(["reference", "variant"], [texts[name], variant(texts[name], change)])
            two = vectors_of(pair)
            rows.append((name, change, float(np.linalg.norm(two[1] - two[0]))))
        write_rows(pd.DataFrame(rows, columns=["name", "variant", "distance"]), args.out)
    elif args.labels is not None:
        labels, sentences = _labels_of(args.labels, args.label, found.names)
        head = sequence_head(found.names, found.texts, labels, args.k, args.model)
        for sentence in (*sentences, *head.notes):
            note(sentence)
        table = pd.DataFrame({
            "name": found.names, args.label: labels, "homologous": homologous_groups(found), "predicted": head.predicted,
        })  # fmt: skip
        write_rows(
            table if head.probability is None else table.assign(probability=head.probability), args.out
        )
    else:
        table = pd.DataFrame({
            "name": found.names, "length": [len(t) for t in found.texts], "homologous": homologous_groups(found),
        })  # fmt: skip
        values = vectors_of(found)
        columns = (
            kmer_vectors(found, args.k)[1] if model is None else [f"v{i}" for i in range(values.shape[1])]
        )
        write_rows(pd.concat([table, pd.DataFrame(values, columns=columns)], axis=1), args.out)
    if args.tree is not None:
        write_text(args.tree, tree(word_distances(found), found.names, args.method).newick() + "\n")
    note(f"{len(found.names)} sequences in {args.out.name}")


def _labels_of(path: Path, column: str, names: tuple[str, ...]) -> tuple[list[object], list[str]]:
    """Return the label of each sequence, None where the table has none, and sentences on what did not match."""
    table = read_table(path)
    key = next((c for c in table.columns if str(c).lower() in ("name", "id", "sequence")), table.columns[0])
    if column not in table:
        raise ConditionsError(
            f"{path.name} has no column {column!r}; it has {', '.join(map(str, table.columns))}."
        )
    given = [str(name) for name in table[key]]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ConditionsError(f"{path.name}: {twice[0]!r} stands twice.")
    known = dict(zip(given, table[column].tolist(), strict=True))
    strange = [name for name in given if name not in set(names)]
    if len(strange) == len(given):
        raise ConditionsError(f"{path.name}: no name in the column {key!r} is one of the sequences'.")
    said = [f"{len(strange)} labels are of no sequence: {', '.join(strange[:6])}"] if strange else []
    return [known.get(name) for name in names], said
