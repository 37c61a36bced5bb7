"""The verbs `profiles` (cells to wells, hits, activity, fractions) and `dose` (dose and response)."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.cli.common import note, print_json
from napari_biofm.cli.conditions import add_joining, opened_map, read_table
from napari_biofm.files import write_text
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_biofm.conditions.dose_response import DoseFit
    from napari_biofm.conditions.profiles import Profiles


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the parser."""
    verb = verbs.add_parser(
        "profiles",
        help="cells to wells: medians, class fractions, normalised to the plate's controls; hits, activity",
        description="Statistics take wells (or donors) as units, never cells.",
    )
    verb.add_argument("cells", type=Path, metavar="CSV", help="one row per cell")
    verb.add_argument("--map", type=Path, metavar="MAP", help="plate map, where the rows are not joined yet")
    verb.add_argument("--out", type=Path, required=True, metavar="CSV", help="one row per well")
    verb.add_argument("--features", metavar="A,B", help="columns; all that describe cells if not given")
    verb.add_argument(
        "--classes", default="", metavar="COLUMN", help="fractions of these classes, such as predicted"
    )
    verb.add_argument(
        "--normalise",
        choices=("robust_z", "sphering", "none"),
        default="robust_z",
        help="to the controls of each plate: robust_z by median and MAD, sphering by whitening, none",
    )
    verb.add_argument("--by", default="compound,dose", metavar="A,B", help="columns that make a condition")
    verb.add_argument("--min-cells", type=int, default=10, metavar="N", help="wells with fewer are left out")
    verb.add_argument(
        "--correct-edges", action="store_true", help="where controls at the edge are found to differ"
    )
    verb.add_argument(
        "--hits", type=Path, metavar="CSV", help="conditions against controls, corrected for many"
    )
    verb.add_argument("--activity", type=Path, metavar="CSV", help="mean average precision of replicates")
    verb.add_argument(
        "--fractions", type=Path, metavar="CSV", help="of --classes per condition, with intervals"
    )
    verb.add_argument("--edges", type=Path, metavar="CSV", help="whether wells at the edge differ")
    add_joining(verb)
    verb.set_defaults(run=run_profiles)
    dose = verbs.add_parser(
        "dose",
        help="dose and response: EC50, Hill slope, top and bottom with intervals, or why there are none",
        description="Fits the four-parameter logistic to each value of each compound over wells.",
    )
    dose.add_argument("wells", type=Path, metavar="CSV", help="one row per well, as of `profiles --out`")
    dose.add_argument("--map", type=Path, metavar="MAP", help="plate map, where the rows are not joined yet")
    dose.add_argument(
        "--value", action="append", required=True, metavar="COLUMN", help="to fit; again for more"
    )
    dose.add_argument("--by", default="compound", metavar="A,B", help="columns that make one series of doses")
    dose.add_argument(
        "--least-cells",
        type=int,
        default=10,
        metavar="N",
        help="wells with fewer cells are left out (default: 10)",
    )
    dose.add_argument("--out", type=Path, required=True, metavar="CSV", help="the table, one row per curve")
    dose.add_argument("--svg", type=Path, metavar="DIR", help="a plot of every fit")
    dose.add_argument("--json", action="store_true", help="the table on stdout as well")
    add_joining(dose)
    dose.set_defaults(run=run_dose)


def _joined(args: argparse.Namespace, path: Path) -> DataFrame:
    from napari_biofm.api.conditions import join_conditions

    rows = read_table(path)
    if args.map is None:
        if args.negative is not None:
            raise ConditionsError("--negative goes with --map.")
        return rows
    rows, join = join_conditions(rows, opened_map(args, args.map), args.pattern, args.column)
    if join.n_matched < len(join.names) or join.unused:
        note(join.preview())
    return rows


def run_profiles(args: argparse.Namespace) -> None:
    """Write the table of wells, and what was asked of it."""
    from napari_biofm.api.conditions import profiles
    from napari_biofm.cells.table.export import write_rows
    from napari_biofm.conditions.fractions import class_fractions

    if args.fractions is not None and not args.classes:
        raise ConditionsError("--fractions needs --classes, the column with the class of each cell.")
    cells = _joined(args, args.cells)
    features = [f.strip() for f in args.features.split(",") if f.strip()] if args.features else []
    found = profiles(
        cells,
        features,
        classes=args.classes,
        normalise=args.normalise,
        min_cells=args.min_cells,
        correct_edges=args.correct_edges,
    )
    write_rows(found.table, args.out)
    for sentence in found.notes:
        note(sentence)
    note(f"{len(found.table)} wells, {len(found.values)} values in {args.out.name}")
    by = [c for c in args.by.split(",") if c]
    _ask(args, found, by)
    if args.fractions is not None:
        write_rows(class_fractions(cells, args.classes, by), args.fractions)


def _ask(args: argparse.Namespace, found: Profiles, by: list[str]) -> None:
    from napari_biofm.cells.table.export import write_rows
    from napari_biofm.conditions.activity import activity
    from napari_biofm.conditions.hits import edge_effect, hits

    if args.hits is not None:
        rows = hits(found, by)
        write_rows(rows, args.hits)
        note(f"{int(rows['hit'].sum())} of {len(rows)} comparisons differ from the controls (q <= 0.05)")
    if args.activity is not None:
        rows = activity(found, by)
        write_rows(rows, args.activity)
        note(f"{int((rows['q'] <= 0.05).sum())} of {len(rows)} conditions are active (q <= 0.05)")
    if args.edges is not None:
        rows = edge_effect(found)
        write_rows(rows, args.edges)
        differ = rows[rows["q"] <= 0.05]
        note(f"edge wells differ in {', '.join(differ['value']) or 'nothing that the controls can tell'}")


def run_dose(args: argparse.Namespace) -> None:
    """Write the table of fits and their plots."""
    from napari_biofm.analyses.wells import wells_with_cells
    from napari_biofm.api.conditions import dose_response
    from napari_biofm.cells.table.export import write_rows

    wells, said_of_wells = wells_with_cells(_joined(args, args.wells), args.least_cells)
    for sentence in said_of_wells:
        note(sentence)
    by = [c for c in args.by.split(",") if c]
    table, fits = dose_response(wells, args.value, by)
    write_rows(table, args.out)
    for key, fit in fits.items():
        said = (
            f"no EC50: {fit.reason}"
            if fit.reason
            else f"EC50 {fit.ec50:.3g} ({fit.ec50_low:.3g} to {fit.ec50_high:.3g})"
        )
        note(f"{' '.join(key)}: {said}")
    if args.svg is not None:
        for key, fit in fits.items():
            _plot(args.svg, wells, by, key, fit)
    if args.json:
        print_json([
            {k: (None if isinstance(v, float) and not np.isfinite(v) else v) for k, v in row.items()}
            for row in table.to_dict("records")
        ])  # fmt: skip


def _plot(folder: Path, wells: DataFrame, by: list[str], key: tuple[str, ...], fit: DoseFit) -> None:
    from napari_biofm.conditions.dose_plot import dose_svg
    from napari_biofm.conditions.dose_response import series

    x, y, unit = series(wells, by, key[:-1], key[-1])
    name = re.sub(r"[^\w.+-]+", "_", "_".join(key))
    write_text(
        folder / f"{name}.svg", dose_svg(x, y, fit, title=" ".join(key[:-1]), unit=unit, value=key[-1])
    )
