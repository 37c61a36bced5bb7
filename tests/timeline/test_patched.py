"""What patch recordings and the physio model say of cells joins their table."""

import numpy as np
import pytest

from napari_biofm.cells.table.cell_table import make_table, vectors_of
from napari_biofm.signals import Recording
from napari_biofm.timeline.patched import (
    add_patch_features,
    add_trace_vectors,
    patch_features,
    trace_vectors,
)
from napari_biofm.types import EVENT_DTYPE, TimelineError, no_events, run_task

MASKS = np.zeros((30, 30), np.int32)
MASKS[2:8, 2:8], MASKS[15:20, 15:20], MASKS[22:27, 4:9] = 5, 7, 9


def steps(resistance, sampling_rate=10_000.0):
    """Return a cell (MOhm, tau 20 ms) that answers a step of -50 pA, with its recorded command."""
    t = np.arange(8000) / sampling_rate
    command = np.where((t > 0.2) & (t < 0.6), -50.0, 0.0)
    answer = np.where(t > 0.2, 1 - np.exp(-(t - 0.2) / 0.02), 0.0)
    answer -= np.where(t > 0.6, 1 - np.exp(-(t - 0.6) / 0.02), 0.0)
    volts = -70 - 0.05 * resistance * answer + np.random.default_rng(0).normal(0, 0.02, len(t))
    return Recording.from_arrays([[volts, command]], sampling_rate, ["mV", "pA"], names=["Vm", "Icmd"])


def test_resistance_and_capacitance_of_a_linked_cell_stand_in_its_row():
    found = {"a": (steps(120.0), no_events()), "b": (steps(180.0), no_events())}
    features = run_task(patch_features(found, {7: [("a", 0), ("b", 0)], 5: [("a", 0)]}))
    assert features.labels.tolist() == [5, 7] and features.recordings.tolist() == [1, 2]
    table = add_patch_features(make_table(MASKS, layer="L"), features)
    name = next(n for n in table.obs if "input_resistance_MOhm" in n)
    assert name.startswith("patch_")
    assert table.obs[name].to_numpy()[:2] == pytest.approx([120, 150], rel=0.05), (
        "the median of two recordings"
    )
    assert np.isnan(table.obs[name].iloc[2])
    capacitance = next(n for n in table.obs if "capacitance_pF" in n)
    assert table.obs[capacitance].iloc[0] == pytest.approx(20 / 120 * 1000, rel=0.1)
    assert table.obs["patch_recordings"].tolist() == [1, 2, 0]


def test_columns_of_a_former_time_go():
    table = make_table(MASKS, layer="L")
    table.obs["patch_old"] = 1.0
    features = run_task(patch_features({"a": (steps(100.0), no_events())}, {5: [("a", 0)]}))
    assert "patch_old" not in add_patch_features(table, features).obs


def test_the_threshold_of_action_potentials_is_among_them():
    t = np.arange(20_000) / 20_000
    volts = np.full(len(t), -65.0)
    peaks = np.array([0.2, 0.5, 0.8])
    for peak in peaks:
        volts += 100 * np.exp(-0.5 * ((t - peak) / 0.0004) ** 2)
    events = np.zeros(3, EVENT_DTYPE)
    events["time_s"], events["class"], events["score"], events["unit"] = peaks, "AP", 1, "mV"
    recording = Recording.from_arrays([[volts]], 20_000.0, "mV")
    features = run_task(patch_features({"a": (recording, events)}, {5: [("a", 0)]}))
    threshold = features.values[0, features.names.index("ap_threshold_mV")]
    assert -65 < threshold < -20


def test_without_a_link_the_remedy_is_said():
    with pytest.raises(TimelineError, match="link its channel under 'Cells'"):
        run_task(patch_features({}, {}))


def test_vectors_of_traces_become_a_block_and_gaps_are_counted(monkeypatch):
    from napari_biofm.events.physio_fm import model

    class Tiny:
        def embed(self, signal, times=None, kind=None):
            assert kind == "calcium"
            return np.array([[signal.values.mean(), signal.values.std(), len(signal.values)]], np.float32)

    monkeypatch.setattr(model, "PhysioFM", Tiny)
    values = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    traces = Recording.from_arrays(values, 10.0, "dF/F", labels=[9, 5])
    vectors = run_task(trace_vectors(traces, np.array([5, 7, 9])))
    assert vectors.shape == (3, 3) and np.isnan(vectors[1]).all()
    assert vectors[0, 0] == pytest.approx(values[1].mean(), abs=1e-6)
    table = make_table(MASKS, layer="L")
    assert add_trace_vectors(table, vectors) == 1
    assert np.isfinite(vectors_of(table, ["regionprops", "physio_fm"])).all()
    with pytest.raises(TimelineError, match="no trace of these cells"):
        run_task(trace_vectors(traces, np.array([77])))
