"""A recipe made of what was done by hand: as a file with what it needs beside it, as a command, as Python."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_biofm.batch.parameters import STEPS
from napari_biofm.batch.recipe import Recipe, toml
from napari_biofm.files import write_text
from napari_biofm.types import BatchError

Write = Callable[[Path], Any]
HERE = Path()


@dataclass(frozen=True)
class Draft:
    """What was done, as data.

    Attributes
    ----------
    images, recordings : files that exist.
    steps : (name, parameters) in order; values that are the default may be left out.
    entries : others of [input], such as unit.
    beside : what no file holds yet, by its place in the folder beside the recipe, and what writes it: masks corrected by
        hand in `masks/`, images in `images/`, recordings in `recordings/`, a classifier, what physio-FM was taught.
    notes : what the recipe does not repeat, in sentences.
    """

    images: tuple[Path, ...] = ()
    recordings: tuple[Path, ...] = ()
    steps: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    entries: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Write] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    def content(self, folder: Path | None = None, beside: str = "") -> dict[str, Any]:
        """Return the recipe as the content of a TOML file.

        Parameters
        ----------
        folder : of the recipe; files in it are named relative to it.
        beside : name of the folder beside the recipe.
        """
        given: dict[str, Any] = {}
        for kind, files in (("images", self.images), ("recordings", self.recordings)):
            names = [_name(path, folder) for path in files]
            names += [f"{beside}/{place}" for place in self.beside if place.startswith(f"{kind}/")]
            if names:
                given[kind] = names
        if any(place.startswith("masks/") for place in self.beside):
            given["masks"] = f"{beside}/masks"
        steps = []
        for name, parameters in self.steps:
            known = STEPS[name].parameters
            kept = {k: v for k, v in parameters.items() if v != known[k].default}
            steps.append({"do": name, **{k: self._placed(v, beside) for k, v in kept.items()}})
        entries = {k: self._placed(v, beside) for k, v in self.entries.items()}
        return {"input": given | entries, "step": steps}

    def _placed(self, value: Any, beside: str) -> Any:
        return f"{beside}/{value}" if isinstance(value, str) and value in self.beside else value

    def save(self, path: Path) -> Path:
        """Write the recipe, and what it needs into the folder `<name>_files` beside it; return its path.

        Raises
        ------
        BatchError
            If nothing was done yet, or a folder of that name holds files of something else.
        """
        if not self:
            raise BatchError("Nothing was done here yet that a recipe could repeat.")
        path = path.absolute()
        beside = f"{path.stem}_files"
        recipe = Recipe.of(self.content(path.parent, beside), path.parent)
        recipe = dataclasses.replace(recipe, out=f"{path.stem}_results")
        place = path.parent / beside
        if self.beside and place.exists() and not path.exists():
            raise BatchError(f"{place} is there already; give the recipe another name.")
        for name, write in self.beside.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target)
        head = "".join(f"# {note}\n" for note in self.notes)
        run = f"# napari-biofm run {path.name}\n"
        write_text(path, head + run + recipe.text())
        return path

    def command(self, saved: Path | None = None) -> str:
        """Return a line for a terminal.

        Parameters
        ----------
        saved : the recipe's file, where it was saved.

        Raises
        ------
        BatchError
            If it needs files beside it and was not saved.
        """
        self._check(saved)
        if saved is not None:
            return f"napari-biofm run {_quoted(str(saved))}"
        content = self.content()
        words = ["napari-biofm run"]
        for kind in ("images", "recordings"):
            if content["input"].get(kind):
                words += [f"--{kind}", *(_quoted(name) for name in content["input"][kind])]
        words += [f"--input {_quoted(f'{k}={_single(v)}')}" for k, v in self.entries.items()]
        for step in content["step"]:
            words.append("--step " + _quoted(", ".join(f"{k}={_single(v)}" for k, v in step.items())))
        return " ".join([*words, "--out results"])

    def python(self, saved: Path | None = None) -> str:
        """Return the same as Python; see `command`."""
        self._check(saved)
        if saved is not None:
            return f"import napari_biofm as biofm\n\nresult = biofm.run_recipe({str(saved)!r})\n"
        text = _literal(self.content())
        return (
            "import napari_biofm as biofm\n\n"
            f'result = biofm.run_recipe({text}, "results")\n'
            "print(result.tables)  # rows of each table in the folder results\n"
        )

    def both(self, saved: Path | None = None) -> str:
        """Return the line for a terminal and the Python, as *Copy as command* puts them on the clipboard."""
        notes = "".join(f"# {note}\n" for note in self.notes)
        return f"{notes}# in a terminal\n{self.command(saved)}\n\n# in Python\n{self.python(saved)}"

    def _check(self, saved: Path | None) -> None:
        if not self:
            raise BatchError("Nothing was done here yet that a command could repeat.")
        if self.beside and saved is None:
            what = ", ".join(sorted({name.split("/")[0] for name in self.beside}))
            raise BatchError(
                f"This needs files that are not on the disk yet ({what}): save the recipe first."
            )


def _name(path: Path, folder: Path | None) -> str:
    path = path.absolute()
    if folder is not None and path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return str(path)


def _quoted(text: str) -> str:
    """Return a word as bash, cmd and PowerShell take it."""
    return text if re.fullmatch(r"[\w./:\\=-]+", text) else '"' + text.replace('"', r"\"") + '"'


def _single(value: Any) -> str:
    """Return a value as TOML without double quotes where that is possible."""
    if isinstance(value, str) and not re.search(r"['\n\r\t\\]", value):
        return f"'{value}'"
    if isinstance(value, list):
        return "[" + ", ".join(_single(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}={_single(v)}" for k, v in value.items()) + "}"
    return toml(value)


def _literal(value: Any) -> str:
    """Return JSON-like content as Python over some lines."""
    text = json.dumps(value, indent=4, ensure_ascii=False)
    return re.sub(r"\b(true|false)\b(?=[,\n\]}])", lambda m: m.group(1).capitalize(), text)
