"""The verb `conditions`: a plate map joined to files or to rows of cells, with what matched and what did not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_biofm.api.conditions import join_conditions, read_plate_map
from napari_biofm.cli.common import inputs_exist, note, print_json
from napari_biofm.conditions.plates import PlateMap
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "conditions",
        help="a plate map (CSV, TSV, XLSX) joined to files or a table of cells",
        description="Says which file or row belongs to which well and which to none, and why; --out writes the "
        "rows with what was done to their well.",
    )
    verb.add_argument("map", type=Path, metavar="MAP", help="the plate map: CSV, TSV or XLSX")
    verb.add_argument(
        "names", type=Path, nargs="*", metavar="FILE|DIR", help="files to join; all of a folder"
    )
    verb.add_argument(
        "--cells", type=Path, metavar="CSV", help="a table whose rows get the columns of the map"
    )
    verb.add_argument("--out", type=Path, metavar="CSV", help="the joined rows, or the map in one spelling")
    verb.add_argument("--json", action="store_true", help="what matched and what did not, on stdout")
    add_joining(verb)
    verb.set_defaults(run=run)


def add_joining(verb: argparse.ArgumentParser) -> None:
    """Add the options that say how rows find their well."""
    verb.add_argument("--pattern", metavar="TEXT", help="how names are made, such as {plate}_{well}_s{site}")
    verb.add_argument(
        "--column", default="", metavar="NAME", help="of --cells, which names the image; found if not given"
    )
    verb.add_argument("--negative", metavar="COMPOUND", help="the compound of the negative controls")


def read_table(path: Path) -> DataFrame:
    """Read a CSV table; text that was written with an apostrophe before a formula is read without."""
    import pandas as pd

    from napari_biofm.files import read_cell

    inputs_exist([path])
    try:
        rows = pd.read_csv(path, encoding="utf-8-sig", keep_default_na=True, low_memory=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise ConditionsError(f"{path} cannot be read as CSV ({error}).") from error
    rows = rows.rename(columns=read_cell)
    for name in rows.columns:
        if rows[name].dtype.kind not in "biufc":
            rows[name] = rows[name].fillna("").astype(str).map(read_cell).astype(object)
    return rows


def opened_map(args: argparse.Namespace, path: Path) -> PlateMap:
    """Read the plate map of a call, and say on stderr what it says of itself."""
    plates = read_plate_map(path, args.negative)
    for sentence in plates.notes:
        note(f"{plates.name}: {sentence}")
    return plates


def run(args: argparse.Namespace) -> None:
    """Print the preview, and write the joined rows."""
    from napari_biofm.cells.table.export import write_rows

    inputs_exist([args.map, *args.names])
    plates = opened_map(args, args.map)
    if args.out is not None and args.out.suffix.lower() != ".csv":
        raise ConditionsError(f"{args.out} should end in .csv.")
    if args.cells is not None and args.names:
        raise ConditionsError("Give files or --cells, not both.")
    if args.cells is None and not args.names:
        rows, join = plates.table, None
        note(f"{len(rows)} rows with {', '.join(plates.table.columns)}")
    elif args.cells is not None:
        rows, join = join_conditions(read_table(args.cells), plates, args.pattern, args.column)
    else:
        rows, join = join_conditions(_files(args.names), plates, args.pattern)
    if args.out is not None:
        write_rows(rows, args.out)
    if join is not None and not args.json:
        print(join.preview())
    if args.json:
        lost = (
            {} if join is None else {n: why for n, why in zip(join.names, join.reasons, strict=True) if why}
        )
        print_json({
            "rows": len(plates.table), "columns": list(plates.table.columns), "notes": list(plates.notes),
            "matched": None if join is None else join.n_matched, "unmatched": lost,
            "unused": [] if join is None else plates.table.iloc[list(join.unused)].iloc[:, :2].to_dict("records"),
        })  # fmt: skip


def _files(paths: list[Path]) -> list[Path]:
    out: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        out += [p for p in inside if not p.name.startswith(".")]
    if not out:
        raise ConditionsError(f"{paths[0]}: there is no file in it.")
    return out
