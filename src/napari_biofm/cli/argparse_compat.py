"""What is private in argparse: which options and verbs a parser has. Tried on Python 3.11 to 3.13."""

from __future__ import annotations

import argparse
from collections.abc import Mapping


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options and positional arguments of a parser, without the verbs below it.

    Parameters
    ----------
    parser : any.
    """
    return [one for one in parser._actions if not isinstance(one, argparse._SubParsersAction)]


def verbs_below(parser: argparse.ArgumentParser) -> Mapping[str, tuple[argparse.ArgumentParser, str]]:
    """Return the parsers of the verbs below a parser with their help, by name.

    Parameters
    ----------
    parser : any.
    """
    found: dict[str, tuple[argparse.ArgumentParser, str]] = {}
    for one in parser._actions:
        if isinstance(one, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in one._choices_actions}
            found |= {name: (below, helps.get(name, "")) for name, below in one.choices.items()}
    return found
