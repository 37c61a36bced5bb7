"""Activity joins the table of cells, and what goes together is found without being imagined."""

import numpy as np
import pytest

from napari_biofm.cells.table.cell_table import make_table, vectors_of
from napari_biofm.signals import Recording
from napari_biofm.timeline.activity_and_morphology import (
    TRACE_FEATURES,
    add_trace_features,
    associate,
    benjamini_hochberg,
    trace_features,
)
from napari_biofm.timeline.cell_positions import cell_events
from napari_biofm.types import EVENT_DTYPE, TimelineError, run_task

COLUMN = {name: i for i, name in enumerate(TRACE_FEATURES)}


def calcium(times_by_cell):
    traces = np.zeros((len(times_by_cell), 200), np.float32)
    traces[0, ::20] = 1
    recording = Recording.from_arrays(traces, 10.0, "dF/F", labels=[5, 7, 9][: len(times_by_cell)])
    rows = [(0, c, t, "calcium", 1, 0.1 * (c + 1), "dF/F", 0.05, 0.3) for c, times in enumerate(times_by_cell)
            for t in times]  # fmt: skip
    return recording, np.array(rows, EVENT_DTYPE)


def test_features_say_what_the_cells_do():
    regular = np.arange(1, 20, 1.0)
    bursts = np.sort(np.concatenate([[2, 8, 14], [2.05, 8.05, 14.05], [2.1, 8.1, 14.1]]))
    recording, table = calcium([regular, regular + 0.01, bursts])
    found = cell_events({"ca": (recording, table)}, {})
    features = trace_features(found, {"ca": table}, np.array([5, 7, 9, 11]), 0.0, 20.0, recording)
    np.testing.assert_allclose(features[:, COLUMN["rate_hz"]], [0.95, 0.95, 0.45, 0.0], atol=1e-6)
    np.testing.assert_allclose(features[:3, COLUMN["amplitude"]], [0.1, 0.2, 0.3], rtol=1e-5)
    assert features[0, COLUMN["interval_cv"]] < 0.01 and features[0, COLUMN["burst_index"]] == 0
    assert features[2, COLUMN["burst_index"]] == pytest.approx(6 / 8)
    assert features[0, COLUMN["synchrony"]] > 0.5 > features[2, COLUMN["synchrony"]]
    assert features[0, COLUMN["trace_sd"]] > 0 and np.isnan(features[1, COLUMN["trace_sd"]])
    assert np.isnan(features[3, 1:]).all()


def test_the_table_of_cells_takes_them_as_a_block_and_as_columns():
    masks = np.zeros((30, 30), np.int32)
    masks[2:8, 2:8], masks[15:20, 15:20] = 5, 7
    recording, events = calcium([[1.0, 2.0, 3.0], [4.0]])
    found = cell_events({"ca": (recording, events)}, {})
    table = make_table(masks, layer="L")
    features = trace_features(found, {"ca": events}, table.obs["label"].to_numpy(), 0, 20)
    table = add_trace_features(table, features)
    assert vectors_of(table, ["regionprops", "trace"]).shape[1] == vectors_of(table).shape[1] + 10
    assert table.obs["trace_rate_hz"].tolist() == pytest.approx([0.15, 0.05])


def test_a_real_relation_is_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 4))
    b = rng.normal(size=(60, 5))
    b[:, 2] = a[:, 1] + 0.3 * rng.normal(size=60)
    b[:, 4] = a[:, 0] ** 2 + 0.1 * rng.normal(size=60)
    found = run_task(associate(a, b, list("wxyz"), list("pqrst"), n_permutations=400))
    assert np.argwhere(found.q_correlation < 0.05).tolist() == [[1, 2]]
    assert found.q_information[0, 4] < 0.05, "a curve that no rank correlation sees"
    assert "x ~ r (rho +0.9" in found.in_words()


def test_under_chance_alone_hardly_anything_is_found():
    rng = np.random.default_rng(1)
    wrong, p_rho, p_info = 0, [], []
    for _ in range(20):
        found = run_task(associate(rng.normal(size=(30, 4)), rng.normal(size=(30, 4)), "abcd", "efgh", 200))
        wrong += bool((found.q_correlation < 0.05).any())
        p_rho.append(found.p_correlation.ravel())
        p_info.append(found.p_information.ravel())
    assert wrong <= 4
    for p in (np.concatenate(p_rho), np.concatenate(p_info)):
        assert len(p) == 320 and 0.02 < np.mean(p < 0.05) < 0.085, "one test in twenty, as promised"
        assert 0.4 < np.mean(p < 0.5) < 0.6


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    np.testing.assert_allclose(
        benjamini_hochberg(np.array([[0.01, 0.04], [0.03, 0.5]])), [[0.04, 0.16 / 3], [0.16 / 3, 0.5]]
    )


def test_too_few_cells_are_refused():
    with pytest.raises(TimelineError, match="3 cells are too few"):
        run_task(associate(np.zeros((3, 1)), np.zeros((3, 1)), ["a"], ["b"]))
