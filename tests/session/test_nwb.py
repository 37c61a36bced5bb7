"""What leaves as NWB is valid, complete, in SI units, and accepted by the inspector."""

import numpy as np
import pytest

pynwb = pytest.importorskip("pynwb")

from napari_biofm.session import CellKey, Link  # noqa: E402
from napari_biofm.session.nwb import write_nwb  # noqa: E402
from napari_biofm.session.snapshot import Saved, SavedLayer  # noqa: E402
from napari_biofm.signals import Recording  # noqa: E402
from napari_biofm.timeline import Clock  # noqa: E402
from napari_biofm.types import EVENT_DTYPE, SessionError  # noqa: E402

MASKS = np.zeros((20, 30), np.int32)
MASKS[2:6, 3:9], MASKS[10:15, 20:26] = 4, 9
RNG = np.random.default_rng(0)


def everything():
    events = np.zeros(2, EVENT_DTYPE)
    events["time_s"], events["class"], events["unit"] = [0.01, 0.03], "AP", "mV"
    traces = Recording.from_arrays(RNG.normal(0, 1, (2, 60)).astype(np.float32), 10.0, "dF/F", labels=[4, 9])
    values = [[RNG.normal(-60, 1, 2000), RNG.normal(5, 1, 2000), RNG.normal(0, 1, 2000)] for _ in range(3)]
    patch = Recording.from_arrays(values, 10_000.0, ["mV", "pA", "V"], names=["Vm", "Icmd", "Frames"])
    return Saved(
        layers=(SavedLayer("L", "labels", "cells", data=MASKS, shape=MASKS.shape),),
        recordings={"traces": traces, "patch.abf": patch},
        events={"traces": events[:0], "patch.abf": events},
        links=(Link("patch.abf", 0, CellKey("L", 9)),),
        clocks={"I": Clock.from_rate(60, 10.0, 0.4)},
        labels="L",
    )


@pytest.fixture
def written(tmp_path):
    return write_nwb(tmp_path / "day.nwb", everything(), subject_id="m1", age="P60D")


def test_pynwb_finds_nothing_wrong(written):
    problems = pynwb.validate(path=str(written))
    assert [str(p) for p in problems if "error" in type(p).__name__.lower()] == []


def test_the_inspector_finds_no_violation(written):
    inspector = pytest.importorskip("nwbinspector")
    found = list(inspector.inspect_nwbfile(nwbfile_path=str(written)))
    grave = [m for m in found if m.importance.name in ("ERROR", "PYNWB_VALIDATION", "CRITICAL")]
    assert [f"{m.check_function_name}: {m.message}" for m in grave] == []


def test_cells_traces_sweeps_and_events_are_all_there(written):
    with pynwb.NWBHDF5IO(str(written), "r") as io:
        nwb = io.read()
        plane = nwb.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        assert list(plane["label"].data) == [4, 9]
        assert len(plane["pixel_mask"][0]) == 24
        series = nwb.processing["ophys"]["DfOverF"]["traces"]
        assert series.data.shape == (60, 2)
        assert series.starting_time == pytest.approx(0.4)
        assert list(series.rois.data) == [0, 1]
        sweep = nwb.acquisition["patch_abf_sweep0001_00_Vm"]
        assert isinstance(sweep, pynwb.icephys.CurrentClampSeries)
        assert np.mean(sweep.data[:]) == pytest.approx(-0.06, abs=1e-3), "volts"
        assert sweep.starting_time == pytest.approx(0.2)
        assert len(nwb.intracellular_recordings) == 3, "one clamped channel, three sweeps"
        assert sweep.electrode.cell_id == "9"
        together = nwb.icephys_simultaneous_recordings
        assert [len(together["recordings"][i]) for i in range(3)] == [1, 1, 1]
        assert len(nwb.icephys_sequential_recordings["simultaneous_recordings"][0]) == 3
        events = nwb.processing["events"]["events"].to_dataframe()
        assert events["cell"].tolist() == [9, 9]
        assert events["recording"].tolist() == ["patch.abf"] * 2


def test_nothing_to_export_is_said(tmp_path):
    with pytest.raises(SessionError, match="nothing to export"):
        write_nwb(tmp_path / "empty.nwb", Saved())


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "no_folder").write_text("kept")
    with pytest.raises(SessionError, match="cannot be written"):
        write_nwb(tmp_path / "no_folder" / "x.nwb", everything())
    assert [path.name for path in tmp_path.iterdir()] == ["no_folder"]
    assert (tmp_path / "no_folder").read_text() == "kept"
