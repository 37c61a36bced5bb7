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
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table")
    verb.add_argument(
        "--similar", metavar="SMILES", help="adds the column similarity, the most similar first"
    )
    verb.add_argument(
        "--vectors",
        metavar="KIND",
        help="adds the columns v0, v1, ...: morgan, descriptors, minimol, or the folder of a BERT or RoBERTa encoder of SMILES, "
        "such as ChemBERTa (extra bert; default: none)",
    )
    verb.add_argument(
        "--svg",
        type=Path,
        metavar="SVG",
        help="drawn structures: the most similar first, or all (at most --most)",
    )
    verb.add_argument(
        "--most", type=int, default=24, metavar="N", help="structures that are drawn (default: 24)"
    )
    verb.add_argument(
        "--label",
        metavar="COLUMN",
        help="property or effect to learn from the rows that have it, scored on scaffolds left out, fingerprints beside; "
        "of descriptors if --vectors names no others",
    )
    verb.add_argument(
        "--effects",
        metavar="COLUMNS",
        help="do similar compounds do similar things? columns with commas between, or z for all that end in _z",
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write the table with what is known of each structure."""
    import pandas as pd

    from napari_biofm.api.compounds import compound_head
    from napari_biofm.cells.table.export import write_rows
    from napari_biofm.conditions.compounds import encoder_of, read_compounds, similar, vectors
    from napari_biofm.conditions.likeness import similar_effects, structures_svg
    from napari_biofm.files import write_text

    encoder = None if args.vectors is None else encoder_of(args.vectors)
    if encoder is not None:
        note(encoder.text)
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
    for name in (args.label, *_effects(args.effects)):
        if name and name not in rows:
            raise ConditionsError(f"{args.table.name} has no column {name!r}.")
    if args.label:
        head = compound_head(compounds.smiles, list(rows[args.label]), args.vectors or "descriptors")
        out = out.assign(predicted=head.predicted)
        out = out if head.probability is None else out.assign(probability=head.probability)
        for sentence in head.notes:
            note(sentence)
    elif args.vectors:
        found = vectors(compounds, args.vectors)
        out = pd.concat([out, pd.DataFrame(found, columns=[f"v{i}" for i in range(found.shape[1])])], axis=1)
    order = [i for i in range(len(rows)) if compounds.parsed[i]]
    near: dict[int, float] = {}
    if args.similar:
        near = dict(similar(args.similar, compounds, len(rows)))
        order = list(near)
        out = out.assign(similarity=[near.get(i) for i in range(len(rows))])
        out = out.sort_values("similarity", ascending=False, kind="stable", na_position="last")
    if args.effects:
        told = similar_effects(rows, _effects(args.effects), smiles=str(column))
        note(
            f"{told.n} compounds: similar structures do similar things with rank correlation {told.rho:.3f} "
            f"(p {told.p:.3g} by permutation of compounds)"
        )
    if args.svg:
        shown = order[: args.most]
        titles = [_title(rows.iloc[i], near.get(i)) for i in shown]
        write_text(args.svg, structures_svg(compounds, shown, titles))
    write_rows(out, args.out)
    note(f"{int(compounds.parsed.sum())} of {len(rows)} structures in {args.out.name}")


def _effects(text: str | None) -> list[str]:
    """Return the columns that are named; none for `z`, which means all that end in _z."""
    return [] if not text or text == "z" else [name.strip() for name in text.split(",") if name.strip()]


def _title(row: Any, likeness: float | None) -> str:
    """Return what stands under a structure: the name of the compound, and how alike it is."""
    name = next((str(row[c]) for c in row.index if str(c).lower() in ("compound", "name", "compound id")), "")
    return f"{name[:24]} {'' if likeness is None else f'{likeness:.2f}'}".strip()
