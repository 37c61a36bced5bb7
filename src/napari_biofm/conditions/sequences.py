"""DNA and RNA from FASTA and GenBank: strand-neutral k-mer vectors, homologous groups, effect of a variant (extra `sequences`)."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import ConditionsError, Vectors

MAX_BYTES = 512 << 20
FORMATS = {
    ".fa": "fasta", ".fasta": "fasta", ".fna": "fasta", ".ffn": "fasta", ".gb": "genbank", ".gbk": "genbank",
    ".genbank": "genbank",
}  # fmt: skip
LETTERS = "ACGT"
COMPLEMENT = str.maketrans("ACGTUNRYSWKMBDHV", "TGCAANYRSWMKVHDB")
CODES = frozenset("ACGTNRYSWKMBDHV")
LONGEST_K = 8


@dataclass(frozen=True)
class Sequences:
    """Named sequences in capital letters, U written as T.

    Attributes
    ----------
    names : each once. texts : letters A, C, G, T and the codes for what is not known (N, R, Y ...).
    notes : sentences on what was left out or is not known.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_sequences(path: Path) -> Sequences:
    """Read FASTA or GenBank; sequences with letters that are not known are kept and told.

    Parameters
    ----------
    path : `.fa`, `.fasta`, `.fna`, `.ffn`, `.gb`, `.gbk` or `.genbank`.

    Raises
    ------
    ConditionsError
        If Biopython is not installed, the file is of another kind or holds no sequence, a name stands twice, or a letter
        is no code of nucleotides; file and name are given.
    """
    try:
        from Bio import SeqIO
    except ImportError as error:
        raise ConditionsError("Sequences need Biopython: pip install napari-biofm[sequences].") from error
    if not path.is_file():
        raise ConditionsError(f"{path} does not exist.")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConditionsError(f"{path.name}: sequences are read from {', '.join(FORMATS)}.")
    if path.stat().st_size > MAX_BYTES:
        raise ConditionsError(
            f"{path.name} is larger than {MAX_BYTES >> 20} MB; give the regions that matter."
        )
    try:
        text = path.read_text(encoding="utf-8-sig").lstrip()
        pairs = [(str(record.id), str(record.seq)) for record in SeqIO.parse(io.StringIO(text), kind)]
    except Exception as error:  # Biopython and its lazy sequences raise many kinds
        raise ConditionsError(f"{path.name} cannot be read as {kind} ({error}).") from error
    if not pairs:
        raise ConditionsError(f"{path.name} holds no sequence in {kind}.")
    return checked_sequences([name for name, _ in pairs], [text for _, text in pairs], path.name)


def checked_sequences(names: Sequence[str], texts: Sequence[str], source: str = "") -> Sequences:
    """Return sequences in one spelling, with sentences on those that hold letters which are not known.

    Parameters
    ----------
    names : (n,) each once.
    texts : (n,) letters; U is read as T.
    source : name of the file, for messages.

    Raises
    ------
    ConditionsError
        If a name stands twice, a sequence is empty, or a letter is no code of nucleotides.
    """
    where = f"{source}: " if source else ""
    plain = [text.upper().replace("U", "T").replace("-", "") for text in texts]
    seen: set[str] = set()
    doubtful = []
    for name, text in zip(names, plain, strict=True):
        if name in seen:
            raise ConditionsError(f"{where}the name {name!r} stands twice; give each sequence its own.")
        seen.add(name)
        if not text:
            raise ConditionsError(f"{where}{name!r} has no letters.")
        strange = sorted(set(text) - CODES)
        if strange:
            raise ConditionsError(
                f"{where}{name!r} has {', '.join(strange[:6])} in it, which are no nucleotides; is it a protein?"
            )
        unknown = len(text) - sum(text.count(letter) for letter in LETTERS)
        if unknown:
            doubtful.append(f"{name} ({unknown} of {len(text)})")
    notes = []
    if doubtful:
        more = f" and {len(doubtful) - 6} more" if len(doubtful) > 6 else ""
        notes.append(
            f"{len(doubtful)} sequences hold N or other unknown letters, k-mers with them are not counted: "
            f"{', '.join(doubtful[:6])}{more}"
        )
    return Sequences(tuple(names), tuple(plain), tuple(notes))


def kmer_vectors(sequences: Sequences, k: int = 4) -> tuple[Vectors, list[str]]:
    """Return how often each k-mer stands in each sequence, as a share; a k-mer and its reverse complement are one.

    Parameters
    ----------
    sequences : from `read_sequences`.
    k : letters of a word, 1 to 8.

    Returns
    -------
    vectors : (n, d) float32, rows sum to 1; NaN where no word without unknown letters is in a sequence.
    words : (d,) the first in the alphabet of each pair.

    Raises
    ------
    ConditionsError
        If `k` is not 1 to 8.
    """
    if not 1 <= k <= LONGEST_K:
        raise ConditionsError(f"k is {k}; words of 1 to {LONGEST_K} letters can be counted.")
    column, words = _columns(k)
    out = np.full((len(sequences.texts), len(words)), np.nan, np.float32)
    for i, text in enumerate(sequences.texts):
        counts = np.bincount(column[_codes(text, k)], minlength=len(words))
        if counts.sum():
            out[i] = counts / counts.sum()
    return out, words


def _columns(k: int) -> tuple[NDArray[np.int64], list[str]]:
    every = ["".join(letters) for letters in itertools.product(LETTERS, repeat=k)]
    neutral = [min(word, reverse_complement(word)) for word in every]
    words = sorted(set(neutral))
    at = {word: i for i, word in enumerate(words)}
    return np.array([at[word] for word in neutral], np.int64), words


def _codes(text: str, k: int) -> NDArray[np.int64]:
    """Return the number of each word of k letters; words with unknown letters are left out."""
    table = np.full(256, -1, np.int64)
    table[[ord(letter) for letter in LETTERS]] = range(4)
    letters = table[np.frombuffer(text.encode("ascii"), np.uint8)]
    if len(letters) < k:
        return np.zeros(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(letters, k)
    return windows[(windows >= 0).all(1)] @ (4 ** np.arange(k - 1, -1, -1))


def reverse_complement(text: str) -> str:
    """Return the other strand, read in its own direction; unknown letters become their partners."""
    return text.translate(COMPLEMENT)[::-1]


def homologous_groups(sequences: Sequences, alike: float = 0.3, k: int = 8) -> NDArray[np.int64]:
    """Return a number per sequence, equal where sequences share words, so that folds never split what is homologous.

    Parameters
    ----------
    sequences : from `read_sequences`.
    alike : share of the words of the shorter that both hold, on either strand, from which two belong together. Chains
        count: where A is like B and B like C, all three are one group. Unrelated sequences of 1 kb share about .03.
    k : letters of a word.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    column, words = _columns(k)
    held = [np.unique(column[_codes(text, k)]) for text in sequences.texts]
    n = len(held)
    starts = np.concatenate([[0], np.cumsum([len(h) for h in held])])
    flat = np.concatenate(held) if n else np.zeros(0, np.int64)
    there = csr_matrix((np.ones(len(flat), np.int32), flat, starts), shape=(n, len(words)))
    both = (there @ there.T).tocoo()
    sizes = np.array([len(h) for h in held])
    near = both.data >= alike * np.maximum(np.minimum(sizes[both.row], sizes[both.col]), 1)
    links = csr_matrix((np.ones(int(near.sum())), (both.row[near], both.col[near])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def kmer_distances(vectors: Vectors) -> NDArray[np.float64]:
    """Return Euclidean distances (n, n) of vectors.

    Parameters
    ----------
    vectors : (n, d), none of them NaN.

    Raises
    ------
    ConditionsError
        If a row is NaN.
    """
    from scipy.spatial.distance import pdist, squareform

    if not np.isfinite(vectors).all():
        raise ConditionsError("A sequence without vector has no distances; leave it out.")
    return np.asarray(squareform(pdist(np.asarray(vectors, np.float64))))


def word_distances(sequences: Sequences, k: int = 8) -> NDArray[np.float64]:
    """Return evolutionary distances (n, n) in substitutions per site, from the words that two sequences share.

    Mash's distance (Ondov et al., Genome Biol 17:132, 2016) on all words, both strands: -ln(2 J / (1 + J)) / k, with J the
    share of words in both among those in either. Sequences without a common word get the distance of half a common word.

    Parameters
    ----------
    sequences : from `read_sequences`; about 4**k / 10 letters at most, else words are shared by chance.
    k : letters of a word, up to 8 here.
    """
    column, _ = _columns(k)
    held = [set(column[_codes(text, k)].tolist()) for text in sequences.texts]
    n = len(held)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            either = max(len(held[i] | held[j]), 1)
            share = max(len(held[i] & held[j]), 0.5) / either
            out[i, j] = out[j, i] = max(-np.log(2 * share / (1 + share)) / k, 0.0)
    return out


def variant(text: str, change: str) -> str:
    """Return a sequence with one change.

    Parameters
    ----------
    text : the reference.
    change : position (from 1), letters there, and letters instead: `12A>G`, `5AC>A`.

    Raises
    ------
    ConditionsError
        If the change cannot be read, or other letters stand there.
    """
    found = re.fullmatch(r"(\d{1,9})([ACGTN]+)>([ACGTN]+)", change.strip().upper().replace("U", "T"))
    if found is None:
        raise ConditionsError(
            f"{change!r} is no change; write position, letters, > and letters, such as 12A>G."
        )
    at, before, after = int(found[1]) - 1, found[2], found[3]
    if at < 0 or text[at : at + len(before)] != before:
        there = text[at : at + len(before)] if 0 <= at < len(text) else "nothing"
        raise ConditionsError(f"{change}: the reference has {there or 'nothing'} there, not {before}.")
    return text[:at] + after + text[at + len(before) :]
