"""The tables of cells follow their masks, whoever changes them: after any edits they are what a fresh measurement says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from napari_biofm.actions import EditLabels, ReplaceMasks
from napari_biofm.cells.embed.cell_vectors import cell_table
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.engine import InlineEngine
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit
from napari_biofm.images.segment.catalogue import make_embedder
from napari_biofm.session import Session
from napari_biofm.teaching.cell_tables import CellTables
from napari_biofm.teaching.pixels import Plane, Region
from napari_biofm.types import Segmentation, run_task

UID = "cells"
MODEL = {"model": "classical"}


class Arrays:
    """One array of labels and one image, as a viewer hands them in."""

    def __init__(self, labels: np.ndarray, image: np.ndarray | None, plane: Plane = ()) -> None:
        self.data, self.image, self.plane = labels, image, plane

    def labels(self, uid: str) -> Any:
        return self.data if uid == UID else None

    def name(self, uid: str) -> str:
        return "field"

    def plane_in_view(self, uid: str) -> Plane:
        return self.plane

    def is_movie(self, uid: str) -> bool:
        return bool(self.plane)

    def pixel_size(self, uid: str, n_axes: int) -> tuple[float, ...] | None:
        return None

    def images(self, uid: str, plane: Plane) -> dict[str, Region]:
        return {} if self.image is None else {"image": Region(self.image, plane)}


class LateEngine(InlineEngine):
    """Keeps what is submitted until it is told to do it: something can happen in between."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], Any]] = []
        self.sent: list[tuple[str, int]] = []  # name and bytes of arrays of each job

    def submit(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.sent.append((kwargs["name"], pixels_in(args)))
        self.waiting.append(lambda: InlineEngine.submit(self, function, *args, **kwargs))

    def work(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


def pixels_in(value: Any) -> int:
    """Number of array elements in what is sent to a job."""
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, (tuple, list)):
        return sum(map(pixels_in, value))
    return pixels_in(list(vars(value).values())) if hasattr(value, "__dict__") else 0


def run(function: Any, *args: Any, on_done: Any, on_end: Any, **_: Any) -> None:
    on_done(run_task(function(*args)))
    on_end()


def finish(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def field(shape: tuple[int, ...] = (120, 130), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and image of rectangles, some of them touching."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for i in range(24):
        at = [int(rng.integers(0, max(1, n - 14))) for n in shape]
        labels[tuple(slice(a, a + int(rng.integers(5, 14))) for a in at)] = i + 1
    return labels, rng.normal(100, 20, shape).astype(np.float32)


def kept(
    labels: np.ndarray, image: np.ndarray | None, plane: Plane = (), engine: Any = None
) -> tuple[Session, CellTables, ArrayTarget, list[int]]:
    """Return a session whose labels have a table that is kept, and how often a pause was asked for."""
    session = Session(engine or InlineEngine())
    asked: list[int] = []
    tables = CellTables(session, Arrays(labels, image, plane), lambda: asked.append(1), finish)
    target = ArrayTarget(labels, UID)
    session.attach_labels(target)
    session.set_segmentation(UID, Segmentation(labels, None, None, None, 12.0, MODEL))
    tables.measure(UID, run, lambda: None)
    return session, tables, target, asked


def assert_fresh(session: Session, labels: np.ndarray, image: np.ndarray | None) -> None:
    """The table is what a new measurement of these masks says."""
    table, fresh = session.cells(UID), make_table(labels, image=image, layer=UID, groups="field")
    assert table is not None
    assert list(table.obs_names) == list(fresh.obs_names)
    for column in fresh.obs.columns:
        if column.startswith("centroid-") or column in ("area", "mean_intensity", "label"):
            np.testing.assert_allclose(table.obs[column], fresh.obs[column], rtol=1e-5, err_msg=column)
    assert list(table.obs["group"]) == list(fresh.obs["group"])
    np.testing.assert_allclose(table.obsm["regionprops"], fresh.obsm["regionprops"], rtol=2e-3, atol=2e-3)


def paint(session: Session, target: ArrayTarget, region: tuple[slice, ...], value: int) -> None:
    before = target.read(region)
    start = tuple(part.start for part in region)
    edit = LabelsEdit.between(target, "paint", [(start, before, np.full_like(before, value))])
    if edit:
        session.do(EditLabels(edit))


def some_region(rng: Any, shape: tuple[int, ...], most: int = 20) -> tuple[slice, ...]:
    start = [int(rng.integers(0, n)) for n in shape]
    return tuple(slice(a, min(n, a + int(rng.integers(1, most)))) for a, n in zip(start, shape, strict=True))


@pytest.mark.parametrize(
    ("shape", "plane"),
    [((120, 130), ()), ((3, 70, 80), (1,)), ((9, 40, 50), ())],
    ids=["plane", "movie", "volume"],
)
@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_the_table_is_what_a_fresh_measurement_says(
    shape: tuple[int, ...], plane: Plane, seed: int
) -> None:
    labels, image = field(shape, seed)
    session, tables, target, _ = kept(labels, image, plane)
    rng = np.random.default_rng(seed)
    for _ in range(25):
        kind = rng.integers(0, 8)
        if kind < 3:
            paint(session, target, some_region(rng, shape), int(rng.integers(0, 30)))
        elif kind == 3:
            session.undo()
        elif kind == 4:
            session.redo()
        elif kind == 5:  # by something that knows which cells it touched
            region = some_region(rng, shape)
            before = labels[region].copy()
            labels[region] = int(rng.integers(0, 30))
            session.labels_changed_outside(UID, np.union1d(before, labels[region]).tolist())
        elif kind == 6:  # by something that knows nothing
            labels[some_region(rng, shape, 40)] = int(rng.integers(0, 30))
            session.labels_changed_outside(UID)
        else:  # all masks made again
            other = np.where(labels % 3 == int(rng.integers(0, 3)), 0, labels)
            edit = LabelsEdit.between(target, "New thresholds", [((0,) * labels.ndim, labels.copy(), other)])
            if edit:
                session.do(ReplaceMasks(edit, MODEL, MODEL))
        if rng.random() < 0.6:
            tables.flush()
    tables.flush()
    assert tables.is_settled
    assert_fresh(session, labels[plane] if plane else labels, image[plane] if plane else image)


def test_an_edit_that_arrives_while_cells_are_measured_is_not_lost() -> None:
    labels, image = field()
    engine = LateEngine()
    session, tables, target, asked = kept(labels, image, engine=engine)
    paint(session, target, (slice(10, 20), slice(10, 20)), 3)
    tables.flush()
    paint(session, target, (slice(50, 60), slice(50, 60)), 3)
    paint(session, target, (slice(90, 99), slice(90, 99)), 40)
    tables.flush()  # a job runs: these wait
    n = len(asked)
    engine.work()
    assert len(asked) > n  # asked to be called again
    tables.flush()
    engine.work()
    assert tables.is_settled
    assert_fresh(session, labels, image)


def test_an_edit_that_arrives_during_the_first_measurement_is_not_lost() -> None:
    labels, image = field()
    session = Session(InlineEngine())
    tables = CellTables(session, Arrays(labels, image), lambda: None, finish)
    target = ArrayTarget(labels, UID)
    session.attach_labels(target)

    def interrupted(function: Any, *args: Any, on_done: Any, on_end: Any, **_: Any) -> None:
        made = run_task(function(*args))
        paint(session, target, (slice(10, 20), slice(10, 20)), 3)
        on_done(made)
        on_end()

    tables.measure(UID, interrupted, lambda: None)
    tables.flush()
    assert_fresh(session, labels, image)


def test_vectors_added_while_cells_are_measured_again_stay() -> None:
    from napari_biofm.cells.table.cell_table import add_embedding

    labels, image = field()
    engine = LateEngine()
    session, tables, target, _ = kept(labels, image, engine=engine)
    paint(session, target, (slice(10, 20), slice(10, 20)), 3)
    tables.flush()
    table = session.cells(UID)
    assert table is not None
    add_embedding(table, "traces", np.ones((table.n_obs, 2), np.float32))
    engine.work()
    made = session.cells(UID)
    assert made is not None and "traces" in made.obsm
    of_cell = {int(v): row for v, row in zip(made.obs["label"], made.obsm["traces"], strict=True)}
    assert np.isnan(of_cell[3]).all() and (of_cell[24] == 1).all()


def test_a_small_edit_sends_the_pixels_around_it_and_not_the_image() -> None:
    labels, image = field((1200, 1300))
    engine = LateEngine()
    session, tables, target, _ = kept(labels, image, engine=engine)
    at = [int(c.mean()) for c in np.nonzero(labels == 5)]
    paint(session, target, tuple(slice(a, a + 3) for a in at), 31)
    tables.flush()
    ((name, sent),) = engine.sent
    assert name == "Measure changed cells" and sent < labels.size / 10
    engine.work()
    assert_fresh(session, labels, image)


def test_vectors_of_touched_cells_are_pooled_again_and_equal_fresh_ones() -> None:
    labels, image = field((160, 170))
    model = make_embedder("classical")
    features = run_task(model.embed(image))
    session = Session(InlineEngine())
    tables = CellTables(session, Arrays(labels, image), lambda: None, finish)
    target = ArrayTarget(labels, UID)
    session.attach_labels(target)
    session.set_segmentation(UID, Segmentation(labels, None, None, features, 12.0, {"model": "classical"}))
    tables.measure(UID, run, lambda: None)
    name = str(session.cells(UID).uns["vectors"])  # type: ignore[union-attr]
    assert name != "regionprops"
    rng = np.random.default_rng(1)
    for _ in range(6):
        paint(session, target, some_region(rng, labels.shape), int(rng.integers(0, 30)))
        tables.flush()
    fresh = run_task(cell_table(image, labels, "classical", features=features, layer=UID))
    table = session.cells(UID)
    assert table is not None and list(table.obs_names) == list(fresh.obs_names)
    np.testing.assert_allclose(table.obsm[name], fresh.obsm[name], rtol=1e-4, atol=1e-4)


def test_a_class_by_hand_stays_with_a_reshaped_cell_and_leaves_a_cell_that_was_replaced() -> None:
    labels, image = np.zeros((80, 80), np.int32), None
    labels[5:15, 5:15], labels[5:15, 30:40], labels[50:60, 50:60] = 1, 2, 3
    session, tables, target, _ = kept(labels, image)
    session.set_classes(UID, [("dot", "#ffffff")])
    session.label_cells(UID, np.array([1, 2, 3]), np.array([0, 0, 0]))
    paint(session, target, (slice(5, 12), slice(5, 15)), 0)
    tables.flush()
    table = session.cells(UID)
    assert table is not None and list(table.obs["class_by_hand"]) == ["dot"] * 3
    labels[...] = 0
    labels[4:14, 31:41], labels[60:70, 5:15] = 2, 3  # as another plugin writes its own masks
    session.labels_changed_outside(UID)
    tables.flush()
    table = session.cells(UID)
    assert table is not None and dict(zip(table.obs["label"], table.obs["class_by_hand"], strict=True)) == {
        2: "dot",
        3: "",
    }
    session.undo()  # a mistake of ours can be taken back
    assert list(session.cells(UID).obs["class_by_hand"]) == ["dot", "dot"]  # type: ignore[union-attr]


def test_a_failed_measurement_is_told_and_the_next_edit_measures_these_cells_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, image = field()
    session, tables, target, _ = kept(labels, image)
    told: list[Exception] = []
    tables.failed.connect(told.append)

    def fails(*_: Any) -> Any:
        raise RuntimeError("no memory")
        yield

    with monkeypatch.context() as patched:
        patched.setattr("napari_biofm.teaching.cell_tables.measure_cutouts", fails)
        paint(session, target, (slice(10, 20), slice(10, 20)), 3)
        tables.flush()
    assert [str(error) for error in told] == ["no memory"]
    paint(session, target, (slice(90, 99), slice(90, 99)), 40)
    tables.flush()
    assert_fresh(session, labels, image)


def test_a_layer_that_is_removed_is_forgotten() -> None:
    labels, image = field()
    session, tables, target, _ = kept(labels, image)
    paint(session, target, (slice(10, 20), slice(10, 20)), 3)
    session.forget_layer(UID)
    tables.flush()
    assert tables.is_settled and session.cells(UID) is None
