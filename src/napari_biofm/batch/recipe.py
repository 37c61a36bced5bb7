"""A recipe: which files, which steps with which parameters, where results go. One TOML file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_biofm.batch.parameters import IMAGE, RECORDING, STEPS, TABLE, checked, did_you_mean
from napari_biofm.types import BatchError

FORMAT = 1
LAYOUT = 2  # of what an item leaves; results of another layout are made again
INPUT = (
    "relative_to", "images", "recordings", "masks", "files", "conditions", "match", "sampling_rate", "unit",
)  # fmt: skip
OUTPUT = ("folder", "labels", "thumbnails")
LABELS = ("tiff", "zarr", "none")


@dataclass(frozen=True)
class RecipeStep:
    """A step with all its parameters."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What to run on which files.

    Attributes
    ----------
    steps : in order.
    images, recordings : files, folders and patterns, relative to `folder`.
    masks : folder of masks of the images, or None.
    files : CSV with a column `file` (and any others, which travel into the tables), or None.
    conditions : plate map (see `conditions.plates`), or None.
    match : how the well stands in a file's name, see `conditions.joins.join_names`.
    sampling_rate, unit : of recordings that do not say.
    out : folder of the results, or None.
    labels : "tiff", "zarr" or "none".
    thumbnails : how many pictures the report shows.
    folder : that relative paths start from: that of the file, or `relative_to` in it.
    """

    steps: tuple[RecipeStep, ...]
    images: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    masks: str | None = None
    files: str | None = None
    conditions: str | None = None
    match: str | None = None
    sampling_rate: float | None = None
    unit: str | None = None
    out: str | None = None
    labels: str = "tiff"
    thumbnails: int = 24
    folder: Path = field(default_factory=Path)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe.

        Raises
        ------
        BatchError
            If the file is no TOML, or says something that is not understood; the message names it.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BatchError(f"{path}: cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise BatchError(f"{path}: is no TOML: {error}") from error
        try:
            return cls.of(content, path.resolve().parent)
        except BatchError as error:
            raise BatchError(f"{path}: {error}") from error

    @classmethod
    def of(cls, content: Mapping[str, Any], folder: Path) -> Recipe:
        """Return the recipe that a TOML file's content describes.

        Parameters
        ----------
        content : parsed.
        folder : that relative paths start from.

        Raises
        ------
        BatchError
            As `read`.
        """
        _only(content, ("format", "input", "output", "step"), "the recipe")
        if content.get("format", FORMAT) != FORMAT:
            raise BatchError(
                f"format = {content['format']!r}: this version reads format {FORMAT}; take a newer version."
            )
        given, out = _table(content, "input"), _table(content, "output")
        _only(given, INPUT, "[input]")
        _only(out, OUTPUT, "[output]")
        steps = content.get("step", [])
        if not isinstance(steps, list) or not steps or not all(isinstance(one, dict) for one in steps):
            raise BatchError('there are no steps; write them as [[step]] with do = "segment" and the like.')
        labels, thumbnails = out.get("labels", "tiff"), out.get("thumbnails", 24)
        if labels not in LABELS:
            raise BatchError(f"output.labels = {labels!r}{did_you_mean(str(labels), LABELS)}")
        if not isinstance(thumbnails, int) or isinstance(thumbnails, bool) or thumbnails < 0:
            raise BatchError(f"output.thumbnails = {thumbnails!r}: give a whole number.")
        recipe = cls(
            tuple(_step(one) for one in steps),
            _paths(given, "images"),
            _paths(given, "recordings"),
            _text(given, "masks"),
            _text(given, "files"),
            _text(given, "conditions"),
            _text(given, "match"),
            _rate(given),
            _text(given, "unit"),
            _text(out, "folder"),
            labels,
            thumbnails,
            folder / (_text(given, "relative_to") or ""),
        )
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raise `BatchError` if the steps do not fit each other or the input."""
        if not (self.images or self.recordings or self.files):
            raise BatchError("[input] names no files; give images, recordings or files.")
        before: set[str] = {"segment"} if self.masks else set()
        names = [one.name for one in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise BatchError(f"the step {name} stands there twice; one is enough.")
            if STEPS[name].needs and not before & set(STEPS[name].needs):
                raise BatchError(
                    f"the step {name} needs {' or '.join(STEPS[name].needs)} before it, or masks in [input]."
                )
            before.add(name)
        kinds = [k for k, given in ((IMAGE, self.images), (RECORDING, self.recordings)) if given]
        for kind in kinds:
            if not any(kind in STEPS[name].on for name in names):
                raise BatchError(f"no step works on {kind}s; leave them out of [input] or add a step.")

    def steps_for(self, kind: str) -> list[RecipeStep]:
        """Return the steps that work on items of a kind, or on the tables of the run.

        Events are looked for in images only where there are traces; files are exported where some are asked for.
        """
        traced = any(one.name == "traces" for one in self.steps)
        found = []
        for one in self.steps:
            asked = one.parameters
            if one.name == "export":
                wanted = {IMAGE: "masks", RECORDING: "recordings", TABLE: "tables"}[kind]
                if asked[wanted]:
                    found.append(RecipeStep(one.name, {wanted: asked[wanted]}))
            elif kind in STEPS[one.name].on and (one.name != "events" or kind != IMAGE or traced):
                found.append(one)
        return found

    def fingerprint(self, kind: str) -> str:
        """Return a hash of all that decides the results of an item of this kind, apart from its file."""
        steps = [[one.name, dict(one.parameters)] for one in self.steps_for(kind)]
        value = [FORMAT, LAYOUT, steps, self.labels, self.sampling_rate, self.unit, bool(self.masks)]
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    def text(self, anywhere: bool = False) -> str:
        """Return the recipe as TOML.

        Parameters
        ----------
        anywhere : name the folder that relative paths start from, so that the file may lie elsewhere.
        """
        lines = [f"format = {FORMAT}", "", "[input]"]
        if anywhere:
            lines.append(f"relative_to = {toml(str(self.folder.absolute()))}")
        for key in INPUT[1:]:
            value = getattr(self, key)
            if value not in (None, ()):
                lines.append(f"{key} = {toml(list(value) if isinstance(value, tuple) else value)}")
        lines += ["", "[output]"]
        if self.out is not None:
            lines.append(f"folder = {toml(self.out)}")
        lines += [f"labels = {toml(self.labels)}", f"thumbnails = {self.thumbnails}"]
        for one in self.steps:
            lines += ["", "[[step]]", f"do = {toml(one.name)}"]
            defaults = {key: p.default for key, p in STEPS[one.name].parameters.items()}
            lines += [f"{k} = {toml(v)}" for k, v in one.parameters.items() if v != defaults[k]]
        return "\n".join(lines) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON schema of recipes."""
    kinds = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array", dict: "object"}
    texts = {"type": "array", "items": {"type": "string"}}
    steps = []
    for name, step in STEPS.items():
        properties: dict[str, Any] = {"do": {"const": name, "description": step.text}}
        for key, one in step.parameters.items():
            properties[key] = {"type": [kinds[t] for t in one.types], "description": one.text}
            if one.default is not None:
                properties[key]["default"] = one.default
            if one.numbers:
                numbers = {"type": "number", "minimum": one.low}
                properties[key] |= {"items": numbers, "minItems": one.numbers, "maxItems": one.numbers}
            if one.choices:
                properties[key]["enum"] = list(one.choices)
        steps.append(
            {"type": "object", "properties": properties, "required": ["do"], "additionalProperties": False}
        )
    given: dict[str, Any] = {key: {"type": "string"} for key in INPUT}
    given |= {"images": texts, "recordings": texts, "sampling_rate": {"type": "number"}}
    out = {"folder": {"type": "string"}, "labels": {"enum": list(LABELS)}, "thumbnails": {"type": "integer"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "napari-biofm recipe",
        "type": "object",
        "properties": {
            "format": {"const": FORMAT},
            "input": {"type": "object", "properties": given, "additionalProperties": False},
            "output": {"type": "object", "properties": out, "additionalProperties": False},
            "step": {"type": "array", "minItems": 1, "items": {"oneOf": steps}},
        },
        "required": ["input", "step"],
        "additionalProperties": False,
    }


def _step(content: Mapping[str, Any]) -> RecipeStep:
    name = content.get("do")
    if not isinstance(name, str):
        raise BatchError(f'a step says not what to do: write do = "NAME", one of {", ".join(STEPS)}.')
    return RecipeStep(name, checked(name, {key: value for key, value in content.items() if key != "do"}))


def _only(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise BatchError(f"{where} has no entry {key!r}{did_you_mean(key, known)}")


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise BatchError(f"{name} is no table; write [{name}].")
    return value


def _paths(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = given.get(name, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise BatchError(f"input.{name} = {value!r}: give a list of files, folders or patterns.")
    return tuple(value)


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not (isinstance(value, str) and value):
        more = " Lists of files go under images or recordings." if isinstance(value, list) else ""
        raise BatchError(f"{name} = {value!r}: give a text.{more}")
    return value


def _rate(given: Mapping[str, Any]) -> float | None:
    value = given.get("sampling_rate")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise BatchError(f"input.sampling_rate = {value!r}: give a positive number of Hz.")
    return float(value)


def toml(value: Any) -> str:
    """Return a value as TOML on one line.

    Parameters
    ----------
    value : text, number, truth value, list or table.
    """
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
