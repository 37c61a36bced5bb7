"""The verb `completion`: what Tab completes, written from the verbs themselves for bash, zsh and fish.

A script that is written once answers at once; asking the program at every Tab would take its start-up each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from napari_biofm.cli.argparse_compat import arguments_of, verbs_below
from napari_biofm.cli.examples import PROGRAM


@dataclass(frozen=True)
class Flag:
    """An option: its `names`, whether a value follows, which values there are, and its help."""

    names: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Verb:
    """A verb: the words it is called by, its help, its options, the verbs below it, and values of what follows."""

    words: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...]
    below: tuple[str, ...]
    choices: tuple[str, ...]


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "completion",
        help="a script with which Tab completes verbs and options",
        description="Prints a script for a shell; open a new shell after it was put in its place.",
    )
    verb.add_argument("shell", choices=tuple(SCRIPTS), help="which shell it is for")
    verb.set_defaults(run=run_completion)


def run_completion(args: argparse.Namespace) -> None:
    """Print the script."""
    from napari_biofm.cli import build_parser

    print(SCRIPTS[args.shell](list(verbs_of(build_parser()))), end="")


def verbs_of(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), text: str = "") -> Iterator[Verb]:
    """Yield a parser and all that are below it.

    Parameters
    ----------
    parser : of the program.
    words : that lead to it.
    text : its help.
    """
    flags: list[Flag] = []
    choices: list[str] = []
    for action in arguments_of(parser):
        known = tuple(map(str, action.choices or ()))
        if action.option_strings:
            flags.append(Flag(tuple(action.option_strings), action.nargs != 0, known, _plain(action.help)))
        else:
            choices += known
    below = verbs_below(parser)
    yield Verb(words, _plain(text), tuple(flags), tuple(below), tuple(choices))
    for name, (one, told) in below.items():
        yield from verbs_of(one, (*words, name), told)


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


def bash(verbs: list[Verb]) -> str:
    """Return the script for bash.

    Parameters
    ----------
    verbs : of `verbs_of`.
    """
    paths = [_path(verb) for verb in verbs if verb.words]
    values = [
        f'        {_either(f"{_path(verb)}|{name}" for name in flag.names)}) COMPREPLY=($(compgen -W "{" ".join(flag.choices)}" -- "$cur")); return ;;'
        for verb in verbs
        for flag in verb.flags
        if flag.choices
    ]
    others = [
        f"        {_either(f'{_path(verb)}|{name}' for flag in verb.flags if flag.takes_value and not flag.choices for name in flag.names)}) return ;;"
        for verb in verbs
        if any(flag.takes_value and not flag.choices for flag in verb.flags)
    ]
    flags = [
        f'            "{_path(verb)}") COMPREPLY=($(compgen -W "{_all_flags(verb)}" -- "$cur")) ;;'
        for verb in verbs
    ]
    plain = [
        f'        "{_path(verb)}") COMPREPLY=($(compgen -W "{" ".join((*verb.below, *verb.choices))}" -- "$cur")) ;;'
        for verb in verbs
        if verb.below or verb.choices
    ]
    lines = [
        "_napari_biofm() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" path="" i',
        "    COMPREPLY=()",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        '        case "$path ${COMP_WORDS[i]}" in',
        f'            {_either(paths)}) path="$path ${{COMP_WORDS[i]}}" ;;',
        "        esac",
        "    done",
        '    case "$path|$prev" in',
        *values,
        *others,
        "    esac",
        "    if [[ $cur == -* ]]; then",
        '        case "$path" in',
        *flags,
        "        esac",
        "        return",
        "    fi",
        '    case "$path" in',
        *plain,
        "    esac",
        "}",
        f"complete -o default -F _napari_biofm {PROGRAM}",
    ]
    return "\n".join(lines) + "\n"


def zsh(verbs: list[Verb]) -> str:
    """Return the script for zsh, which runs that of bash.

    Parameters
    ----------
    verbs : of `verbs_of`.
    """
    return (
        "autoload -Uz compinit bashcompinit\n"
        "(( ${+functions[compdef]} )) || compinit\n"
        "bashcompinit\n" + bash(verbs)
    )


def fish(verbs: list[Verb]) -> str:
    """Return the script for fish.

    Parameters
    ----------
    verbs : of `verbs_of`.
    """
    helps = {verb.words: verb.help for verb in verbs}
    lines = []
    for verb in verbs:
        here = "__fish_use_subcommand"
        if verb.words:
            here = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in verb.words)
        inner = (
            here
            if not verb.below or not verb.words
            else f"{here}; and not __fish_seen_subcommand_from {' '.join(verb.below)}"
        )
        for name in verb.below:
            lines.append(
                f"complete -c {PROGRAM} -f -n {_quoted(inner)} -a {name} -d {_quoted(helps[(*verb.words, name)])}"
            )
        if verb.choices:
            lines.append(f"complete -c {PROGRAM} -f -n {_quoted(inner)} -a {_quoted(' '.join(verb.choices))}")
        for flag in verb.flags:
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in flag.names)
            value = (
                f" -x -a {_quoted(' '.join(flag.choices))}"
                if flag.choices
                else " -r"
                if flag.takes_value
                else ""
            )
            lines.append(f"complete -c {PROGRAM} -n {_quoted(here)} {names}{value} -d {_quoted(flag.help)}")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}


def _path(verb: Verb) -> str:
    return "".join(f" {word}" for word in verb.words)


def _either(texts: Any) -> str:
    return "|".join(f'"{text}"' for text in texts)


def _all_flags(verb: Verb) -> str:
    return " ".join(name for flag in verb.flags for name in flag.names)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
