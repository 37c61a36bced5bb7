"""The verb `vectors`: vectors from outside joined to rows, and few-label heads on them."""

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
        "vectors",
        help="vectors computed elsewhere joined to rows by cell, well, sample or subject; a head on few labels",
        description="With --label a head is fitted to the rows that have one, scored on groups left out, and predicts "
        "the rest.",
    )
    verb.add_argument("table", type=Path, metavar="CSV", help="rows of cells, wells, samples or subjects")
    verb.add_argument(
        "--vectors", type=Path, required=True, metavar="FILE", help="CSV, TSV, Parquet, .npy or .h5ad"
    )
    verb.add_argument("--ids", type=Path, metavar="TXT", help="one id a line, for .npy")
    verb.add_argument(
        "--key",
        default="",
        metavar="NAME",
        help="column of the ids (default: the first), or key in obsm of .h5ad",
    )
    verb.add_argument("--by", required=True, metavar="COLUMN", help="of the table, which holds the ids")
    verb.add_argument(
        "--label", metavar="COLUMN", help="to learn: names of classes, or numbers; empty where not known"
    )
    verb.add_argument(
        "--groups",
        metavar="COLUMN",
        help="left out as wholes for the scores: site, scaffold, homologous, donor",
    )
    verb.add_argument(
        "--baseline", type=Path, metavar="FILE", help="other vectors, by the same ids, scored beside them"
    )
    verb.add_argument(
        "--out", type=Path, required=True, metavar="CSV", help="the table with the vectors joined"
    )
    verb.set_defaults(run=run_vectors)


def run_vectors(args: argparse.Namespace) -> None:
    """Write the rows with their vectors, or with what the head predicts."""
    import pandas as pd

    from napari_biofm.api.vectors import few_label_head, join_vectors
    from napari_biofm.cells.table.export import write_rows

    inputs_exist([p for p in (args.table, args.vectors, args.ids, args.baseline) if p is not None])
    rows = read_table(args.table)
    found, notes = join_vectors(rows, args.vectors, args.by, ids=args.ids, key=args.key)
    for sentence in notes:
        note(sentence)
    if args.label is None:
        names = [f"v{i}" for i in range(found.shape[1])]
        write_rows(pd.concat([rows, pd.DataFrame(found, columns=names)], axis=1), args.out)
        note(f"{len(rows)} rows in {args.out.name}")
        return
    for name in filter(None, (args.label, args.groups)):
        if name not in rows:
            raise ConditionsError(f"{args.table.name} has no column {name!r}.")
    groups = None if args.groups is None else list(rows[args.groups].astype(str))
    baseline = None if args.baseline is None else join_vectors(rows, args.baseline, args.by)[0]
    head = few_label_head(found, list(rows[args.label]), groups, baseline)
    for sentence in head.notes:
        note(sentence)
    out = rows.assign(predicted=head.predicted)
    write_rows(out if head.probability is None else out.assign(probability=head.probability), args.out)
