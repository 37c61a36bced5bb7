"""Vectors, classifiers and scores of the cells in view: what is computed by jobs and shown when it arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.cells.classify.classified import identity
from napari_biofm.cells.classify.heads import LogisticHead
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.classify.movies import ClassifiedMovie, classify_movie
from napari_biofm.cells.classify.persist import SavedHead
from napari_biofm.cells.classify.training import Trained, score_cells, train_head
from napari_biofm.cells.embed.cell_vectors import Computed, crop_vectors, head_embeddings, map_vectors
from napari_biofm.cells.table.cell_table import BASELINE, part_widths, text, vectors_of
from napari_biofm.cells.table.quantities import MeasuredOn
from napari_biofm.images.segment.catalogue import families, models_here
from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.teaching.cell_tables import CellTables
from napari_biofm.types import BiofmError, CellsError, Vectors

if TYPE_CHECKING:
    from anndata import AnnData


class RunJob(Protocol):
    """Runs a job in the engine and shows it; see `Dock.run`."""

    def __call__(self, function: Callable[..., Any], *args: Any, name: str, **more: Any) -> Any: ...


@dataclass(frozen=True)
class Labelled:
    """The labels given by hand as training data: a row of vectors per cell, rows, names and groups of the labelled."""

    vectors: Vectors
    rows: NDArray[np.int64]
    names: NDArray[np.object_]
    groups: list[str]


class Learning:
    """Has vectors computed, classifiers trained and scored, and movies classified.

    Parameters
    ----------
    states : the cells in view. tables : knows their pixels. run : runs jobs.
    """

    said = Signal(str)
    failed = Signal(object)  # exception
    scored = Signal(object)  # Report
    movie_classified = Signal(object)  # ClassifiedMovie

    def __init__(self, states: CellStates, tables: CellTables, run: RunJob) -> None:
        self.states = states
        self._tables = tables
        self._run = run
        self.movie: ClassifiedMovie | None = None
        states.predictions_changed.connect(self._forget_movie)  # it shows what was learnt before

    def measured_on(self, uid: str) -> tuple[NDArray[Any], MeasuredOn]:
        """Return the masks of a table and what they are measured on."""
        return self._tables.measured_on(uid)

    # ------------------------------------------------------------------ vectors

    @staticmethod
    def encoders() -> list[str]:
        """Return the models that give vectors of whole images here, without a download."""
        without_network = [name for name, family in families().items() if not family.needs_weights]
        there = models_here(lambda model: model.embeds, own=False)
        return [name for name in there if name not in without_network]

    def add_vectors(self, model: str, alone: bool = False) -> None:
        """Compute vectors of the cells in view, and use them.

        Parameters
        ----------
        model : encoder.
        alone : see each cell on its own, as the command line does; else pool the map of the whole image.
        """
        self._compute("vectors", crop_vectors if alone else map_vectors, model, then=self._use_new)

    def vectors_for(self, wanted: Mapping[str, Any], then: Callable[[], None]) -> None:
        """Compute what a saved classifier takes and the table lacks, then call `then`."""
        features = None if self.states.uid is None else self._tables.encoder_of(self.states.uid)[1]
        self._compute("vectors of the classifier", head_embeddings, wanted, features, then=lambda _: then())

    def _compute(self, what: str, job: Any, *args: Any, then: Callable[[list[str]], None]) -> None:
        table, uid = self.states.table, self.states.uid
        if table is None or uid is None:
            self.failed.emit(CellsError("Measure the cells first; there is no table to put vectors into."))
            return
        labels, image = self._tables.pixels_of(uid)
        if image is None or labels.ndim != 2:
            self.failed.emit(
                CellsError("These vectors need a flat image of the shape of the labels; open it.")
            )
            return
        self._run(
            job, image, labels, *args, name=f"Compute {what}", bound_to=uid,
            on_done=lambda computed: self._put(table, computed, then),
        )  # fmt: skip

    def _put(self, table: AnnData, computed: Computed, then: Callable[[list[str]], None]) -> None:
        if table is not self.states.table:
            self.said.emit("The cells changed while their vectors were computed; compute them again.")
            return
        try:
            for name, (vectors, source) in computed.items():
                self.states.add_embedding(name, np.asarray(vectors), source)
            then(list(computed))
        except BiofmError as error:
            self.failed.emit(error)

    def _use_new(self, names: list[str]) -> None:
        self.states.use_embeddings(names[-1])
        self.states.table_changed.emit()

    # ------------------------------------------------------------------ classifiers and scores

    def train(self, head: str) -> None:
        """Train a classifier by name: logistic at once, the others in the worker."""
        if head == LogisticHead.name:
            self.states.refit()
            return
        data, table = self._labelled(), self.states.table
        if data is None or table is None:
            return
        self._run(
            train_head, head, data.vectors, data.rows, data.names, data.groups, self._widths(table),
            name=f"Train '{head}'", bound_to=self.states.uid,
            on_done=lambda trained: self._use_trained(trained, table),
        )  # fmt: skip

    def _use_trained(self, trained: Trained, table: AnnData) -> None:
        if table is not self.states.table:
            self.said.emit("The cells changed while the classifier was trained; train it again.")
            return
        head = make_head(trained.name).restore(trained.arrays, trained.settings)
        self.states.show_other(head, trained.probabilities)

    def score(self, head: str) -> None:
        """Score the labels given so far."""
        data, table, uid = self._labelled(), self.states.table, self.states.uid
        if data is None or table is None or uid is None:
            return
        alone = self.states.embeddings == BASELINE
        baselines = {} if alone else {BASELINE: vectors_of(table, BASELINE)[data.rows]}
        labels, image = self._tables.pixels_of(uid)
        self._run(
            score_cells, head, data.vectors[data.rows], data.names, data.groups, baselines,
            self.states.embeddings, image if labels.ndim == 2 else None, labels, data.rows,
            None if head == LogisticHead.name else self._widths(table),
            name="Score", bound_to=uid, on_done=self.scored.emit,
        )  # fmt: skip

    def _widths(self, table: AnnData) -> list[int]:
        return part_widths(table, self.states.embedding_names)

    def _labelled(self) -> Labelled | None:
        states = self.states
        rows = np.flatnonzero(states.by_hand >= 0)
        if states.table is None or len(set(states.by_hand[rows].tolist())) < 2:
            self.failed.emit(CellsError("Two classes are needed to learn; label cells of two classes first."))
            return None
        names = np.asarray([states.classes[c][0] for c in states.by_hand[rows]], object)
        groups = [str(g) for g in text(states.table, "group")[rows]]
        return Labelled(vectors_of(states.table, states.embedding_names), rows, names, groups)

    # ------------------------------------------------------------------ movies

    def classify_movie(
        self, labels: NDArray[Any], image: NDArray[Any] | None, tracks: NDArray[Any] | str | None
    ) -> None:
        """Classify every cell in every frame with what was learnt on the frame in the table.

        Parameters
        ----------
        labels : (T, Y, X). image : of the same frames, if any.
        tracks : see `cells.track.tracks.link`.
        """
        states = self.states
        volume = states.table is not None and not str(states.table.uns.get("plane", ""))
        if labels.ndim != 3 or volume or not states.is_taught or states.table is None or states.uid is None:
            self.failed.emit(
                CellsError(
                    "Choose a Labels layer with time as first axis, measure its 'Plane in view' on one frame, and "
                    "label cells of two classes there (or load a classifier)."
                )
            )
            return
        names = [n for n, _ in states.classes]
        head = states.classifier()
        embeddings = {b: identity(states.table.uns["blocks"][b]) for b in states.head_embeddings}
        self._run(
            classify_movie, labels, image, head.name, *head.state(), embeddings, names,
            states.min_probability, states.uid, tracks,
            name="Classify movie", bound_to=states.uid, on_done=self._classified,
        )  # fmt: skip

    def _forget_movie(self) -> None:
        self.movie = None

    def _classified(self, movie: ClassifiedMovie) -> None:
        self.movie = movie
        self.movie_classified.emit(movie)


def can_compute(saved: SavedHead, table: AnnData) -> bool:
    """Tell whether what a table lacks can be computed: no embedding of other weights is in its place."""
    there = {(b.get("name"), b.get("recipe")) for b in table.uns["blocks"].values()}
    lacking = [saved.encoders[name] for name in saved.missing(table.uns["blocks"])]
    return all(one.get("recipe") and (one.get("name"), one.get("recipe")) not in there for one in lacking)
