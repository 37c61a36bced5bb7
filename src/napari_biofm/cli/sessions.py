"""The verb `session`: open one in napari, report on it, look for what is wrong with it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import inputs_exist, note, print_json
from napari_biofm.cli.demo import screen
from napari_biofm.cli.results import add_replacing, kept
from napari_biofm.types import BiofmError, SessionError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    session = verbs.add_parser(
        "session",
        help="open, report on, and check a saved session",
    )
    what = session.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, text, run in (
        ("open", "start napari with a saved session", run_open),
        ("report", "what a session holds, as a page or as JSON", run_report),
        ("validate", "what is wrong with a session; exit code 0: nothing, 1: something", run_validate),
    ):
        one = what.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
        )
        one.add_argument("file", type=Path, metavar="SESSION", help="folder of the session, or its NWB file")
        if name == "report":
            one.add_argument(
                "--out", type=Path, metavar="HTML", help="the page (default: none, JSON on stdout)"
            )
            add_replacing(one)
        if name != "open":
            one.add_argument("--json", action="store_true", help="the same as JSON on stdout")
        one.set_defaults(run=run)


def run_open(args: argparse.Namespace) -> None:
    """Start napari with the session."""
    inputs_exist([args.file])
    if args.file.suffix.lower() != ".nwb" and not args.file.is_dir():
        raise SessionError(f"{args.file} is no session: give the folder that was saved, or its NWB file.")
    try:
        from napari_biofm.widgets.common.session_menu import session_window
    except ImportError as error:
        raise BiofmError(f"The window needs Qt ({error}): pip install 'napari-biofm[all]'.") from error
    with screen(False):
        session_window(args.file)


def run_report(args: argparse.Namespace) -> None:
    """Write the page, print the JSON, or both."""
    from napari_biofm.api.session_report import describe_session, session_report

    inputs_exist([args.file])
    if args.out is not None and not kept(args.out, force=args.force, resume=args.resume):
        note(f"written: {session_report(args.file, args.out)}")
    if args.json or args.out is None:
        print_json(describe_session(args.file))


def run_validate(args: argparse.Namespace) -> None:
    """Tell what is wrong; raise if anything is."""
    from napari_biofm.api.session_report import validate_session

    found = validate_session(args.file)
    if args.json:
        print_json({"session": str(args.file), "problems": found})
    elif not found:
        print("All is well.")
    if found:
        raise SessionError(f"{args.file}: {len(found)} problem{'s' * (len(found) != 1)}: {' | '.join(found)}")
