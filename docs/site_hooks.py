"""What mkdocs is told beyond the pages: generated pages, and links that leave the folder of documents.

`verbs.md` is written from the parsers of the command line, `functions.md` from the docstrings of the public functions.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import posixpath
import re
from typing import Any

from mkdocs.structure.files import File, Files

REPOSITORY = "https://github.com/napari-biofm/napari-biofm/blob/main"
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    files.append(File.generated(config, "verbs.md", content=verbs_page()))
    files.append(File.generated(config, "functions.md", content=functions_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to files outside the folder of documents at the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def outside(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, found[2]))
        if target.startswith("docs/") and not target.endswith((".py", ".json")):
            return found[0]
        return f"{found[1]}{REPOSITORY}/{target}{found[3]}"

    parts = re.split(r"(^```.*?^```)", markdown, flags=re.M | re.S)
    return "".join(p if p.startswith("```") else LINK.sub(outside, p) for p in parts)


def verbs_page() -> str:
    """Return the reference of the command line."""
    from napari_biofm.cli import build_parser

    lines = [
        "# Verbs of the command line",
        "",
        "`napari-biofm VERB ...`; this page is written from the program itself. `napari-biofm --debug VERB ...` shows "
        "the traceback of an unexpected error. A verb ends with 0 where all was done, 1 where an input was bad, 2 where "
        "the call was, 70 where the program is at fault.",
    ]
    lines += _verbs(build_parser(), "napari-biofm", 2)
    return "\n".join(lines) + "\n"


def _verbs(parser: argparse.ArgumentParser, name: str, level: int) -> list[str]:
    lines: list[str] = []
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        words = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for verb, sub in action.choices.items():
            lines += ["", f"{'#' * level} {verb}", "", _plain(words.get(verb, "")).capitalize() + "."]
            usage = re.sub(r"\s+", " ", sub.format_usage()).replace("usage: ", "").strip()
            lines += ["", "```text", usage, "```", ""]
            lines += _options(sub)
            lines += _verbs(sub, f"{name} {verb}", level + 1)
    return lines


def _options(parser: argparse.ArgumentParser) -> list[str]:
    rows = []
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        words = formatter._expand_help(action) if action.help else ""
        names = ", ".join(action.option_strings) or action.dest
        value = "" if action.nargs == 0 else str(action.metavar or "")
        if action.choices is not None:
            value = " or ".join(str(choice) for choice in action.choices)
        rows.append(f"| `{names}` | {_plain(value)} | {_plain(words)} |")
    return ["| option | value | what it does |", "|---|---|---|", *rows] if rows else []


def _plain(text: str) -> str:
    """Return text that is safe in a cell of a table."""
    text = re.sub(r"\s+", " ", text).strip()
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def functions_page() -> str:
    """Return the reference of the public functions and classes."""
    package = importlib.import_module("napari_biofm")
    lines = [
        "# Functions",
        "",
        "`import napari_biofm as biofm`; examples that run are in [Scripting](api.md).",
    ]
    functions = [n for n in package.__all__ if not inspect.isclass(getattr(package, n))]
    classes = [n for n in package.__all__ if inspect.isclass(getattr(package, n))]
    for title, names in (("Functions", functions), ("Results and errors", classes)):
        lines += ["", f"## {title}"]
        for name in sorted(names):
            what = getattr(package, name)
            lines += ["", f"### {name}", "", "```python", f"{name}{_signature(what)}", "```", ""]
            lines += _docstring(inspect.getdoc(what) or "")
    return "\n".join(lines) + "\n"


def _signature(what: Any) -> str:
    try:
        text = str(inspect.signature(what))
    except (TypeError, ValueError):
        return ""
    return re.sub(r"<factory>|<object object at 0x[0-9a-f]+>", "...", text)


def _docstring(text: str) -> list[str]:
    """Return a numpydoc docstring as Markdown: sections as bold lines, parameters as lists."""
    lines: list[str] = []
    rows = text.splitlines()
    section = ""
    for at, row in enumerate(rows):
        following = rows[at + 1] if at + 1 < len(rows) else ""
        if row and set(following.strip()) == {"-"}:
            section = row.strip()
            lines += ["", f"**{section}**", ""]
        elif row.strip() and set(row.strip()) == {"-"}:
            continue
        elif section and row and not row.startswith(" "):
            lines.append(f"- {_plain(row)}")
        else:
            lines.append(f"  {_plain(row)}" if section and row.strip() else _plain(row))
    return lines
