"""Heads on few labels for compounds and sequences, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_biofm.api.vectors import FewLabels, few_label_head
from napari_biofm.conditions import compounds, sequences, treatments
from napari_biofm.conditions.bert_folder import read_bert_folder
from napari_biofm.conditions.bert_vectors import bert_vectors


def compound_head(smiles: Sequence[str], labels: Sequence[object], vectors: str = "descriptors") -> FewLabels:
    """Learn a property or an effect of compounds from few labels, and predict it for all.

    Scores are on Murcko scaffolds left out, with Morgan fingerprints as the baseline beside. The head is that of Cell
    states: logistic regression for classes, ridge regression for numbers.

    Parameters
    ----------
    smiles : (n,) structures; those that do not parse are predicted as "" or NaN.
    labels : (n,) classes or numbers; None, NaN or "" where not known.
    vectors : `descriptors`, `minimol`, `morgan` (without a baseline), or the folder of an encoder on disk.

    Raises
    ------
    ConditionsError
        If the kind of vectors is not known or its package is not installed.
    CellsError
        If there are too few labels or scaffolds.
    """
    found = compounds.read_compounds(list(smiles))
    groups = compounds.scaffold_groups(found)
    baseline = None if vectors == "morgan" else compounds.vectors(found, "morgan")
    return few_label_head(compounds.vectors(found, vectors), labels, groups.tolist(), baseline)


def sequence_head(
    names: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[object],
    k: int = 4,
    model: str | Path | None = None,
) -> FewLabels:
    """Learn an activity of sequences from few labels, and predict it for all.

    Scores are on homologous groups left out; letters (share of G and C, length) are the baseline beside.

    Parameters
    ----------
    names : (n,) each once.
    texts : (n,) letters.
    labels : (n,) classes or numbers; None, NaN or "" where not known.
    k : letters of the words that are counted.
    model : folder of a k-mer BERT on disk, such as DNABERT, whose vectors are taken in place of words.

    Raises
    ------
    ConditionsError
        If a sequence has letters that are no nucleotides, or the folder holds no such model.
    CellsError
        If there are too few labels or groups.
    """
    found = sequences.checked_sequences(names, texts)
    words = (
        sequences.kmer_vectors(found, k)[0]
        if model is None
        else bert_vectors(read_bert_folder(Path(model), "sequences"), found.texts)
    )
    groups = sequences.homologous_groups(found)
    return few_label_head(words, labels, groups.tolist(), treatments.letter_shares(found))
