"""What is private in argparse: which options and verbs a parser has, how help is laid out. Tried on Python 3.11 to 3.13."""

from __future__ import annotations

import argparse
from collections.abc import Mapping


class HelpFormatter(argparse.HelpFormatter):
    """Help that fills paragraphs, keeps those of several lines as they are, and shows defaults."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.strip("\n").split("\n\n")
        return "\n\n".join(
            part if "\n" in part else super(HelpFormatter, self)._fill_text(part, width, indent)
            for part in parts
        )

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shown = action.option_strings and action.default not in (None, False, "", argparse.SUPPRESS, [], ())
        return f"{text} (default %(default)s)" if shown and "default" not in text else text


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
