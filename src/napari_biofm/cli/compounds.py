"""The verb `compounds`: structures of a table read, checked, searched and turned into vectors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import note
from napari_biofm.cli.conditions import read_table
from napari_biofm.types import ConditionsError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "compounds",
        help="SMILES of a table: canonical form, scaffold, similar compounds, vectors (extra chem)",
        description="SMILES that do not parse are named with their row and the reason; nothing is left out.",
    )
    verb.add_argument("table", type=Path, metavar="CSV", help="with a column smiles, such as a plate map")
    verb.add_argument("--out", type=Path, required=True, metavar="CSV")
    verb.add_argument(
        "--similar", metavar="SMILES", help="adds the column similarity, the most similar first"
    )
    verb.add_argument(
        "--vectors", choices=("morgan", "descriptors", "minimol"), help="adds the columns v0, v1, ..."
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the table with what is known of each structure."""
    import pandas as pd

    from napari_biofm.cells.table.export import write_rows
    from napari_biofm.conditions.compounds import read_compounds, similar, vectors

    rows = read_table(args.table)
    column = next((c for c in rows.columns if str(c).lower() in ("smiles", "canonical_smiles")), None)
    if column is None:
        raise ConditionsError(
            f"{args.table}: there is no column smiles; it has {', '.join(map(str, rows.columns))}."
        )
    compounds = read_compounds(list(rows[column].astype(str)))
    for number, text, why in compounds.unreadable():
        note(f"{args.table.name}, row {number + 1}: {text!r} does not parse: {why}")
    out = rows.assign(
        canonical_smiles=compounds.canonical, scaffold=compounds.scaffolds, not_parsed=compounds.reasons
    )
    if args.vectors:
        found = vectors(compounds, args.vectors)
        out = pd.concat([out, pd.DataFrame(found, columns=[f"v{i}" for i in range(found.shape[1])])], axis=1)
    if args.similar:
        near = dict(similar(args.similar, compounds, len(rows)))
        out = out.assign(similarity=[near.get(i) for i in range(len(rows))])
        out = out.sort_values("similarity", ascending=False, kind="stable", na_position="last")
    write_rows(out, args.out)
    note(f"{int(compounds.parsed.sum())} of {len(rows)} structures in {args.out.name}")
