"""Vectors of sequences and compounds from an encoder on disk: the mean over its tokens (extra `bert`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions.bert_folder import CLS, PAD, SEP, UNKNOWN, BertFolder
from napari_biofm.conditions.sequences import reverse_complement
from napari_biofm.models.checkpoints import read_state
from napari_biofm.types import ConditionsError, ModelError, Vectors

if TYPE_CHECKING:
    import torch

BATCH = 16  # pieces that go through the network at once
LONGEST_TEXT = 200_000  # letters
# Atoms, bonds and rings of a SMILES (Schwaller et al., ACS Cent Sci 5:1572, 2019)
SMILES_WORDS = re.compile(
    r"(\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|%[0-9]{2}|[0-9])"
)


def bert_vectors(folder: BertFolder, texts: Sequence[str]) -> Vectors:
    """Return one vector per text: the mean of the last layer over its tokens.

    Longer texts than the network takes go through it in pieces. Sequences are read on both strands and averaged; words with
    letters that are not known are left out.

    Parameters
    ----------
    folder : from `read_bert_folder`.
    texts : (n,) sequences in capital letters, or SMILES.

    Returns
    -------
    (n, d) float32; NaN where a text has no known word.

    Raises
    ------
    ConditionsError
        If transformers or torch is not installed, a text is too long, or the weights do not fit the configuration.
    """
    cut, (start, end, pad) = _cutter(folder)
    network = _network(folder)
    room = folder.longest - 2
    pieces: list[tuple[int, list[int]]] = []
    for row, text in enumerate(texts):
        if len(text) > LONGEST_TEXT:
            raise ConditionsError(
                f"text {row + 1} has {len(text)} letters; at most {LONGEST_TEXT} can be read."
            )
        strands = (text, reverse_complement(text)) if folder.words == "kmers" else (text,)
        for words in map(cut, strands):
            pieces += [(row, words[i : i + room]) for i in range(0, len(words), room)]
    width = int(str(folder.config["hidden_size"]))
    total, count = np.zeros((len(texts), width)), np.zeros(len(texts))
    pieces.sort(key=lambda one: len(one[1]))  # little padding
    for rows, sums in _passes(network, pieces, (start, end, pad)):
        for (row, words), found in zip(rows, sums, strict=True):
            total[row] += found
            count[row] += len(words)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count[:, None] > 0, total / count[:, None], np.nan).astype(np.float32)


def _passes(
    network: Any, pieces: Sequence[tuple[int, list[int]]], ends: tuple[int, int, int]
) -> Iterator[tuple[Sequence[tuple[int, list[int]]], NDArray[np.float64]]]:
    """Yield some pieces and the sum of their tokens' vectors, those of the ends left out."""
    import torch

    start, end, pad = ends
    for i in range(0, len(pieces), BATCH):
        rows = pieces[i : i + BATCH]
        longest = max(len(words) for _, words in rows)
        ids = torch.full((len(rows), longest + 2), pad)
        there = torch.zeros((len(rows), longest + 2), dtype=torch.long)
        inside = torch.zeros((len(rows), longest + 2))
        for j, (_, words) in enumerate(rows):
            ids[j, : len(words) + 2] = torch.tensor([start, *words, end])
            there[j, : len(words) + 2] = 1
            inside[j, 1 : len(words) + 1] = 1
        with torch.inference_mode():
            last = network(input_ids=ids, attention_mask=there).last_hidden_state
        yield rows, (last * inside[:, :, None]).sum(1).double().numpy()


def _cutter(folder: BertFolder) -> tuple[Callable[[str], list[int]], tuple[int, int, int]]:
    """Return what turns a text into numbers of words, and the numbers of start, end and padding."""
    if folder.words == "subwords":
        return _subwords(folder)
    known, unknown, k = folder.vocabulary, folder.vocabulary[UNKNOWN], folder.k

    def kmers(text: str) -> list[int]:
        found = (known.get(text[i : i + k]) for i in range(len(text) - k + 1))
        return [n for n in found if n is not None]

    def atoms(text: str) -> list[int]:
        return [known.get(word, unknown) for word in SMILES_WORDS.findall(text)]

    return (kmers if folder.words == "kmers" else atoms), (known[CLS], known[SEP], known[PAD])


def _subwords(folder: BertFolder) -> tuple[Callable[[str], list[int]], tuple[int, int, int]]:
    try:
        from tokenizers import Tokenizer
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel
    except ImportError as error:
        raise ConditionsError(_what_to_install(error)) from error
    path = folder.path
    try:
        if (path / "tokenizer.json").is_file():
            made = Tokenizer.from_file(str(path / "tokenizer.json"))
        else:
            made = Tokenizer(
                BPE.from_file(str(path / "vocab.json"), str(path / "merges.txt"), unk_token="<unk>")
            )
            made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    except Exception as error:  # the library raises plain Exception
        raise ConditionsError(f"{path}: its tokenizer cannot be read ({error}).") from error
    made.no_truncation()
    made.no_padding()
    ends = []
    for names in (("<s>", CLS), ("</s>", SEP), ("<pad>", PAD)):
        number = next((n for n in map(made.token_to_id, names) if n is not None), None)
        if number is None:
            raise ConditionsError(f"{path}: its tokenizer has neither {' nor '.join(names)}.")
        ends.append(number)
    return lambda text: list(made.encode(text, add_special_tokens=False).ids), (ends[0], ends[1], ends[2])


def _network(folder: BertFolder) -> torch.nn.Module:
    """Make the plain architecture and put the weights into it; what only training needs may be left over or missing."""
    try:
        import transformers
    except ImportError as error:
        raise ConditionsError(_what_to_install(error)) from error
    kinds = {
        "bert": (transformers.BertConfig, transformers.BertModel),
        "roberta": (transformers.RobertaConfig, transformers.RobertaModel),
    }
    config_kind, kind = kinds[folder.architecture]
    try:
        network = kind(config_kind(**folder.config), add_pooling_layer=False)
        state = read_state(folder.path / folder.weights)
    except ModelError as error:
        raise ConditionsError(str(error)) from error
    except Exception as error:  # a configuration that does not hold together raises many kinds
        raise ConditionsError(f"{folder.path}: its configuration cannot be used ({error}).") from error
    prefix = f"{folder.architecture}."
    mine = {name.removeprefix(prefix): value for name, value in state.items()}
    mine = {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): value
        for name, value in mine.items()
    }
    wanted = network.state_dict()
    lost = [name for name in wanted if name not in mine and not name.endswith("position_ids")]
    odd = [name for name in wanted if name in mine and mine[name].shape != wanted[name].shape]
    if lost or odd:
        what = f"{lost[0]} is missing" if lost else f"{odd[0]} has shape {tuple(mine[odd[0]].shape)}"
        raise ConditionsError(f"{folder.path}: {folder.weights} does not fit config.json: {what}.")
    network.load_state_dict({name: mine[name] for name in wanted if name in mine}, strict=False)
    return network.float().eval()


def _what_to_install(error: ImportError) -> str:
    return f"Encoders on disk need transformers ({error}): pip install napari-biofm[bert]."
