"""What leaves as NWB is valid, complete, in SI units, and accepted by the inspector."""

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

pynwb = pytest.importorskip("pynwb")

import napari_biofm as biofm  # noqa: E402
from napari_biofm.events.reviewed import reviewed  # noqa: E402
from napari_biofm.session import CellKey, Link  # noqa: E402
from napari_biofm.session.nwb import write_nwb  # noqa: E402
from napari_biofm.session.nwb_read import read_nwb_session  # noqa: E402
from napari_biofm.session.snapshot import Saved, SavedLayer  # noqa: E402
from napari_biofm.signals import Recording  # noqa: E402
from napari_biofm.signals.nwb_about import NwbAbout  # noqa: E402
from napari_biofm.signals.recorded import MeasuredOn  # noqa: E402
from napari_biofm.timeline import Clock  # noqa: E402
from napari_biofm.types import EVENT_DTYPE, SessionError, Trace  # noqa: E402

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
    return write_nwb(tmp_path / "day.nwb", everything(), about=NwbAbout(subject_id="m1", age="P60D"))


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
        np.testing.assert_allclose(events["time_s"], [0.01, 0.03])
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


def two_planes():
    """Two planes of equal length, each with its movie, masks, traces and events; a patch recording half an hour in."""
    layers, recordings, events, clocks = [], {}, {}, {}
    for k, plane in enumerate(("a", "b")):
        masks = np.roll(MASKS, 3 * k, axis=0)
        layers.append(SavedLayer(f"L{plane}", "labels", f"cells {plane}", data=masks, shape=masks.shape))
        values = RNG.normal(k, 1, (3, 60)).astype(np.float32)
        traces = Recording.from_arrays(
            values, 10.0, ["dF/F", "z", "dF/F"], labels=[4, 9, 77]
        )  # 77 was deleted since
        recordings[f"plane {plane}"] = dataclasses.replace(
            traces, measured_on=MeasuredOn(f"I{plane}", f"L{plane}")
        )
        found = np.zeros(2, EVENT_DTYPE)
        found["time_s"], found["channel"], found["class"] = [1.0, 3.0], [0, 1], "calcium"
        events[f"plane {plane}"] = found
        times = np.concatenate([np.arange(30) / 10.0, 10 + np.arange(30) / 10.0]) + 1.5 + 100 * k
        clocks[f"I{plane}"] = Clock(times, "pulses", "patch.abf")
    start = datetime(2024, 5, 1, 12, 0)
    patch = Recording.from_arrays(
        [[RNG.normal(-60, 1, 500)]], 1000.0, ["mV"], names=["Vm"], t0=start + timedelta(minutes=30)
    )
    other = Recording.from_arrays([[RNG.normal(-60, 1, 500)]], 1000.0, ["pA"], names=["Im"], t0=start)
    spikes = np.zeros(1, EVENT_DTYPE)
    spikes["time_s"], spikes["class"], spikes["unit"] = 0.2, "AP", "mV"
    recordings |= {"patch.abf": patch, "other.abf": other}
    events |= {"patch.abf": spikes, "other.abf": spikes[:0]}
    return Saved(
        layers=tuple(layers), recordings=recordings, events=events, clocks=clocks, labels="La", image="Ia",
        links=(Link("patch.abf", 0, CellKey("Lb", 9)),), provenance={"plane a": {"detector": "default"}},
    )  # fmt: skip


def test_every_trace_and_event_lies_on_its_own_masks_and_on_the_clock_of_the_session(tmp_path):
    path = write_nwb(tmp_path / "two.nwb", two_planes())
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        for k, plane in enumerate(("a", "b")):
            series = nwb.processing["ophys"]["DfOverF"][f"plane_{plane}"]
            assert series.rois.table.description.startswith(f"labels layer 'cells {plane}'")
            assert list(series.rois.data) == [0] and series.data.shape == (60, 1)
            assert series.timestamps[0] == pytest.approx(1800 + 1.5 + 100 * k), "seconds of the session"
            assert series.timestamps[30] == pytest.approx(1800 + 11.5 + 100 * k), "the pause is there"
            assert nwb.processing["ophys"]["Fluorescence"][f"plane_{plane}_z"].unit == "z"
            lost = nwb.acquisition[f"plane_{plane}_without_mask"]
            assert "77" in lost.description, "one deleted cell takes no name from the others"
        events = nwb.processing["events"]["events"].to_dataframe()
        expected = [1802.5, 1811.5, 1902.5, 1911.5, 1800.2]
        np.testing.assert_allclose(events["time_s"], expected)
        assert nwb.session_start_time.replace(tzinfo=None) == datetime(2024, 5, 1, 12, 0)


def test_nothing_is_invented(tmp_path):
    path = write_nwb(tmp_path / "day.nwb", everything())
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        assert nwb.subject is None and nwb.experimenter is None and nwb.institution is None
        plane = nwb.imaging_planes["ImagingPlane"]
        assert np.isnan(plane.excitation_lambda) and np.isnan(plane.optical_channel[0].emission_lambda)
        assert "placeholder" in nwb.session_description
    path = write_nwb(tmp_path / "mouse.nwb", everything(), about=NwbAbout(species="Mus musculus"))
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        subject = io.read().subject
        assert subject.species == "Mus musculus" and subject.age is None


def test_our_own_export_opens_as_the_same_session(tmp_path):
    before = two_planes()
    after = read_nwb_session(write_nwb(tmp_path / "two.nwb", before))
    assert [(a.uid, a.name) for a in after.layers] == [(a.uid, a.name) for a in before.layers]
    for a, b in zip(after.layers, before.layers, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert list(after.recordings) == list(before.recordings) and after.links == before.links
    for uid, recording in before.recordings.items():
        again = after.recordings[uid]
        assert (again.channels, again.t0, again.measured_on) == (
            recording.channels,
            recording.t0,
            recording.measured_on,
        )
        for c in range(recording.n_channels):
            np.testing.assert_array_equal(again.values(0, c), recording.values(0, c))
        expected = reviewed(before.events[uid])
        for name in expected.dtype.names:
            np.testing.assert_array_equal(after.events[uid][name], expected[name])
    for uid, clock in before.clocks.items():
        np.testing.assert_allclose(after.clocks[uid].times, clock.times, atol=1e-9)
        assert after.clocks[uid].recording == "patch.abf"
    assert after.provenance["plane a"] == {"detector": "default"}
    session = biofm.open_session(tmp_path / "two.nwb").session
    assert len(session.recordings) == 4 and session.links == frozenset(before.links)


def test_a_file_of_another_program_is_no_session_and_says_so(tmp_path):
    path = tmp_path / "other.nwb"
    nwb = pynwb.NWBFile("s", "i", datetime(2024, 5, 1, tzinfo=UTC))
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    with pytest.raises(SessionError, match="no session of napari-biofm"):
        read_nwb_session(path)


@dataclasses.dataclass(frozen=True)
class Steps:
    """Three steps of current for the first channel."""

    def __call__(self, sweep, channel):
        wave = np.zeros(500, np.float32)
        wave[100:400] = 20.0 * sweep - 20.0
        return Trace(wave, 10_000.0, "pA", sweep, channel) if channel == 0 else None


def test_commands_and_protocols_come_back_with_the_sweeps(tmp_path):
    values = RNG.normal(-60, 1, (3, 500)).astype(np.float32)
    cell = Recording.from_arrays(
        values, 10_000.0, "mV", names=["Vm"], protocol="FI curve", command_source=Steps()
    )
    path = write_nwb(tmp_path / "steps.nwb", Saved(recordings={"cell": cell}))
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        stimulus = nwb.stimulus["cell_command0002_00"]
        assert type(stimulus).__name__ == "CurrentClampStimulusSeries"
        assert stimulus.data[200] == pytest.approx(20e-12)
        assert stimulus.electrode is nwb.acquisition["cell_sweep0002_00_Vm"].electrode
    back = read_nwb_session(path).recordings["cell"]
    assert back.protocol == "FI curve"
    for sweep in range(3):
        np.testing.assert_array_equal(back.values(sweep, 0), values[sweep])
        np.testing.assert_allclose(back.command(sweep, 0).values, cell.command(sweep, 0).values, rtol=1e-6)


def test_a_layer_without_cells_is_left_out_and_hinders_nothing(tmp_path):
    empty = SavedLayer("E", "labels", "nothing", data=np.zeros((20, 30), np.int32), shape=(20, 30))
    saved = everything()
    write_nwb(tmp_path / "day.nwb", dataclasses.replace(saved, layers=(empty, *saved.layers)))
    assert [layer.uid for layer in read_nwb_session(tmp_path / "day.nwb").layers] == ["L"]
