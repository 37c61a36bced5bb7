"""The options of verbs that find events: which detector, which kind of events, how sure."""

from __future__ import annotations

import argparse
from typing import get_args

from napari_biofm.events import DEFAULT_DETECTOR, DETECTORS
from napari_biofm.types import Kind, Preset

_FINDS = "which finds the events"
_KIND = "of signal; auto decides per channel"
_PRESET = "of physio-FM: balanced finds most, precise errs least"


def add_detection(verb: argparse.ArgumentParser, *, kind: str = _KIND, preset: bool = True) -> None:
    """Add `--detector`, `--kind` and `--preset` to a verb that finds events on its way.

    Parameters
    ----------
    verb : of the command line.
    kind : help of `--kind`. preset : whether there is `--preset`.
    """
    more = "; `napari-biofm events --help` says more of each"
    verb.add_argument("--detector", default=DEFAULT_DETECTOR, choices=list(DETECTORS), help=_FINDS + more)
    verb.add_argument("--kind", default="auto", choices=get_args(Kind), help=kind)
    if preset:
        verb.add_argument("--preset", default="balanced", choices=get_args(Preset), help=_PRESET)


def add_detection_over_settings(verb: argparse.ArgumentParser) -> None:
    """Add them to a verb that reads them from a file, too: those not given are None.

    Parameters
    ----------
    verb : of the command line.
    """
    for name, choices, words, default in (
        ("detector", list(DETECTORS), _FINDS, DEFAULT_DETECTOR),
        ("kind", get_args(Kind), _KIND, "auto"),
        ("preset", get_args(Preset), _PRESET, "balanced"),
    ):
        verb.add_argument(f"--{name}", default=None, choices=choices, help=f"{words} (default: {default})")
