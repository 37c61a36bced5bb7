"""What a classifier said is there after a session was opened again, and after an edit of masks; to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.table.cell_table import make_table, vectors_of
from napari_biofm.cells.table.update import update_table
from napari_biofm.session import Session
from napari_biofm.session.saving import load_session, save_session
from napari_biofm.session.snapshot import SavedLayer, restore, snapshot
from napari_biofm.teaching.cell_states import CellStates

UID = "labels-1"


def at_once(work: Callable[[], Any], on_done: Callable[[Any], None], on_error: Callable[[Any], None]) -> None:
    on_done(work())


def cells(n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of n x n cells of two shapes, and an image."""
    rng = np.random.default_rng(0)
    masks = np.zeros((n * 20, n * 20), np.int32)
    for i in range(n * n):
        y, x = (20 * k + 3 for k in divmod(i, n))
        height, width = ((6, 13), (9, 9))[i % 2] + rng.integers(-1, 2, 2)
        masks[y : y + height, x : x + width] = i + 1
    return masks, (100 * (masks > 0) + rng.normal(0, 20, masks.shape)).astype(np.float32)


@pytest.fixture
def taught() -> tuple[Session, CellStates, np.ndarray, np.ndarray]:
    masks, image = cells()
    session = Session()
    session.set_cells(UID, make_table(masks, image=image, layer=UID))
    states = CellStates(session, at_once)
    states.use(UID, session.cells(UID))
    for name in ("bar", "square"):
        states.add_class(name)
    states.assign(np.arange(0, 12, 2), 0)
    states.assign(np.arange(1, 12, 2), 1)
    states.set_min_probability(0.83)
    return session, states, masks, image


def reopened(session: Session, masks: np.ndarray, folder: Path) -> CellStates:
    layer = SavedLayer(UID, "labels", "cells", data=masks, shape=masks.shape)
    save_session(folder, snapshot(session, [layer]))
    again = Session()
    restore(again, load_session(folder), {UID: "labels-7"})
    states = CellStates(again, at_once)
    states.use("labels-7", again.cells("labels-7"))
    return states


def train(states: CellStates, kind: str) -> None:
    vectors = vectors_of(states.table, states.embedding_names)
    rows = np.flatnonzero(states.by_hand >= 0)
    names = np.asarray([states.classes[c][0] for c in states.by_hand[rows]], object)
    head = make_head(kind).fit(vectors[rows], names, None)
    states.show_other(head, np.asarray(head.predict_proba(vectors), np.float32))


def assert_same(before: CellStates, after: CellStates) -> None:
    np.testing.assert_array_equal(after.shown_codes, before.shown_codes)
    for name in ("code", "probability", "probabilities"):
        np.testing.assert_array_equal(getattr(after.prediction, name), getattr(before.prediction, name))
    assert after.min_probability == before.min_probability
    assert after.classifier().name == before.classifier().name


@pytest.mark.parametrize("kind", ["logistic", "forest", "ensemble"])
def test_predictions_classifier_and_threshold_come_back_to_the_bit(taught, tmp_path: Path, kind: str) -> None:
    session, states, masks, _ = taught
    if kind != "logistic":
        train(states, kind)
    again = reopened(session, masks, tmp_path / "s")
    assert again.classifier().name == kind
    assert_same(states, again)
    again.assign([40], 0)  # the next label teaches a live one, as before
    assert again.other_head is None and again.prediction is not None


def test_a_trained_classifier_goes_on_predicting_after_an_edit_of_masks(taught) -> None:
    session, states, masks, image = taught
    train(states, "forest")
    head, before = states.other_head, states.prediction
    masks[100:110, 3:13] = 0  # a cell is gone, another is new
    gone = sorted(set(states.values.tolist()) - set(np.unique(masks).tolist()))
    masks[101:107, 2:15] = 500
    session.set_cells(UID, update_table(session.cells(UID), masks, [*gone, 500], image=image))
    states.use(UID, session.cells(UID))
    assert states.other_head is head and states.prediction.code[states.values == 500].item() >= 0
    old = np.isin(states.values, np.arange(1, 65))
    kept = ~np.isin(np.arange(1, 65), gone)
    np.testing.assert_array_equal(states.prediction.code[old], before.code[kept])
    assert "cell 500" in states.describe(len(states.values) - 1)


def test_a_live_classifier_that_has_nothing_to_learn_from_says_nothing(taught, tmp_path: Path) -> None:
    session, _, masks, _ = taught
    again = reopened(session, masks, tmp_path / "s")
    again.assign(np.arange(12), -1)
    assert again.prediction is None and again.session.classified("labels-7") is None


def test_damage_costs_the_classifier_and_not_the_session(taught, tmp_path: Path) -> None:
    session, _, masks, _ = taught
    save_session(
        tmp_path / "s", snapshot(session, [SavedLayer(UID, "labels", "c", data=masks, shape=masks.shape)])
    )
    (tmp_path / "s" / "classifiers" / "000" / "predictions.safetensors").write_bytes(
        b"PK\x03\x04 not an archive"
    )
    saved = load_session(tmp_path / "s")
    assert "train it again" in saved.warnings[0] and saved.classified == {} and UID in saved.classes


def test_a_prediction_that_arrives_late_comes_with_the_classifier_that_gave_it() -> None:
    masks, image = cells()
    session, waiting = Session(), list[tuple[Any, ...]]()
    session.set_cells(UID, make_table(masks, image=image, layer=UID))
    states = CellStates(session, lambda *work: waiting.append(work))

    def do_all() -> list[Callable[[], None]]:
        """Do what waits, as the thread does, and return what the window is told, later."""
        told = [partial(done, work()) for work, done, _ in waiting]
        waiting.clear()
        return told

    states.use(UID, session.cells(UID))
    for tell in do_all():
        tell()
    for name in ("bar", "square"):
        states.add_class(name)
    states.assign(np.arange(0, 12, 2), 0)
    states.assign(np.arange(1, 12, 2), 1)
    late = do_all()
    states.assign(np.arange(1, 12, 2), -1)  # one class is left: nothing can be told apart
    newest = do_all()
    for tell in late:
        tell()
    kept = session.classified(UID)
    assert kept is not None and kept.prediction is states.prediction and states.is_taught
    assert kept.head.classes == ("bar", "square")
    for tell in newest:
        tell()
    assert states.prediction is None and session.classified(UID) is None and not states.is_taught
