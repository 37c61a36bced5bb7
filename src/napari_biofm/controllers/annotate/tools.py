"""The tools there are, and the keys that reach them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from napari_biofm.files import write_text
from napari_biofm.types import SessionError


class Tool(Enum):
    """What a click or a drag on the canvas means."""

    OFF = "off"
    POINT = "point"
    MINUS = "minus"
    BOX = "box"
    SCRIBBLE = "scribble"
    LASSO = "lasso"
    REFINE = "refine"
    SPLIT = "split"
    MERGE = "merge"
    DELETE = "delete"
    FILL = "fill"
    SMOOTH = "smooth"
    BRUSH = "brush"


# tools whose gestures ask the chosen backend for a mask
PROMPTING = frozenset({Tool.POINT, Tool.MINUS, Tool.BOX, Tool.SCRIBBLE, Tool.LASSO, Tool.REFINE})


@dataclass(frozen=True)
class About:
    """How a tool is shown: its word, its usual key, and what it does."""

    title: str
    key: str
    tip: str


TOOLS: Mapping[Tool, About] = {
    Tool.POINT: About(
        "+ Point", "A", "Click inside a cell. Shift+click: not this. With flow basins, drag to join."
    ),
    Tool.MINUS: About("- Point", "S", "Click on what does not belong to the cell."),
    Tool.BOX: About("Box", "W", "Drag a box around a cell."),
    Tool.SCRIBBLE: About("Scribble", "Q", "Drag through a cell. Shift: through what does not belong to it."),
    Tool.LASSO: About("Lasso", "O", "Draw around a cell; the outline itself is the mask."),
    Tool.REFINE: About(
        "Refine", "R", "Click a cell of the labels, then correct it with points, box or lasso."
    ),
    Tool.SPLIT: About("Split", "K", "Click the two centres in one cell, or drag a line across it."),
    Tool.MERGE: About("Merge", "G", "Drag from one cell to another, or click both. The first keeps its id."),
    Tool.DELETE: About("Delete", "D", "Click a cell. Shift+click: in all planes."),
    Tool.FILL: About("Fill holes", "H", "Click a cell."),
    Tool.SMOOTH: About("Smooth", "U", "Click a cell."),
    Tool.BRUSH: About("Brush", "Y", "napari's own brush on this layer; its strokes enter the same history."),
    Tool.OFF: About("Off", "I", "Give the mouse back to napari."),
}

DRAGGED = frozenset({Tool.BOX, Tool.SCRIBBLE, Tool.LASSO, Tool.SPLIT, Tool.MERGE})

ACTIONS: Mapping[str, tuple[str, str]] = {
    "commit": ("C", "Commit the preview"),
    "alternative": ("T", "Next alternative"),
    "clear": ("Backspace", "Clear the prompt"),
    "grow": ("Shift-G", "Grow the cell (or its basin)"),
    "shrink": ("Shift-S", "Shrink the cell (or its basin)"),
    "undo": ("Control-Z", "Undo"),
    "redo": ("Control-Shift-Z", "Redo"),
    "next_doubt": ("N", "Next cell that needs a look"),
    "previous_doubt": ("Shift-N", "Previous cell that needs a look"),
    "next_image": ("J", "Save and go to the next image of the series"),
}

NO_PREVIEW, NO_CELL = "Off: no mask is previewed yet.", "Off: no cell is selected and nothing is prompted."
WHY_OFF: Mapping[str, str] = {
    "commit": NO_PREVIEW,
    "alternative": "Off: the last click has no other answer.",
    "clear": "Off: nothing is prompted.",
    "grow": NO_CELL,
    "shrink": NO_CELL,
    "undo": "Off: nothing to undo.",
    "redo": "Off: nothing was undone.",
}


def usual_keys() -> dict[str, str]:
    """Return the keys a new user finds: name of the tool or action -> key."""
    return {tool.value: about.key for tool, about in TOOLS.items()} | {k: v[0] for k, v in ACTIONS.items()}


def titles() -> dict[str, str]:
    """Return what every key does, in words."""
    return {tool.value: about.title for tool, about in TOOLS.items()} | {k: v[1] for k, v in ACTIONS.items()}


def load_keys(path: Path) -> dict[str, str]:
    """Read a user's keys; what the file does not name keeps its usual key.

    Raises
    ------
    SessionError : if the file is damaged, or one key is given twice.
    """
    keys = usual_keys()
    if not path.exists():
        return keys
    try:
        named: Any = json.loads(path.read_text(encoding="utf-8"))
        keys.update({k: str(v) for k, v in dict(named).items() if k in keys})
    except (OSError, ValueError, TypeError) as error:
        raise SessionError(f"{path}: the keys cannot be read ({error}); remove the file.") from error
    check_keys(keys)
    return keys


def save_keys(path: Path, keys: Mapping[str, str]) -> None:
    """Keep a user's keys."""
    check_keys(keys)
    write_text(path, json.dumps(dict(keys), indent=1))


def check_keys(keys: Mapping[str, str]) -> None:
    """Raise SessionError where one key has two meanings or is empty."""
    seen: dict[str, str] = {}
    for name, key in keys.items():
        if not key:
            raise SessionError(f"'{titles()[name]}' has no key; give it one.")
        if key.lower() in seen:
            raise SessionError(
                f"Key {key} is given to '{titles()[seen[key.lower()]]}' and to '{titles()[name]}'; choose "
                f"another."
            )
        seen[key.lower()] = name
