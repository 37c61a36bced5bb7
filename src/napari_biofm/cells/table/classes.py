"""The classes of the cells of one labels layer, and which cells were given one by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError

if TYPE_CHECKING:
    from anndata import AnnData

# Told apart by people with any colour vision (Okabe and Ito 2008), lightened where napari is dark.
COLOURS = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999",
    "#b2df8a", "#fb9a99", "#cab2d6", "#fdbf6f",
)  # fmt: skip
UNKNOWN = "unknown"
MAX_CLASSES = 253  # codes that fit into one byte beside "unknown" and "selected"


def _no_labels() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


def _no_codes() -> NDArray[np.int16]:
    return np.zeros(0, np.int16)


@dataclass(frozen=True, eq=False)
class CellClasses:
    """Classes and labels given by hand; never changed in place.

    Attributes
    ----------
    names, colours : one per class; the code of a class is its place. Colours are "#rrggbb".
    labels : (n,) int64 label values of the cells that were given a class, ascending.
    codes : (n,) int16 code of each.
    """

    names: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    labels: NDArray[np.int64] = field(default_factory=_no_labels)
    codes: NDArray[np.int16] = field(default_factory=_no_codes)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, CellClasses)
            and (self.names, self.colours) == (other.names, other.colours)
            and np.array_equal(self.labels, other.labels)
            and np.array_equal(self.codes, other.codes)
        )

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.names) or bool(len(self.labels))

    def codes_of(self, labels: NDArray[np.integer]) -> NDArray[np.int16]:
        """Return the code of each label value, -1 where none was given."""
        wanted = np.asarray(labels, np.int64)
        if not len(self.labels):
            return np.full(len(wanted), -1, np.int16)
        at = np.minimum(np.searchsorted(self.labels, wanted), len(self.labels) - 1)
        return np.where(self.labels[at] == wanted, self.codes[at], np.int16(-1)).astype(np.int16)

    def names_of(self, codes: NDArray[np.integer]) -> NDArray[np.object_]:
        """Return the name of each code, "" for -1."""
        return np.asarray([*self.names, ""], object)[np.asarray(codes)]

    def with_labels(self, labels: NDArray[np.integer], codes: NDArray[np.integer]) -> CellClasses:
        """Return the same classes with other labels by hand; a code of -1 takes a label away.

        Parameters
        ----------
        labels : (k,) distinct label values.
        codes : (k,).
        """
        new = np.asarray(labels, np.int64)
        kept = ~np.isin(self.labels, new)
        given = np.asarray(codes) >= 0
        all_labels = np.concatenate([self.labels[kept], new[given]])
        all_codes = np.concatenate([self.codes[kept], np.asarray(codes, np.int16)[given]])
        order = np.argsort(all_labels, kind="stable")
        return replace(self, labels=all_labels[order], codes=all_codes[order])

    def with_class(self, name: str, colour: str | None = None) -> CellClasses:
        """Return the classes with one more at the end.

        Raises
        ------
        CellsError
            If the name is empty, reserved or taken, or there are too many.
        """
        checked_name(name, self.names)
        if len(self.names) >= MAX_CLASSES:
            raise CellsError(f"There are {len(self.names)} classes already; no more can be told apart.")
        chosen = colour or COLOURS[len(self.names) % len(COLOURS)]
        return replace(self, names=(*self.names, name), colours=(*self.colours, chosen))


def checked_name(name: str, taken: Iterable[str] = ()) -> str:
    """Return a name that a class may have; CellsError where it may not."""
    if not name or name != name.strip() or name == UNKNOWN:
        raise CellsError(f"'{name}' cannot be a class name; choose another.")
    if name in taken:
        raise CellsError(f"There is a class '{name}' already; choose another name.")
    return name


def read_classes(table: AnnData, known: CellClasses | None = None) -> CellClasses:
    """Return classes and labels by hand as a table of cells keeps them.

    Parameters
    ----------
    table : with obs `label` and `class_by_hand`, and uns["classes"] where classes have colours.
    known : classes that come first, e.g. those of the layer before it was measured.
    """
    from napari_biofm.cells.table.cell_table import text

    made = CellClasses() if known is None else CellClasses(known.names, known.colours)
    stored = table.uns.get("classes", {})
    colours = dict(zip(stored.get("names", []), stored.get("colours", []), strict=False))
    by_hand = text(table, "class_by_hand")
    for name in [*map(str, colours), *sorted(set(by_hand) - {""})]:
        if name not in made.names:
            made = made.with_class(name, colours.get(name))
    code = {name: i for i, name in enumerate(made.names)}
    given = np.flatnonzero(by_hand != "")
    labels = table.obs["label"].to_numpy(np.int64)[given]
    return made.with_labels(labels, np.asarray([code[n] for n in by_hand[given]], np.int16))


def write_classes(table: AnnData, classes: CellClasses) -> None:
    """Write classes and labels by hand into a table of cells, for export and for whoever reads it."""
    codes = classes.codes_of(table.obs["label"].to_numpy(np.int64))
    table.obs["class_by_hand"] = classes.names_of(codes)
    table.uns["classes"] = {"names": list(classes.names), "colours": list(classes.colours)}
