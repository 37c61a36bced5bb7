"""What was done to each well as vectors: compounds by their structure, sequences by their letters, others by vectors from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions import compounds
from napari_biofm.conditions.bert_folder import read_bert_folder
from napari_biofm.conditions.bert_vectors import bert_vectors
from napari_biofm.conditions.outside import ENDINGS, joined_vectors, read_vectors
from napari_biofm.conditions.sequences import (
    Sequences,
    checked_sequences,
    homologous_groups,
    kmer_vectors,
    read_sequences,
)
from napari_biofm.types import ConditionsError, Vectors

if TYPE_CHECKING:
    from pandas import DataFrame

WORDS = "words"
KINDS = (*compounds.VECTORS, WORDS)
WORD_LETTERS = 4
COLUMNS = {  # where they are looked for when none is named
    "compounds": ("smiles", "canonical_smiles"),
    "sequences": ("sequence", "construct", "guide"),
    "outside": ("compound", "smiles", "sequence", "construct", "guide", "genotype"),
}


@dataclass(frozen=True, eq=False)
class Treatments:
    """Vectors of what was done to the rows of a table; rows that were treated alike share one.

    Attributes
    ----------
    column : of the table that says what was done.
    items : (m,) each thing once: SMILES as given, names or letters of sequences, or names.
    of_row : (n,) item of each row; -1 where nothing was done, or it cannot be read.
    vectors : (m, d). columns : (d,) names of the numbers.
    groups : (m,) what is left out as a whole for a score. grouping : what the groups are, such as "scaffold".
    baseline : (m, d2) plain vectors for comparison, None where there are none. baseline_name : what they are.
    notes : what could not be read, and what the vectors are of.
    """

    column: str
    items: tuple[str, ...]
    of_row: NDArray[np.int64]
    vectors: Vectors
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    grouping: str
    baseline: Vectors | None = None
    baseline_name: str = ""
    notes: tuple[str, ...] = ()


def treatments(
    table: DataFrame,
    vectors: str = "morgan",
    column: str = "",
    *,
    fasta: str | Path | None = None,
    groups: str = "",
) -> Treatments:
    """Return one vector for each compound, sequence or other thing that was done to the rows of a table.

    Compounds are grouped by Murcko scaffold, sequences by homology, others are each their own group.

    Parameters
    ----------
    table : such as wells or a plate map.
    vectors : `morgan`, `descriptors` or `minimol` of SMILES; `words` (of 4 letters, both strands) of sequences; the
        folder of an encoder on disk (ChemBERTa, DNABERT); or a file of vectors (CSV, TSV, Parquet, `.h5ad`, or `.npy` with
        a text file of the same name that has one id a line), whose ids are those of the column.
    column : with SMILES, sequences, or the ids of a file; looked for if not given.
    fasta : FASTA or GenBank with the letters of sequences that the column names.
    groups : column of other groups to leave out as wholes.

    Raises
    ------
    ConditionsError
        If there is no such column, nothing in it can be read, or the vectors cannot be made; says what to do.
    """
    reads, make = _maker(vectors)
    column = column or _column_of(table, reads)
    if column not in table:
        raise ConditionsError(_missing(column, table))
    texts = ["" if _empty(value) else str(value).strip() for value in table[column]]
    given = tuple(dict.fromkeys(text for text in texts if text))
    if not given:
        raise ConditionsError(f"The column {column} is empty; write into it what was done to each well.")
    made = make(given, None if fasta is None else Path(fasta))
    read = np.isfinite(made.vectors).all(1)
    if not read.any():
        why = "; ".join(made.notes[:3]) or "none can be read"
        raise ConditionsError(f"No vector can be made of the column {column}: {why}.")
    kept = np.flatnonzero(read)
    items = tuple(given[i] for i in kept)
    at = {item: i for i, item in enumerate(items)}
    of_row = np.array([at.get(text, -1) for text in texts], np.int64)
    names = tuple(made.groups[i] for i in kept)
    if groups:
        names = _groups_of(table, groups, of_row, items)
    return Treatments(
        column, items, of_row, made.vectors[kept], made.columns, names, groups or made.grouping,
        None if made.baseline is None else made.baseline[kept], made.baseline_name, made.notes,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Made:
    """Vectors of things as they were given; NaN where one cannot be read."""

    vectors: Vectors
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    grouping: str
    baseline: Vectors | None = None
    baseline_name: str = ""
    notes: tuple[str, ...] = ()


_Make = Callable[[Sequence[str], Path | None], _Made]


def _maker(vectors: str) -> tuple[str, _Make]:
    """Return what vectors are made of ("compounds", "sequences" or "outside"), and the function that makes them."""
    path = Path(vectors)
    if vectors in compounds.VECTORS:
        return "compounds", lambda given, _: _of_compounds(given, vectors)
    if vectors == WORDS:
        return "sequences", lambda given, fasta: _of_sequences(given, fasta, None)
    if path.is_dir():
        folder = read_bert_folder(path)
        if folder.reads == "compounds":
            return "compounds", lambda given, _: _of_compounds(given, vectors)
        return "sequences", lambda given, fasta: _of_sequences(given, fasta, path)
    if path.suffix.lower() in ENDINGS:
        return "outside", lambda given, _: _from_outside(given, path)
    raise ConditionsError(
        f"{vectors!r} are no vectors; use {', '.join(KINDS)}, the folder of an encoder, or a file "
        f"({', '.join(ENDINGS)})."
    )


def _of_compounds(given: Sequence[str], kind: str) -> _Made:
    found = compounds.read_compounds(given)
    values = compounds.vectors(found, kind)
    scaffolds = [
        scaffold or canonical for scaffold, canonical in zip(found.scaffolds, found.canonical, strict=True)
    ]
    notes = [f"{text!r} does not parse: {why}" for _, text, why in found.unreadable()]
    encoder = compounds.encoder_of(kind)
    plain = None if kind == "morgan" else compounds.vectors(found, "morgan")
    return _Made(
        values, _numbered(values), tuple(scaffolds), "scaffold", plain, "" if plain is None else "fingerprints",
        (*([] if encoder is None else [encoder.text]), *notes),
    )  # fmt: skip


def _of_sequences(given: Sequence[str], fasta: Path | None, folder: Path | None) -> _Made:
    letters, notes = list(given), []
    known = np.ones(len(given), bool)
    if fasta is not None:
        read = read_sequences(fasta)
        by_name = dict(zip(read.names, read.texts, strict=True))
        known = np.array([name in by_name for name in given])
        lost = [name for name in given if name not in by_name]
        if len(lost) == len(given):
            raise ConditionsError(
                f"{fasta.name} has none of the sequences that are named: {', '.join(given[:3])}; "
                f"it has {', '.join(read.names[:3])}."
            )
        if lost:
            notes.append(f"{fasta.name} has no sequence {', '.join(lost[:6])}{' ...' * (len(lost) > 6)}")
        letters = [by_name[name] for name in given if name in by_name]
    names = [name for name, there in zip(given, known, strict=True) if there]
    found = checked_sequences([name[:40] if fasta is None else name for name in _apart(names)], letters)
    if folder is None:
        values, words = kmer_vectors(found, WORD_LETTERS)
        columns = tuple(words)
    else:
        encoder = read_bert_folder(folder, "sequences")
        notes.append(encoder.text)
        values = bert_vectors(encoder, found.texts)
        columns = _numbered(values)
    groups = homologous_groups(found)
    out = np.full((len(given), values.shape[1]), np.nan, np.float32)
    plain = np.full((len(given), 2), np.nan, np.float32)
    out[known], plain[known] = values, letter_shares(found)
    labels = np.full(len(given), "", object)
    labels[known] = [f"family {number + 1}" for number in groups]
    return _Made(
        out, columns, tuple(labels.tolist()), "homologous family", plain, "share of G and C, and length",
        (*notes, *found.notes),
    )  # fmt: skip


def _apart(names: Sequence[str]) -> list[str]:
    """Return the letters of sequences as names that differ in their first 40 letters, too."""
    return [f"{i + 1}: {name}" if len(name) > 40 else name for i, name in enumerate(names)]


def _from_outside(given: Sequence[str], path: Path) -> _Made:
    ids = path.with_suffix(".txt")
    held = read_vectors(path, ids if path.suffix.lower() == ".npy" else None)
    values, notes = joined_vectors(held, given)
    return _Made(values, held.columns, tuple(given), "item", notes=tuple(notes))


def letter_shares(found: Sequences) -> Vectors:
    """Return what of each sequence is G or C, and the logarithm of its length.

    Parameters
    ----------
    found : sequences.

    Returns
    -------
    (n, 2) float32.
    """
    rows = [(sum(t.count(c) for c in "GC") / len(t), float(np.log(len(t)))) for t in found.texts]
    return np.array(rows, np.float32).reshape(len(rows), 2)


def _numbered(values: Vectors) -> tuple[str, ...]:
    return tuple(f"v{i}" for i in range(values.shape[1]))


def _column_of(table: DataFrame, reads: str) -> str:
    by_name = {str(name).lower(): str(name) for name in table.columns}
    found = next((by_name[name] for name in COLUMNS[reads] if name in by_name), None)
    if found is None:
        raise ConditionsError(
            f"There is no column {' or '.join(COLUMNS[reads])}: add it to the plate map, or name the column; "
            f"there are {', '.join(list(by_name.values())[:12])}."
        )
    return found


def _missing(name: str, table: DataFrame) -> str:
    return f"There is no column {name!r}; there are {', '.join(map(str, list(table.columns)[:12]))}."


def _empty(value: object) -> bool:
    return value is None or value != value or str(value).strip().lower() in ("", "nan")


def _groups_of(
    table: DataFrame, column: str, of_row: NDArray[np.int64], items: Sequence[str]
) -> tuple[str, ...]:
    if column not in table:
        raise ConditionsError(_missing(column, table))
    names = ["" if _empty(value) else str(value).strip() for value in table[column]]
    found: dict[int, str] = {}
    for item, name in zip(of_row.tolist(), names, strict=True):
        if item >= 0 and found.setdefault(item, name) != name:
            raise ConditionsError(
                f"{items[item]!r} stands in the groups {found[item]!r} and {name!r} of {column}; groups that are left out "
                "must hold all wells of a compound or sequence."
            )
    return tuple(found[i] for i in range(len(items)))
