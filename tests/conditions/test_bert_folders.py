"""Encoders on disk: small random networks of the true architectures, saved as the folders that people have."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.conditions.bert_folder import read_bert_folder
from napari_biofm.conditions.bert_vectors import bert_vectors
from napari_biofm.types import ConditionsError

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")
SIZE = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip
TEXTS = ["ACGTACGGTCATTA", "TTTTACGGACGTAC", "GGGCCCGGGCAC"]


def _dnabert(path: Path, k: int = 3) -> Path:
    """Save what DNABERT's folders hold: BERT with a head, a list of k-mers, torch weights."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map("".join, itertools.product("ATCG", repeat=k))]
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=len(words), **SIZE))
    path.mkdir()
    (path / "config.json").write_text(
        json.dumps(model.config.to_dict() | {"architectures": ["BertForMaskedLM"]})
    )
    torch.save(model.state_dict(), path / "pytorch_model.bin")
    (path / "vocab.txt").write_text("\n".join(words) + "\n")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return path


def _chemberta(path: Path, *, split: bool = True) -> Path:
    """Save what ChemBERTa's folders hold: RoBERTa, vocab.json with merges.txt or a tokenizer.json, safetensors."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"()=#123CNOcnoF", "CC", "cc"]
    vocabulary = {word: i for i, word in enumerate(letters)}
    torch.manual_seed(1)
    config = transformers.RobertaConfig(vocab_size=len(letters), pad_token_id=1, **SIZE)
    transformers.RobertaModel(config).save_pretrained(path)
    merges = [("C", "C"), ("c", "c")]
    if split:
        (path / "vocab.json").write_text(json.dumps(vocabulary))
        (path / "merges.txt").write_text(
            "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n"
        )
    else:
        made = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.save(str(path / "tokenizer.json"))
    return path


def test_a_dnabert_folder_gives_the_mean_over_its_k_mers_on_both_strands(tmp_path: Path) -> None:
    folder = read_bert_folder(_dnabert(tmp_path / "dna"), "sequences")
    assert (folder.architecture, folder.k, folder.licence) == ("bert", 3, "apache-2.0")
    assert len(folder.sha256) == 64 and "SHA-256" in folder.text and "apache-2.0" in folder.text
    found = bert_vectors(folder, TEXTS)
    model = transformers.BertForMaskedLM(
        transformers.BertConfig(**json.loads((folder.path / "config.json").read_text()))
    )
    model.load_state_dict(torch.load(folder.path / "pytorch_model.bin", weights_only=True))
    model.eval()
    both = []
    for strand in (TEXTS[0], "TAATGACCGTACGT"):
        ids = [2, *(folder.vocabulary[strand[i : i + 3]] for i in range(len(strand) - 2)), 3]
        with torch.inference_mode():
            both.append(model.bert(input_ids=torch.tensor([ids])).last_hidden_state[0, 1:-1].mean(0).numpy())
    np.testing.assert_allclose(found[0], np.mean(both, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bert_vectors(folder, ["TAATGACCGTACGT"])[0], found[0], rtol=1e-4, atol=1e-5)


def test_long_texts_go_through_in_pieces_and_unknown_letters_are_left_out(tmp_path: Path) -> None:
    folder = read_bert_folder(_dnabert(tmp_path / "dna"))
    found = bert_vectors(folder, ["ACGT" * 100, "NNNNNN", "ACGNACGTT", "AC"])
    assert np.isfinite(found[[0, 2]]).all() and np.isnan(found[[1, 3]]).all()


@pytest.mark.parametrize("split", [True, False])
def test_a_chemberta_folder_gives_the_mean_over_its_tokens(tmp_path: Path, split: bool) -> None:
    folder = read_bert_folder(_chemberta(tmp_path / "chem", split=split), "compounds")
    assert (folder.architecture, folder.words, folder.licence) == ("roberta", "subwords", "")
    found = bert_vectors(folder, ["CCO", "c1ccncc1"])
    model = transformers.RobertaModel.from_pretrained(folder.path, local_files_only=True).eval()
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"()=#123CNOcnoF", "CC", "cc"]
    ids = [0, names.index("CC"), names.index("O"), 2]
    with torch.inference_mode():
        wanted = model(input_ids=torch.tensor([ids])).last_hidden_state[0, 1:-1].mean(0).numpy()
    np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-5)


def test_a_bert_of_atoms_and_bonds_cuts_smiles_as_chemists_do(tmp_path: Path) -> None:
    path = _dnabert(tmp_path / "mol")
    words = (path / "vocab.txt").read_text().split()
    words[5:12] = ["C", "Cl", "[nH]", "c", "1", "O", "="]
    (path / "vocab.txt").write_text("\n".join(words))
    folder = read_bert_folder(path, "compounds")
    assert folder.words == "smiles" and np.isfinite(bert_vectors(folder, ["ClC=O", "c1cc[nH]c1"])).all()


def test_verbs_and_heads_take_the_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("Bio")
    dna, chem = _dnabert(tmp_path / "dna"), _chemberta(tmp_path / "chem")
    (tmp_path / "s.fa").write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(TEXTS)))
    assert (
        main(["sequences", str(tmp_path / "s.fa"), "--model", str(dna), "--out", str(tmp_path / "s.csv")])
        == 0
    )
    assert "licence apache-2.0" in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "s.csv")
    wanted = bert_vectors(read_bert_folder(dna), TEXTS)
    np.testing.assert_allclose(table[[f"v{i}" for i in range(16)]], wanted, rtol=1e-4, atol=1e-5)
    change = ["--variant", "s0:1A>G", "--out", str(tmp_path / "v.csv")]
    assert main(["sequences", str(tmp_path / "s.fa"), "--model", str(dna), *change]) == 0
    assert pd.read_csv(tmp_path / "v.csv")["distance"][0] > 0
    (tmp_path / "c.csv").write_text("smiles\nCCO\nnothing\nc1ccncc1\n")
    assert (
        main(["compounds", str(tmp_path / "c.csv"), "--vectors", str(chem), "--out", str(tmp_path / "o.csv")])
        == 0
    )
    assert "licence not stated" in capsys.readouterr().err
    rows = pd.read_csv(tmp_path / "o.csv")
    assert rows["v0"].notna().tolist() == [True, False, True]
    assert (
        main(["compounds", str(tmp_path / "c.csv"), "--vectors", str(dna), "--out", str(tmp_path / "p.csv")])
        == 1
    )
    assert "give it to the verb sequences" in capsys.readouterr().err
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(30)]
    names, labels = [f"n{i}" for i in range(30)], ["yes" if i % 2 else "no" for i in range(30)]
    head = biofm.sequence_head(names, texts, labels, model=dna)
    assert len(head.predicted) == 30


def _with_config(path: Path, **more: object) -> None:
    config = json.loads((path / "config.json").read_text()) | more
    (path / "config.json").write_text(json.dumps(config))


def test_what_is_not_plain_is_refused_with_what_to_do(tmp_path: Path) -> None:
    def refused(name: str, what: str, **config: object) -> None:
        path = tmp_path / name
        _with_config(path, **config)
        with pytest.raises(ConditionsError, match=what):
            bert_vectors(read_bert_folder(path), TEXTS)

    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
        _dnabert(tmp_path / name)
    refused(
        "a", "code of its own .auto_map., which is never run", auto_map={"AutoModel": "dnabert_layer.Net"}
    )
    (tmp_path / "b" / "net.py").write_text("raise SystemExit")
    refused("b", "brings code along .net.py.")
    refused("c", "architecture 'gpt2'; plain bert and roberta", model_type="gpt2")
    (tmp_path / "d" / "pytorch_model.bin").unlink()
    refused("d", "no weights; model.safetensors or pytorch_model.bin")
    refused("e", "does not fit config.json", hidden_size=24, num_attention_heads=2)
    (tmp_path / "f" / "vocab.txt").unlink()
    refused("f", "no vocabulary")
    (tmp_path / "g" / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": "x.Y"}}))
    refused("g", "never run")
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "h" / "pytorch_model.bin")
    refused("h", "holds more than weights and was not opened")
    with pytest.raises(ConditionsError, match="no folder"):
        read_bert_folder(tmp_path / "nowhere")
    (tmp_path / "i").mkdir()
    with pytest.raises(ConditionsError, match=r"config\.json is missing"):
        read_bert_folder(tmp_path / "i")
