"""The same verbs without a screen: `napari-biofm VERB ...`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_biofm import __version__
from napari_biofm.cli.argparse_compat import arguments_of, verbs_below
from napari_biofm.cli.common import clear_line, note
from napari_biofm.cli.examples import give_examples
from napari_biofm.engine.threads import wait_asleep
from napari_biofm.engine.torch_there import without_torch
from napari_biofm.files import keeping_former
from napari_biofm.types import BiofmError

ROOMS = (
    "images",
    "signals",
    "motion",
    "active_cells",
    "physio",
    "what_if",
    "analyses",
    "protocols",
    "collections",
    "described",
    "clocks",
    "batch",
    "cells",
    "conditions",
    "convert",
    "correct",
    "export",
    "sessions",
    "completion",
    "profiles",
    "compounds",
    "vectors",
    "sequences",
    "poses",
    "volumes",
    "models",
    "train",
    "cache",
    "demo",
)  # modules that add verbs
OUTPUTS = (
    "out", "joined", "figure", "tables", "tree", "curve", "svg", "edges", "activity", "hits", "fractions", "classes_out",
    "masks_out",
)  # fmt: skip
# options that name what is written; `--log-json` is a log, not a result
REPLACE = "replace an existing result; without it, one that differs is kept under a numbered name"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every verb; each verb sets `run`, a function of the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog="napari-biofm", description="Cells and the signals recorded from them, without a screen."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for room in ROOMS:
        importlib.import_module(f"napari_biofm.cli.{room}").add_verbs(verbs)
    give_examples(parser)
    _add_force(parser)
    return parser


def _add_force(parser: argparse.ArgumentParser) -> None:
    """Give --force to every verb that writes and decides nothing about former results itself."""
    for verb, _ in verbs_below(parser).values():
        flags = {flag for one in arguments_of(verb) for flag in one.option_strings}
        if flags & {f"--{name.replace('_', '-')}" for name in OUTPUTS} and "--force" not in flags:
            verb.add_argument("--force", action="store_true", dest="replace", help=REPLACE)
        _add_force(verb)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 1 bad input, 2 bad call, 70 our own fault."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # our own message names the file and the remedy
    wait_asleep()
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        try:
            with keeping_former(_outputs(args), note):
                code = args.run(args)
        finally:
            clear_line()
    except BiofmError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("stopped by the user; finished files are kept", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        told = without_torch(error)
        words = f"{error.filename or 'a file'}: {error.strerror or error}"
        return _fail(words if told is error else str(told), 1)
    except MemoryError:
        return _fail("not enough memory; give smaller files or fewer at a time", 1)
    except Exception as error:
        told = without_torch(error)
        if told is not error:
            return _fail(str(told), 1)
        if args.debug:
            raise
        return _fail(
            f"unexpected {type(error).__name__}: {error} (add --debug after napari-biofm for details)", 70
        )
    return code if isinstance(code, int) else 0


def _outputs(args: argparse.Namespace) -> list[Path]:
    """Return the results whose former state is kept; verbs that know --force decide about their --out themselves."""
    names = [name for name in OUTPUTS if name != "out" or not hasattr(args, "force")]
    if getattr(args, "force", False) or getattr(args, "replace", False):
        return []
    return [path for path in (getattr(args, name, None) for name in names) if isinstance(path, Path)]


def _fail(message: str, code: int) -> int:
    print(f"napari-biofm: {' '.join(message.split())}", file=sys.stderr)
    return code
