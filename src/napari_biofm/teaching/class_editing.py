"""Taking a class away, or its cells to another class: one edit, which undo takes back exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_biofm.actions import Action, Group, edit_classes, label_cells
from napari_biofm.cells.table.classes import CellClasses

Pairs = Sequence[tuple[str, str]]  # name, colour


def class_removed(layer: str, given: CellClasses, code: int, into: int | None = None) -> Group:
    """Return the edit that removes a class of a layer.

    Parameters
    ----------
    layer : unique id of the labels layer. given : its classes and labels by hand.
    code : of the class that goes.
    into : code of the class its cells get; None takes their labels away.
    """
    names = given.names
    name = f"remove class {names[code]}" if into is None else f"merge class {names[code]} into {names[into]}"
    steps: list[Action] = []
    now = given

    def label(labels: np.ndarray, codes: np.ndarray, classes: Sequence[str]) -> None:
        nonlocal now
        step = label_cells(layer, now, labels, classes, codes, name)
        if step is not None:
            steps.append(step)
            place = {known: i for i, known in enumerate(now.names)}
            now = now.with_labels(
                labels, np.asarray([place[classes[c]] if c >= 0 else -1 for c in codes], np.int16)
            )

    mine = given.labels[given.codes == code]
    label(mine, np.full(len(mine), -1 if into is None else into, np.int16), names)
    # classes behind it move up by one place: their cells are put aside, and given back by name
    behind = given.codes > code
    label(given.labels[behind], np.full(int(behind.sum()), -1, np.int16), names)
    if into is not None and into > code:
        label(mine, np.full(len(mine), -1, np.int16), names)
    left = [pair for i, pair in enumerate(zip(given.names, given.colours, strict=True)) if i != code]
    edit = edit_classes(layer, now, left, name)
    steps.append(edit)
    now = CellClasses(tuple(n for n, _ in left), tuple(c for _, c in left), now.labels, now.codes)
    label(given.labels[behind], given.codes[behind] - 1, now.names)
    if into is not None and into > code:
        label(mine, np.full(len(mine), into - 1, np.int16), now.names)
    return Group(name, tuple(steps))
