"""The verb `correct`: masks of a run corrected by hand, and what depends on them done again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import inputs_exist, note, print_json
from napari_biofm.types import BatchError

IN_NAPARI = (
    "The masks can be corrected in napari: the dock Conditions opens the folder of a run, shows the field of a well that is "
    "clicked, and has a button that does this."
)


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "correct",
        help="put corrected masks into a run, and do again what depends on them",
        description="Puts masks corrected by hand in the place of those of one item of a run. Its other steps run again, the "
        "tables and the report follow, and the manifest says so. They stay when the run is resumed or begun anew.",
        epilog=IN_NAPARI,
    )
    verb.add_argument("results", type=Path, metavar="RUN", help="folder of a finished run")
    verb.add_argument(
        "--item", metavar="ITEM", help="name of the image, or its key where several are called so"
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--masks", type=Path, metavar="MASK", help="label image of the same shape")
    what.add_argument("--undo", action="store_true", help="take the correction of the item back")
    what.add_argument(
        "--list", action="store_true", help="print the items whose masks were corrected, and stop"
    )
    verb.add_argument("--json", action="store_true", help="counts of the run, or the list, as JSON on stdout")
    verb.set_defaults(run=run_correct)


def run_correct(args: argparse.Namespace) -> None:
    """Do the item again."""
    from napari_biofm.batch.correct import correct_masks, corrected_items, undo_correction

    inputs_exist([args.results, *([args.masks] if args.masks else [])])
    if args.list:
        known = corrected_items(args.results)
        if args.json:
            print_json(known)
        else:
            print("\n".join(f"{key} {about.get('corrected_at', '')}".strip() for key, about in known.items()))
        return
    if args.item is None:
        raise BatchError("give the item: --item NAME of its image.")
    if args.undo:
        result = undo_correction(args.results, args.item)
    else:
        result = correct_masks(args.results, args.item, args.masks)
    for words in (*result.problems, *result.notes):
        note(words)
    note(f"{args.item} was done again in {result.seconds:.1f} s; see {result.out / 'report.html'}")
    if args.json:
        print_json(
            {"tables": result.tables, "seconds": round(result.seconds, 3), "problems": list(result.problems)}
        )
