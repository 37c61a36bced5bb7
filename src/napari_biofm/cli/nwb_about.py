"""Options of verbs that write NWB: what is said of the experiment and the animal."""

from __future__ import annotations

import argparse
from typing import Any

from napari_biofm.signals.nwb_about import FIELDS
from napari_biofm.types import BiofmError


def add_about(verb: Any) -> None:
    """Add an option for each field.

    Parameters
    ----------
    verb : parser.
    """
    group = verb.add_argument_group(
        "in NWB files (default of each: what the source's own NWB file says, else left out)"
    )
    for name, (_, text) in FIELDS.items():
        group.add_argument(
            f"--{name.replace('_', '-')}", metavar="TEXT", help=text[0].lower() + text[1:].rstrip(".")
        )


def about_given(args: argparse.Namespace, writes_nwb: bool) -> dict[str, str] | None:
    """Return what was said, None where nothing was.

    Parameters
    ----------
    args : of the verb.
    writes_nwb : whether there is a file to say it in.

    Raises
    ------
    BiofmError
        If something was said and no NWB file is written.
    """
    given = {name: getattr(args, name) for name in FIELDS if getattr(args, name)}
    if given and not writes_nwb:
        raise BiofmError(
            f"--{next(iter(given)).replace('_', '-')} is said in NWB files, and none is written here"
        )
    return given or None
