"""What a classifier says of the cells of a layer, kept with it: shown again exactly as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.heads import Head
from napari_biofm.cells.classify.live import Prediction
from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.files import write_json
from napari_biofm.types import CellsError, ModelError

HEAD, ROWS, ABOUT = "head", "predictions.safetensors", "classified.json"


@dataclass(frozen=True, eq=False)
class Classified:
    """A classifier and its predictions.

    Attributes
    ----------
    labels : (n,) label values of the cells.
    prediction : of each cell; codes count `names`.
    names : classes.
    head : the classifier. embeddings : the vectors it takes. encoders : their provenance.
    min_probability : below it a cell is called unknown.
    digest : of the vectors, and of the labels by hand where it learns live; other ones ask for new predictions.
    is_live : whether the next label teaches it on; else it was trained or loaded and stays until then.
    """

    labels: NDArray[np.int64]
    prediction: Prediction
    names: tuple[str, ...]
    head: Head
    embeddings: tuple[str, ...]
    encoders: Mapping[str, Mapping[str, Any]]
    min_probability: float
    digest: int
    is_live: bool

    def on_rows(self, labels: NDArray[np.int64], names: Sequence[str]) -> Prediction:
        """Return the predictions for other rows and another list of classes; -1 for cells that are not known."""
        code_of = np.asarray([*(_at(names, name) for name in self.names), -1], np.int16)
        order = np.argsort(self.labels, kind="stable")
        at = np.minimum(np.searchsorted(self.labels[order], labels), max(len(order) - 1, 0))
        rows = order[at] if len(order) else np.zeros(len(labels), np.int64)
        there = self.labels[rows] == labels if len(order) else np.zeros(len(labels), bool)
        known = self.prediction
        probabilities = np.full((len(labels), known.probabilities.shape[1]), np.nan, np.float32)
        probabilities[there] = known.probabilities[rows[there]]
        probability = np.full(len(labels), np.nan, np.float32)
        probability[there] = known.probability[rows[there]]
        code = np.full(len(labels), -1, np.int16)
        code[there] = code_of[known.code[rows[there]]]
        return Prediction(code, probability, probabilities, tuple(int(code_of[c]) for c in known.classes))


def identity(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what a classifier must know of its vectors."""
    kept: dict[str, Any] = {key: str(provenance.get(key, "")) for key in ("name", "weights_sha256", "recipe")}
    return kept | ({"views": int(provenance["views"])} if "views" in provenance else {})


def _at(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


def write_classified(folder: Path, kept: Classified) -> None:
    """Write a classifier and its predictions into a folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    encoders = {name: dict(source) for name, source in kept.encoders.items()}
    save_head(folder / HEAD, SavedHead(kept.head, kept.embeddings, encoders, {}))
    known = kept.prediction
    arrays: dict[str, Any] = {
        "labels": kept.labels,
        "code": known.code,
        "probability": known.probability,
        "probabilities": known.probabilities,
        "classes": np.asarray(known.classes, np.int64),
    }
    save_file({name: np.ascontiguousarray(part) for name, part in arrays.items()}, folder / ROWS)
    about = {
        "names": kept.names,
        "min_probability": kept.min_probability,
        "digest": kept.digest,
        "is_live": kept.is_live,
    }
    write_json(folder / ABOUT, about)


def read_classified(folder: Path) -> Classified:
    """Read what `write_classified` wrote.

    Raises
    ------
    CellsError
        If a part is missing or damaged.
    """
    from napari_biofm.models.checkpoints import read_arrays

    saved = load_head(folder / HEAD)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        rows = read_arrays(folder / ROWS)
        names = tuple(str(name) for name in about["names"])
        n, k = len(rows["labels"]), len(rows["classes"])
        codes = np.concatenate([rows["code"].ravel(), rows["classes"].ravel()])
        if (
            rows["code"].shape != (n,)
            or rows["probability"].shape != (n,)
            or rows["probabilities"].shape != (n, k)
        ):
            raise ValueError("its arrays differ in length")
        if len(codes) and not -1 <= codes.min() <= codes.max() < len(names):
            raise ValueError("a code has no class")
        prediction = Prediction(
            rows["code"].astype(np.int16),
            rows["probability"].astype(np.float32),
            rows["probabilities"].astype(np.float32),
            tuple(int(c) for c in rows["classes"]),
        )
        minimum = float(about["min_probability"])
        if not 0 <= minimum <= 1:
            raise ValueError(f"min_probability is {minimum}")
        live, digest = bool(about["is_live"]), int(about["digest"])
    except (OSError, ModelError, ValueError, KeyError, TypeError) as error:
        raise CellsError(f"The classifier in {folder} is damaged ({error}); train it again.") from error
    labels = rows["labels"].astype(np.int64)
    return Classified(
        labels, prediction, names, saved.classifier, saved.embeddings, saved.encoders, minimum, digest, live
    )
