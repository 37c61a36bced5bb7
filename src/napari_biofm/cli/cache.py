"""The verb on passes that are kept on disk: cache."""

from __future__ import annotations

import argparse
from typing import Any

from napari_biofm.cli.common import note, print_json


def add_verbs(verbs: Any) -> None:
    """Add the verbs of this room to the parser."""
    cache = verbs.add_parser("cache", help="passes of networks kept on disk, so that nothing runs twice")
    what = cache.add_subparsers(dest="what", required=True, metavar="WHAT")
    listing = what.add_parser("list", help="what is kept, the least recently used first")
    listing.add_argument("--json", action="store_true", help="as JSON on stdout")
    listing.set_defaults(run=run_list)
    path = what.add_parser("path", help="the folder of kept passes")
    path.set_defaults(run=run_path)
    clear = what.add_parser("clear", help="remove all kept passes")
    clear.set_defaults(run=run_clear)


def run_list(args: argparse.Namespace) -> None:
    """Print what is kept."""
    from napari_biofm.images.tiling.pass_store import PassStore

    report = PassStore().report()
    if args.json:
        print_json(report)
        return
    for row in report["passes"]:
        shape = " x ".join(str(n) for n in row.get("shape", ()))
        print(
            f"{row['key'][:12]}  {row['bytes'] / 1e6:8.1f} MB  {row['used']}  {row.get('model', ''):<16} {shape}"
        )
    print(f"{report['bytes'] / 1e9:.2f} of {report['limit'] / 1e9:.0f} GB in {report['folder']}")


def run_path(_: argparse.Namespace) -> None:
    """Print the folder."""
    from napari_biofm.images.tiling.pass_store import cache_folder

    print(cache_folder())


def run_clear(_: argparse.Namespace) -> None:
    """Remove all kept passes."""
    from napari_biofm.images.tiling.pass_store import PassStore

    note(f"{PassStore().clear() / 1e6:.1f} MB freed")
