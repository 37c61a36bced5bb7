"""`cells fit` and `cells predict` without a screen: crops and a CSV in, a head or a CSV out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.encoders import (
    RANDOM,
    CropEncoder,
    HandcraftedEncoder,
    encode_crops,
    provenance_of,
)
from napari_biofm.cells.files import load_crops, read_labels, rows_of, write_predictions
from napari_biofm.cells.folds import has_groups
from napari_biofm.cells.heads import decide
from napari_biofm.cells.more_heads import make_head
from napari_biofm.cells.persist import SavedHead, load_head, replacing, save_head
from napari_biofm.cells.random_encoder import RandomConvEncoder
from napari_biofm.cells.scores import Report, Score, cross_validate, learning_curve, warnings_of
from napari_biofm.cells.table import BASELINE
from napari_biofm.types import Task, Vectors

VIEWS = 4  # turned copies an encoder sees of each crop
SCORES = "scores.json"


@dataclass(frozen=True)
class FitResult:
    """What `fit` did.

    Attributes
    ----------
    folder : where the head lies. blocks : the vectors it takes, chosen on left-out groups. report : scores.
    """

    folder: Path
    blocks: tuple[str, ...]
    report: Report


def fit(
    labels_csv: Path,
    out: Path,
    *,
    crops: Path | None = None,
    images: Path | None = None,
    masks: Path | None = None,
    encoder: CropEncoder | None = None,
    head: str = "logistic",
    views: int = VIEWS,
    curve: bool = True,
) -> Task[FitResult]:
    """Train a head on labelled cells, score it on groups left out, and write both.

    Parameters
    ----------
    labels_csv : `object_id,label[,group]`; object_id is the index in the stack, or "stem:label" with images.
    out : folder of the head; `scores.json` is written into it.
    crops : stack (N, Y, X[, C]); or else folders of `images` and `masks`.
    encoder : gives the vectors; the untrained network when not given.
    head : name of the head, see `more_heads.HEADS`.
    views : turned copies of each crop the encoder's vectors are averaged over.
    curve : compute the learning curve as well.

    Raises
    ------
    CellsError
        If files, ids or labels do not allow it; nothing is written then.
    """
    labels = read_labels(labels_csv)
    found = yield from load_crops(crops, images, masks)
    rows = rows_of(labels, found.ids, crops or images)
    names = np.asarray([a.label for a in labels], object)
    groups = [a.group or found.groups[row] for a, row in zip(labels, rows, strict=True)]
    if not has_groups(groups):
        groups = [""] * len(labels)
    encoder = encoder or RandomConvEncoder()
    blocks = yield from _blocks(found.crops[rows], encoder, views)
    report, chosen = yield from _choose(blocks, encoder.name, names, groups, head)
    vectors = _beside(blocks, chosen)
    if curve:
        report.learning_curve = yield from learning_curve(vectors, names, groups, lambda: make_head(head))
        n_all = report.model.n_cells * (1 - 1 / report.model.n_folds)
        report.learning_curve.append({"n_labels": n_all, "macro_f1": report.model.macro_f1})
    trained = make_head(head).fit(vectors, names, groups)
    encoders = {
        name: provenance_of(e, views if name != BASELINE else 1) for name, e in _encoders(encoder).items()
    }
    details: dict[str, Any] = {"n_labels": len(labels), "macro_f1": report.model.macro_f1, "views": views}
    saved = SavedHead(trained, chosen, {name: encoders[name] for name in chosen}, details)
    with replacing(out) as partial:
        save_head(partial, saved)
        account = {
            **report.as_dict(),
            "blocks": list(chosen),
            "head": head,
            "encoder": encoders[encoder.name],
        }
        (partial / SCORES).write_text(json.dumps(account, indent=1), encoding="utf-8")
    return FitResult(out, chosen, report)


def predict(
    head: Path,
    out: Path,
    *,
    crops: Path | None = None,
    images: Path | None = None,
    masks: Path | None = None,
    encoder: CropEncoder | None = None,
    min_probability: float = 0.0,
) -> Task[int]:
    """Predict every cell with a trained head, write `object_id,label,probability`, and return their number.

    Parameters
    ----------
    head : folder written by `fit`. out : the CSV.
    min_probability : below it a cell is called "unknown".

    Raises
    ------
    CellsError
        If the encoder is not the one the head was trained with, or files cannot be read.
    """
    saved = load_head(head)
    views = int(saved.details.get("views", 1))
    known = _encoders(encoder or RandomConvEncoder())
    saved.check({name: provenance_of(e, views) for name, e in known.items()})
    found = yield from load_crops(crops, images, masks)
    if not len(found.ids):
        write_predictions(out, [], [], [])
        return 0
    blocks: dict[str, Vectors] = {}
    for name in saved.blocks:
        blocks[name] = yield from encode_crops(known[name], found.crops, views if name != BASELINE else 1)
    probabilities = saved.head.predict_proba(_beside(blocks, saved.blocks))
    decided = decide(probabilities, saved.head.classes, min_probability)
    write_predictions(out, found.ids, decided, probabilities.max(1))
    return len(found.ids)


# ------------------------------------------------------------------ parts


def _encoders(encoder: CropEncoder) -> dict[str, CropEncoder]:
    """The encoder, and the baselines that stand beside it."""
    return {RANDOM: RandomConvEncoder(), BASELINE: HandcraftedEncoder(), encoder.name: encoder}


def _blocks(crops: NDArray[Any], encoder: CropEncoder, views: int) -> Task[dict[str, Vectors]]:
    blocks = {}
    for name, each in _encoders(encoder).items():
        blocks[name] = yield from encode_crops(each, crops, views if name != BASELINE else 1)
    return blocks


def _beside(blocks: dict[str, Vectors], chosen: Sequence[str]) -> Vectors:
    return np.concatenate([blocks[name] for name in chosen], 1)


def _choose(
    blocks: dict[str, Vectors], encoder: str, names: NDArray[np.object_], groups: list[str], head: str
) -> Task[tuple[Report, tuple[str, ...]]]:
    """Score baselines and combinations of blocks on the same folds; the best combination is the model."""
    candidates: list[tuple[str, ...]] = [(encoder,), (encoder, BASELINE)]
    if encoder != RANDOM:
        candidates.append((encoder, BASELINE, RANDOM))
    scores: dict[tuple[str, ...], Score] = {}
    for blocks_in_use in [(BASELINE,), (RANDOM,), *candidates]:
        if blocks_in_use not in scores:
            vectors = _beside(blocks, blocks_in_use)
            scores[blocks_in_use], _ = yield from cross_validate(
                vectors, names, groups, lambda: make_head(head)
            )
    chosen = max(candidates, key=lambda c: scores[c].macro_f1)
    report = Report(scores[chosen])
    report.baselines = {name: scores[(name,)] for name in (BASELINE, RANDOM)}
    report.warnings = warnings_of(report, f"'{' + '.join(chosen)}'")
    if encoder not in (BASELINE, RANDOM):
        report.baselines[f"{encoder} alone"] = scores[(encoder,)]
        report.warnings += _about_encoder(scores, encoder)
    return report, chosen


def _about_encoder(scores: dict[tuple[str, ...], Score], encoder: str) -> list[str]:
    return [
        f"Vectors of '{encoder}' alone do not beat the baseline '{name}' (macro-F1 "
        f"{scores[(encoder,)].macro_f1:.3f} against {scores[(name,)].macro_f1:.3f})."
        for name in (BASELINE, RANDOM)
        if scores[(encoder,)].macro_f1 <= scores[(name,)].macro_f1
    ]
