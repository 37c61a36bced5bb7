"""The verb `export`: masks, sessions and runs as files for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.api.export_files import FORMATS
from napari_biofm.cli.common import inputs_exist, note, print_json, shown
from napari_biofm.cli.nwb_about import about_given, add_about
from napari_biofm.cli.results import add_replacing
from napari_biofm.types import BatchError

SOME_FAILED = 3
WRITTEN = "formats:\n" + "\n".join(f"  {name:<10} {text}" for name, text in FORMATS.items())


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "export",
        help="masks, a session or a run as files for other programs",
        description="Writes files for other programs. Nothing is replaced unasked, and no two results share a name. "
        "Exit code 0: all written; 3: some could not be.",
        epilog=WRITTEN,
    )
    verb.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE",
        help="files of masks (label images, or outlines of other programs), the folder of a session or its NWB file, "
        "or the folder of a run",
    )  # fmt: skip
    verb.add_argument(
        "--to",
        nargs="+",
        required=True,
        choices=tuple(FORMATS),
        metavar="FORMAT",
        help="one or several: " + ", ".join(FORMATS),
    )
    verb.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the files; it is made"
    )
    verb.add_argument(
        "--image", type=Path, nargs="+", default=[], metavar="IMG",
        help="the image of each file of masks: for intensities, names and shapes (default: shapes only)",
    )  # fmt: skip
    verb.add_argument(
        "--classes",
        type=Path,
        metavar="CSV",
        help="object_id,label: classes of one file of masks (default: the file's own)",
    )
    verb.add_argument(
        "--plane",
        type=int,
        metavar="N",
        help="plane of a stack, counted from 0, for formats that hold one plane",
    )
    verb.add_argument(
        "--rejected",
        action="store_true",
        help="tables of sessions hold rejected cells and their events, too (default: left out; outlines and NWB hold all)",
    )
    verb.add_argument("--json", action="store_true", help="what was written as JSON on stdout")
    add_about(verb)
    add_replacing(verb)
    verb.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    """Write the files; returns the exit code."""
    from napari_biofm.batch.exporting import export
    from napari_biofm.cells.table.files import read_classes_by_label

    inputs_exist([*args.sources, *args.image, *([args.classes] if args.classes else [])])
    if args.classes is not None and len(args.sources) > 1:
        raise BatchError("--classes belongs to one file of masks; export the others apart.")
    about = about_given(args, "nwb" in args.to)
    classes = None if args.classes is None else read_classes_by_label(args.classes)
    done = export(
        args.sources, args.out, args.to, images=args.image, classes=classes, plane=args.plane, rejected=args.rejected, force=args.force,
        resume=args.resume, about=about, progress=shown("export"),
    )  # fmt: skip
    if args.json:
        print_json(
            {
                "files": [str(p) for p in done.files], "kept": [str(p) for p in done.kept],
                "notes": dict(done.notes), "failed": dict(done.failed),
            }
        )  # fmt: skip
    for name, words in done.notes.items():
        note(f"{name}: {words}")
    for words in list(done.failed.values())[:10]:
        note(f"failed: {words}")
    if done.failed and not done.files:
        raise BatchError(
            f"none of {len(done.failed)} files could be written; the first: {next(iter(done.failed.values()))}"
        )
    note(f"{len(done.files)} files in {args.out}" + (f", {len(done.kept)} kept" if done.kept else ""))
    return SOME_FAILED if done.failed else 0
