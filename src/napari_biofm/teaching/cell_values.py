"""Measured values of cells (genes, drug response): read, learnt from the vectors, predicted for every cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.cells.classify.classified import identity
from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.cells.table.cell_table import BASELINE, text, vectors_of
from napari_biofm.cells.values.learning import Regressed, regress
from napari_biofm.cells.values.regression import RegressionHead, RegressionScore
from napari_biofm.cells.values.targets import Targets, read_targets
from napari_biofm.images.io.masks import looked_up
from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.teaching.learning import Learning, RunJob, can_compute
from napari_biofm.types import CellsError, Labels


class CellValues:
    """Values of the cells in view.

    Parameters
    ----------
    states : the cells. learning : computes vectors that a saved regression takes. run : runs jobs.

    Attributes
    ----------
    targets : what was read. head, embeddings : what was learnt, and from which vectors.
    values : (n, t) predicted. scores : of what was learnt, and of the handcrafted measures beside.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(self, states: CellStates, learning: Learning, run: RunJob) -> None:
        self.states = states
        self._learning = learning
        self._run = run
        self.targets: Targets | None = None
        self.head: RegressionHead | None = None
        self.embeddings: tuple[str, ...] = ()
        self.values: NDArray[np.float32] | None = None
        self.scores: tuple[RegressionScore, RegressionScore | None] | None = None

    def read(self, path: Path) -> None:
        """Read measured values; nothing changes where ids are not of these cells."""
        targets = read_targets(path)
        measured = self._measured(targets)
        self.targets = targets
        n = int(np.isfinite(measured).any(1).sum())
        self.changed.emit()
        self.said.emit(
            f"{path.name}: {len(targets.names)} targets, measured in {n} of {len(measured)} cells. Press 'Learn'."
        )

    def learn(self) -> None:
        """Score, train and predict in the worker."""
        if self.targets is None:
            raise CellsError("Read targets first: a CSV or AnnData of numbers measured for these cells.")
        table, embeddings = self.states.measured(), tuple(self.states.embedding_names)
        measured = self._measured(self.targets)
        groups = [str(g) for g in text(table, "group")]

        def done(result: Regressed) -> None:
            if table is not self.states.table:
                self.said.emit("The cells changed while their values were learnt; press 'Learn' again.")
                return
            head = RegressionHead.restore(result.arrays, result.settings)
            self._use(head, embeddings, result.values, (result.score, result.baseline))
            self.said.emit(_in_words(result.score))

        self._run(
            regress,
            vectors_of(table, embeddings),
            measured,
            self.targets.names,
            groups,
            None if embeddings == (BASELINE,) else vectors_of(table, BASELINE),
            name=f"Learn {len(self.targets.names)} targets",
            bound_to=self.states.uid,
            on_done=done,
            on_end=self.changed.emit,
        )

    def save(self, folder: Path) -> None:
        """Save what was learnt into a folder of its own."""
        if self.head is None or not self.embeddings:
            raise CellsError("Nothing was learnt yet; read targets and press 'Learn' first.")
        encoders = {b: identity(self.states.measured().uns["blocks"][b]) for b in self.embeddings}
        save_head(folder, SavedHead(self.head, self.embeddings, encoders))
        self.said.emit(f"Saved a regression of {len(self.head.targets)} targets in {folder}.")

    def load(self, folder: Path) -> None:
        """Predict with a saved regression; vectors that lack are computed first."""
        saved, table = load_head(folder), self.states.measured()
        head = saved.regression
        if not can_compute(saved, table):
            saved.match(table.uns["blocks"])  # says what is wrong
        wanted = {name: saved.encoders[name] for name in saved.missing(table.uns["blocks"])}

        def predict() -> None:
            now = self.states.measured()
            names = saved.match(now.uns["blocks"])
            self._use(head, tuple(names), head.predict(vectors_of(now, names)), None)
            self.said.emit(f"Predicted {len(head.targets)} targets with the regression in {folder}.")

        if wanted:
            self._learning.vectors_for(wanted, then=predict)
        else:
            predict()

    def picture(self, name: str, labels: Labels) -> tuple[NDArray[np.float32], tuple[float, float]]:
        """Return an image of the predicted values of a target, NaN off the cells, and the contrast to show it with."""
        if self.head is None or self.values is None:
            raise CellsError("Nothing is predicted yet; press 'Learn' or load a regression first.")
        column = self.values[:, list(self.head.targets).index(name)]
        finite = column[np.isfinite(column)]
        low, high = np.percentile(finite, (2, 98)) if len(finite) else (0.0, 1.0)
        picture = looked_up(np.concatenate([[np.nan], column]).astype(np.float32), self.states.values, labels)
        return picture, (float(low), float(max(high, low + 1e-9)))

    def forget(self) -> None:
        """Other cells are in view: what was predicted belongs to the former ones."""
        self.targets, self.head, self.values, self.embeddings, self.scores = None, None, None, (), None
        self.changed.emit()

    def _use(
        self,
        head: RegressionHead,
        embeddings: tuple[str, ...],
        values: NDArray[np.float32],
        scores: tuple[RegressionScore, RegressionScore | None] | None,
    ) -> None:
        self.head, self.embeddings, self.values, self.scores = head, embeddings, values, scores
        self.states.write_columns(
            {f"predicted_{name}": values[:, i].astype(np.float64) for i, name in enumerate(head.targets)}
        )
        self.changed.emit()

    def _measured(self, targets: Targets) -> NDArray[np.float64]:
        table = self.states.measured()
        cells = [str(c) for c in table.obs["cell_id"]]
        groups = [str(g) for g in text(table, "group")]
        return targets.for_cells(cells, groups, [str(v) for v in table.obs["label"]])


def _in_words(score: RegressionScore) -> str:
    predicted = len(score.targets) - len(score.warnings)
    how = "whole groups" if score.left_out == "groups" else "random cells (optimistic)"
    lines = [
        f"{predicted} of {len(score.targets)} targets are predicted better than by chance; {how} left out."
    ]
    return "\n".join(lines + [f"⚠ {words}" for words in score.warnings[:4]])
