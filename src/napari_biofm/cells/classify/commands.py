"""`cells fit` and `cells predict` without a screen: crops and a CSV in, a head or a CSV out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.heads import Head, PartFits, decide
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.classify.persist import SavedHead, load_head, replacing, save_head
from napari_biofm.cells.classify.scores import Report, Score, cross_validate, learning_curve, warnings_of
from napari_biofm.cells.classify.threads import one_thread
from napari_biofm.cells.embed.crop_files import load_crops
from napari_biofm.cells.embed.embeddings import VIEWS, compute_embeddings, views_of
from napari_biofm.cells.embed.encoders import (
    RANDOM,
    HandcraftedEncoder,
    kept_vectors,
    provenance_of,
)
from napari_biofm.cells.embed.random_encoder import RandomConvEncoder
from napari_biofm.cells.table.cell_table import BASELINE
from napari_biofm.cells.table.files import (
    read_fields,
    read_label_rows,
    rows_of,
    write_predictions,
    write_values,
)
from napari_biofm.cells.table.folds import has_groups
from napari_biofm.cells.values.regression import RegressionHead, RegressionScore, score_regression
from napari_biofm.cells.values.targets import read_targets
from napari_biofm.images.protocols import CropEncoder
from napari_biofm.types import CellsError, Progress, Task, Vectors

SCORES = "scores.json"
DEFAULT_HEAD = "ensemble"


@dataclass(frozen=True)
class FitResult:
    """What `fit` did.

    Attributes
    ----------
    folder : where the head lies. embeddings : the vectors it takes, chosen on left-out groups. report : scores.
    """

    folder: Path
    embeddings: tuple[str, ...]
    report: Report


def fit(
    labels_csv: Path,
    out: Path,
    *,
    crops: Path | None = None,
    images: Path | None = None,
    masks: Path | None = None,
    encoder: CropEncoder | None = None,
    head: str = DEFAULT_HEAD,
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
    labels = read_label_rows(labels_csv)
    found = yield from load_crops(crops, images, masks)
    rows = rows_of(labels, found.ids, crops or images)
    names = np.asarray([a.label for a in labels], object)
    groups = [a.group or found.groups[row] for a, row in zip(labels, rows, strict=True)]
    if not has_groups(groups):
        groups = [""] * len(labels)
    encoder = encoder or RandomConvEncoder()
    embeddings = yield from _embeddings(found.crops[rows], encoder, views)
    with one_thread():
        report, chosen, trained = yield from _choose(embeddings, encoder, names, groups, head)
    if curve:
        with one_thread():
            report.learning_curve = yield from learning_curve(
                _beside(embeddings, chosen), names, groups, trained.again
            )
        n_all = report.model.n_cells * (1 - 1 / report.model.n_folds)
        report.learning_curve.append({"n_labels": n_all, "macro_f1": report.model.macro_f1})
    encoders = {name: provenance_of(e, views_of(name, views)) for name, e in _encoders(encoder).items()}
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


@dataclass(frozen=True)
class RegressionResult:
    """What `regress` did: where the head lies, the embedding it takes, and the scores of each embedding."""

    folder: Path
    embedding: str
    scores: dict[str, RegressionScore]


def regress(
    targets_file: Path,
    out: Path,
    *,
    crops: Path | None = None,
    images: Path | None = None,
    masks: Path | None = None,
    encoder: CropEncoder | None = None,
    targets: Sequence[str] | None = None,
    views: int = VIEWS,
) -> Task[RegressionResult]:
    """Train a head for continuous targets, score it on groups left out beside baselines, and write both.

    Parameters
    ----------
    targets_file : see `targets.read_targets`. targets : which columns; all when not given.
    out, crops, images, masks, encoder, views : as for `fit`.

    Raises
    ------
    CellsError
        If files, ids or values do not allow it; nothing is written then.
    """
    measured = read_targets(targets_file, targets)
    found = yield from load_crops(crops, images, masks)
    told = dict(zip(measured.ids, measured.groups, strict=True))
    groups = [told.get(name) or group for name, group in zip(found.ids, found.groups, strict=True)]
    if measured.of_groups and crops is not None:
        raise CellsError(
            f"{targets_file} has values of whole groups, but a stack of crops knows no groups; give object_id "
            "for each crop."
        )
    values = measured.for_cells(found.ids, found.groups)
    rows = np.flatnonzero(np.isfinite(values).any(1))
    values, groups = values[rows], [groups[i] for i in rows]
    encoder = encoder or RandomConvEncoder()
    embeddings = yield from _embeddings(found.crops[rows], encoder, views)
    kept = groups if has_groups(groups) else None
    scores: dict[str, RegressionScore] = {}
    for name, vectors in embeddings.items():
        scores[name] = yield from score_regression(vectors, values, measured.names, kept)
    head = RegressionHead().fit(embeddings[encoder.name], values, measured.names, kept)
    source = provenance_of(encoder, views_of(encoder.name, views))
    saved = SavedHead(head, (encoder.name,), {encoder.name: source}, {"n_cells": len(rows)})
    baselines = {name: score.as_dict() for name, score in scores.items() if name != encoder.name}
    with replacing(out) as partial:
        save_head(partial, saved)
        account = {**scores[encoder.name].as_dict(), "baselines": baselines, "encoder": source}
        (partial / SCORES).write_text(json.dumps(account, indent=1), encoding="utf-8")
    return RegressionResult(out, encoder.name, scores)


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
    """Predict every cell with a trained head, write a CSV, and return the number of cells.

    The CSV has `object_id,label,probability`, or `object_id` and a column per target where the head predicts
    values. The vectors are computed the way the head knows them: a head of the dock, trained on masks in whole
    images, takes `images` and `masks`; a head trained on crops takes either.

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
    encoder = encoder or RandomConvEncoder()
    if crops is not None:
        saved.match(_of_crops(saved, encoder))
    ids: list[str] = []
    parts: list[Vectors] = []
    told = saved.head.predict if isinstance(saved.head, RegressionHead) else saved.head.predict_proba
    if crops is not None:
        found = yield from load_crops(crops, None, None)
        ids = found.ids
        if ids:
            embeddings = yield from _embeddings_of_crops(saved, found.crops, encoder)
            parts.append(told(_beside(embeddings, saved.embeddings)))
    elif images is None or masks is None:
        raise CellsError("Give either crops, or a folder of images and a folder of masks.")
    else:
        for field in read_fields(images, masks):
            values = np.unique(field.masks)
            values = values[values > 0]
            yield Progress(field.number, field.total, f"{len(values)} cells of {field.stem}")
            if len(values):
                ids += [f"{field.stem}:{value}" for value in values]
                known = {encoder.name: encoder}
                computed = yield from compute_embeddings(
                    saved.encoders, field.image, field.masks, encoders=known
                )
                names = saved.match({name: source for name, (_, source) in computed.items()})
                vectors = np.concatenate([computed[name][0] for name in names], 1)
                parts.append(told(vectors))
    if isinstance(saved.head, RegressionHead):
        write_values(out, ids, saved.head.targets, np.concatenate(parts) if parts else np.zeros((0, 0)))
    elif not ids:
        write_predictions(out, [], [], [])
    else:
        probabilities = np.concatenate(parts)
        decided = decide(probabilities, saved.head.classes, min_probability)
        write_predictions(out, ids, decided, probabilities.max(1))
    return len(ids)


# ------------------------------------------------------------------ parts


def _encoders(encoder: CropEncoder) -> dict[str, CropEncoder]:
    """The encoder, and the baselines that stand beside it."""
    return {RANDOM: RandomConvEncoder(), BASELINE: HandcraftedEncoder(), encoder.name: encoder}


def _of_crops(saved: SavedHead, encoder: CropEncoder) -> dict[str, dict[str, Any]]:
    """Provenance of what can be computed from crops alone, with the views the head was trained with."""
    return {
        name: provenance_of(e, int(saved.encoders.get(name, {}).get("views", views_of(name, VIEWS))))
        for name, e in _encoders(encoder).items()
    }


def _embeddings_of_crops(
    saved: SavedHead, crops: NDArray[Any], encoder: CropEncoder
) -> Task[dict[str, Vectors]]:
    known, embeddings = _encoders(encoder), {}
    for name in saved.embeddings:
        source = saved.encoders[name]
        views = int(source.get("views", 1))
        embeddings[name] = yield from kept_vectors(known[str(source["name"])], crops, views)
    return embeddings


def _embeddings(crops: NDArray[Any], encoder: CropEncoder, views: int) -> Task[dict[str, Vectors]]:
    embeddings = {}
    for name, each in _encoders(encoder).items():
        embeddings[name] = yield from kept_vectors(each, crops, views_of(name, views))
    return embeddings


def _beside(embeddings: dict[str, Vectors], chosen: Sequence[str]) -> Vectors:
    return np.concatenate([embeddings[name] for name in chosen], 1)


def _maker(
    head: str,
    embeddings: dict[str, Vectors],
    chosen: Sequence[str],
    encoder: CropEncoder,
    fits: PartFits | None = None,
) -> Callable[[], Head]:
    """Return what makes heads that know where each part of the vectors begins."""
    parts: list[int] = []
    for name in chosen:
        own = encoder.crop_parts if name == encoder.name else ()
        parts += own or (embeddings[name].shape[1],)
    return lambda: make_head(head, parts=parts, fits=fits)


def _choose(
    embeddings: dict[str, Vectors],
    encoder: CropEncoder,
    names: NDArray[np.object_],
    groups: list[str],
    head: str,
) -> Task[tuple[Report, tuple[str, ...], Head]]:
    """Score baselines and combinations of embeddings on the same folds; the best combination is the model.

    What a head chooses for itself (a handful of penalties and shares) is chosen once, on folds of all labels,
    and kept in the scored folds: that saves most of the time. Regressions on parts that combinations have in
    common are fitted once.
    """
    fits = PartFits()
    name = encoder.name
    candidates: list[tuple[str, ...]] = [(name,)]
    if name not in (BASELINE, RANDOM):
        candidates.append((name, BASELINE))
    scores: dict[tuple[str, ...], Score] = {}
    heads: dict[tuple[str, ...], Head] = {}
    for use in dict.fromkeys([(BASELINE,), (RANDOM,), *candidates]):
        vectors = _beside(embeddings, use)
        yield Progress(len(scores), 4, f"fitting on {' + '.join(use)}")
        make = _maker(head, embeddings, use, encoder, fits)
        heads[use] = make().fit(vectors, names, groups)
        scores[use], _ = yield from cross_validate(vectors, names, groups, heads[use].again)
    chosen = max(candidates, key=lambda c: scores[c].macro_f1)
    report = Report(scores[chosen])
    report.baselines = {each: scores[(each,)] for each in (BASELINE, RANDOM) if (each,) != chosen}
    report.warnings = warnings_of(report, f"'{' + '.join(chosen)}'")
    if name not in (BASELINE, RANDOM):
        report.baselines[f"{name} alone"] = scores[(name,)]
        report.warnings += _about_encoder(scores, name)
    return report, chosen, heads[chosen]


def _about_encoder(scores: dict[tuple[str, ...], Score], encoder: str) -> list[str]:
    return [
        f"Vectors of '{encoder}' alone do not beat the baseline '{name}' (macro-F1 "
        f"{scores[(encoder,)].macro_f1:.3f} against {scores[(name,)].macro_f1:.3f})."
        for name in (BASELINE, RANDOM)
        if scores[(encoder,)].macro_f1 <= scores[(name,)].macro_f1
    ]
