"""Folders of BERT and RoBERTa encoders on disk (DNABERT, ChemBERTa and the like), checked as data before anything is run.

A folder is refused that asks for code of its own (`auto_map`, Python files), that is of another architecture, or whose tokens
are not understood. Nothing is fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_biofm.models.checkpoints import sha256_of
from napari_biofm.types import ConditionsError

MAX_JSON = 32 << 20  # bytes of a configuration or a vocabulary
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
ARCHITECTURES = ("bert", "roberta")
CLS, SEP, PAD, UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[UNK]"
Words = Literal["kmers", "smiles", "subwords"]
_OTHERWISE = "export it as vectors of its own and join them by the verb vectors"


@dataclass(frozen=True)
class BertFolder:
    """What a folder holds.

    Attributes
    ----------
    path : the folder. weights : name of the file of weights.
    architecture : "bert" or "roberta".
    config : as it stands in config.json.
    words : how a text is cut: "kmers" of DNABERT, "smiles" by a vocabulary of atoms and bonds, or "subwords" of a tokenizer.
    k : letters of a k-mer, 0 for other words.
    vocabulary : number by word, for "kmers" and "smiles".
    sha256 : of the weights. licence : as the folder states it, "" where it does not.
    """

    path: Path
    weights: str
    architecture: str
    config: Mapping[str, object]
    words: Words
    k: int
    vocabulary: Mapping[str, int]
    sha256: str
    licence: str

    @property
    def reads(self) -> str:
        """What it reads: "sequences" or "compounds"."""
        return "sequences" if self.words == "kmers" else "compounds"

    @property
    def longest(self) -> int:
        """Tokens that go in at once, with those at both ends."""
        places = self.config.get("max_position_embeddings", 512)
        reserved = 2 if self.architecture == "roberta" else 0  # its positions begin behind the padding
        return max(8, (places if isinstance(places, int) else 512) - reserved)

    @property
    def text(self) -> str:
        """One line for people: name, architecture, hash, licence."""
        size = f"{self.config.get('num_hidden_layers', '?')} layers, {self.config.get('hidden_size', '?')} numbers"
        return (
            f"{self.path.name}: {self.architecture}, {size}, SHA-256 {self.sha256[:16]}, "
            f"licence {self.licence or 'not stated in the folder'}"
        )


def read_bert_folder(path: Path, reads: str = "") -> BertFolder:
    """Read what a folder of an encoder holds; nothing of it is run.

    Parameters
    ----------
    path : folder with config.json, weights (model.safetensors or pytorch_model.bin) and the vocabulary (vocab.txt,
        tokenizer.json, or vocab.json with merges.txt).
    reads : what it has to read, "sequences" or "compounds"; any if not given.

    Raises
    ------
    ConditionsError
        If something is missing, it needs code of its own, is no plain BERT or RoBERTa, or reads something else; with what
        to do.
    """
    if not path.is_dir():
        raise ConditionsError(f"{path} is no folder of an encoder.")
    config = _json(path / "config.json")
    _refuse_code(path, config)
    architecture = _architecture(path, config)
    weights = next((name for name in WEIGHTS if (path / name).is_file()), "")
    if not weights:
        raise ConditionsError(f"{path}: there are no weights; {' or '.join(WEIGHTS)} is needed.")
    words, k, vocabulary = _words(path)
    found = BertFolder(
        path, weights, architecture, config, words, k, vocabulary, sha256_of(path / weights), _licence(path)
    )
    if reads and found.reads != reads:
        raise ConditionsError(f"{path} reads {found.reads}, not {reads}; give it to the verb {found.reads}.")
    return found


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConditionsError(f"{path} is missing: a folder of transformers holds it.")
    if path.stat().st_size > MAX_JSON:
        raise ConditionsError(f"{path} is larger than {MAX_JSON >> 20} MB.")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ConditionsError(f"{path} is no JSON ({error}).") from error
    if not isinstance(said, dict):
        raise ConditionsError(f"{path} holds no object.")
    return said


def _refuse_code(path: Path, config: Mapping[str, object]) -> None:
    """Raise for a folder that brings a program along."""
    others = [_json(one) for one in (path / "tokenizer_config.json",) if one.is_file()]
    if any("auto_map" in one or "custom_pipelines" in one for one in (config, *others)):
        raise ConditionsError(
            f"{path}: asks for code of its own (auto_map), which is never run; {_OTHERWISE}."
        )
    code = sorted(one.name for one in path.glob("*.py"))
    if code:
        raise ConditionsError(f"{path}: brings code along ({code[0]}), which is never run; {_OTHERWISE}.")


def _architecture(path: Path, config: Mapping[str, object]) -> str:
    said = config.get("model_type")
    names = config.get("architectures")
    first = str(names[0]).lower() if isinstance(names, list) and names else ""
    found = str(said) if said else next((one for one in ("roberta", "bert") if first.startswith(one)), first)
    if found not in ARCHITECTURES:
        raise ConditionsError(
            f"{path}: architecture {found or 'unknown'!r}; plain {' and '.join(ARCHITECTURES)} can be read. For others: {_OTHERWISE}."
        )
    return found


def _words(path: Path) -> tuple[Words, int, dict[str, int]]:
    """Return how texts are cut, the letters of a k-mer, and the vocabulary where it is a list."""
    plain = path / "vocab.txt"
    if plain.is_file():
        if plain.stat().st_size > MAX_JSON:
            raise ConditionsError(f"{plain} is larger than {MAX_JSON >> 20} MB.")
        lines = plain.read_text(encoding="utf-8").splitlines()
        vocabulary = {word.strip(): i for i, word in enumerate(lines) if word.strip()}
        lost = [word for word in (CLS, SEP, PAD, UNKNOWN) if word not in vocabulary]
        if lost:
            raise ConditionsError(f"{plain} has no {lost[0]}: it is no vocabulary of BERT.")
        k = _letters(vocabulary)
        if k or not (path / "tokenizer.json").is_file():
            return ("kmers" if k else "smiles"), k, vocabulary
    if (path / "tokenizer.json").is_file() or all((path / n).is_file() for n in ("vocab.json", "merges.txt")):
        return "subwords", 0, {}
    raise ConditionsError(
        f"{path}: there is no vocabulary; vocab.txt, tokenizer.json, or vocab.json with merges.txt is needed."
    )


def _letters(vocabulary: Mapping[str, int]) -> int:
    """Return the letters of the k-mers that a vocabulary lists, 0 where it lists others."""
    words = [word for word in vocabulary if not word.startswith("[")]
    k = len(words[0]) if words else 0
    return (
        k
        if 1 <= k <= 8 and all(re.fullmatch(f"[ACGTN]{{{k}}}", word) for word in words) and len(words) >= 4**k
        else 0
    )


def _licence(path: Path) -> str:
    """Return the licence that the folder states: in the head of its README, or the first line of a licence file."""
    readme = path / "README.md"
    if readme.is_file():
        found = re.search(
            r"(?m)^licen[sc]e:\s*(\S.*)$", readme.read_text(encoding="utf-8", errors="replace")[:4096]
        )
        if found:
            return found[1].strip().strip("'\"")[:60]
    for one in sorted(path.glob("LICEN[SC]E*")):
        lines = one.read_text(encoding="utf-8", errors="replace")[:4096].split("\n")
        return next((line.strip()[:60] for line in lines if line.strip()), "")
    return ""
