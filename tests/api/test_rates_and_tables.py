"""Rates are inferred from dF/F only; traces leave in the format that the ending names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.signals.calcium_movies import RATE, known_movie

import napari_biofm as biofm
from napari_biofm.signals import Recording
from napari_biofm.signals.calcium import extract_traces
from napari_biofm.signals.calcium.tables import write_traces
from napari_biofm.types import RecordingError, run_task


@pytest.mark.parametrize("unit", ["a.u.", "pA", "z", "counts"])
def test_a_rate_of_anything_but_dff_is_refused(unit: str) -> None:
    recording = Recording.from_arrays(np.zeros((2, 300)), 30.0, unit, labels=[1, 2])
    with pytest.raises(RecordingError, match="inferred from dF/F only"):
        biofm.spike_rate(recording)


def test_brightness_that_is_called_dff_is_refused() -> None:
    raw = np.random.default_rng(0).normal(400, 20, (2, 300))
    with pytest.raises(RecordingError, match="raw brightness"):
        biofm.spike_rate(raw, frame_rate=30.0)
    with pytest.raises(RecordingError, match="raw brightness"):
        biofm.spike_rate(Recording.from_arrays(raw, 30.0, "dF/F", labels=[1, 2]))


def test_cells_with_z_scores_get_no_rate_and_it_is_said() -> None:
    values = np.random.default_rng(0).normal(0, 0.05, (2, 300))
    found = biofm.spike_rate(Recording.from_arrays(values, 30.0, ["dF/F", "z"], labels=[1, 2]))
    assert np.isfinite(found.rate[0]).all() and np.isnan(found.rate[1]).all()
    assert "1 cell without an F0" in found.warnings[0]


@pytest.fixture(scope="module")
def traces():
    known = known_movie(n_frames=60)
    return run_task(extract_traces(known.movie, known.labels, RATE))


def test_tables_hold_every_trace_of_every_cell(traces, tmp_path: Path) -> None:
    import pandas as pd

    write_traces(traces, tmp_path / "y.csv")
    assert (tmp_path / "y.csv").read_text().startswith("frame,time_s,dff_1,")
    write_traces(traces, tmp_path / "y.parquet")
    for table in (pd.read_csv(tmp_path / "y.csv"), pd.read_parquet(tmp_path / "y.parquet")):
        np.testing.assert_allclose(table["dff_3"], traces.dff[2], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(table["neuropil_9"], traces.neuropil[8], rtol=1e-5)
        np.testing.assert_allclose(table["time_s"], np.arange(60) / RATE, rtol=1e-5)


def test_matlab_and_anndata_hold_the_same(traces, tmp_path: Path) -> None:
    import anndata
    from scipy.io import loadmat

    stored = loadmat(write_traces(traces, tmp_path / "y.mat"))
    np.testing.assert_array_equal(stored["zscore"], traces.zscore)
    table = anndata.read_h5ad(write_traces(traces, tmp_path / "y.h5ad"))
    np.testing.assert_array_equal(table.X, traces.dff)
    np.testing.assert_array_equal(table.layers["raw"], traces.raw)
    assert table.obs["label"].tolist() == list(range(1, 10)) and table.uns["frame_rate"] == RATE
    with pytest.raises(RecordingError, match="are written as"):
        write_traces(traces, tmp_path / "y.xlsx")
