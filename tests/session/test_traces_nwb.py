"""Traces as NWB without a session; and movies, channels, planes and recordings of one session that keep what is theirs."""

import dataclasses

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.links import Link
from napari_biofm.selection import CellKey
from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.nwb_read import read_nwb_session
from napari_biofm.session.saving import load_session, save_session
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.signals import Recording
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE

pynwb = pytest.importorskip("pynwb")
MASKS = np.zeros((30, 40), np.int32)
MASKS[5:10, 5:10], MASKS[15:20, 20:25] = 4, 9


def test_the_verb_writes_masks_and_every_kind_of_trace(tmp_path):
    rng = np.random.default_rng(0)
    movie = rng.poisson(200 + 300 * (MASKS > 0), (120, 30, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="minisblack")
    tifffile.imwrite(tmp_path / "c.tif", MASKS)
    out = tmp_path / "traces.nwb"
    call = [
        "traces",
        f"{tmp_path}/m.tif",
        "--masks",
        f"{tmp_path}/c.tif",
        "--frame-rate",
        "10",
        "--out",
        str(out),
    ]
    assert main(call) == 0
    again = biofm.open_session(out).session
    made = biofm.traces(movie, MASKS, frame_rate=10.0)
    for name, values in (("dff", made.dff), ("raw", made.raw), ("neuropil", made.neuropil)):
        recording = again.recordings[name].recording
        assert recording.labels.tolist() == [4, 9] and recording.channels[0].sampling_rate == pytest.approx(
            10
        )
        np.testing.assert_allclose([recording.values(0, c) for c in (0, 1)], values, rtol=1e-6)
    with pynwb.NWBHDF5IO(str(out), "r") as io:
        masks = io.read().processing["ophys"]["ImageSegmentation"].plane_segmentations
        assert sum(len(one["label"]) for one in masks.values()) == 2


def many():
    """Two movies; the first has two channels, the second two planes with masks of their own; two patch recordings."""
    layers, recordings, events, clocks = [], {}, {}, {}
    places = (
        ("m1", "channel 0", "L1"),
        ("m1", "channel 1", "L1"),
        ("m2", "plane 0", "L2"),
        ("m2", "plane 1", "L3"),
    )
    for uid in ("m1", "m2"):
        layers.append(SavedLayer(uid, "image", f"movie {uid}", shape=(60, 30, 40)))
        times = np.arange(60) / 10.0 + (0 if uid == "m1" else 500)
        times[30:] += 7 if uid == "m1" else 0  # a pause in the first
        clocks[uid] = Clock(times, "pulses", f"patch {uid}")
    for k in (1, 2, 3):
        layers.append(
            SavedLayer(f"L{k}", "labels", f"cells {k}", data=np.roll(MASKS, k, 0), shape=MASKS.shape)
        )
    for k, (movie, part, masks) in enumerate(places):
        values = np.full((2, 60), float(k), np.float32) + np.arange(60, dtype=np.float32) / 100
        traces = Recording.from_arrays(values, 10.0, ["dF/F", "dF/F"], labels=[4, 9])
        name = f"{movie} {part}"
        recordings[name] = dataclasses.replace(traces, measured_on=MeasuredOn(movie, masks, part))
        events[name] = event(1.0 + k, k % 2)
    for k, uid in enumerate(("patch m1", "patch m2")):
        recordings[uid] = Recording.from_arrays([[np.full(200, -60.0 - k)]], 1000.0, ["mV"], names=["Vm"])
        events[uid] = event(0.1 + 0.05 * k, 0)
    links = (Link("patch m1", 0, CellKey("L1", 4)), Link("patch m2", 0, CellKey("L3", 9)))
    return Saved(
        layers=tuple(layers),
        recordings=recordings,
        events=events,
        clocks=clocks,
        labels="L1",
        image="m1",
        links=links,
    )


def event(time, channel):
    found = np.zeros(1, EVENT_DTYPE)
    found["time_s"], found["channel"], found["class"] = time, channel, "calcium"
    return found


@pytest.mark.parametrize("kind", ["folder", "nwb"])
def test_every_trace_event_mask_clock_and_link_is_where_it_was(kind, tmp_path):
    before = many()
    if kind == "nwb":
        after = read_nwb_session(write_nwb(tmp_path / "s.nwb", before))
    else:
        save_session(tmp_path / "s", before)
        after = load_session(tmp_path / "s")
    stays = (
        ("labels",) if kind == "nwb" else ("labels", "image")
    )  # NWB holds no layers of movies, only their clocks
    kept = {one.uid: one.name for one in before.layers if one.kind in stays}
    assert {one.uid: one.name for one in after.layers} == kept
    for one in after.layers:
        (same,) = (other for other in before.layers if other.uid == one.uid)
        if same.data is not None:
            np.testing.assert_array_equal(one.data, same.data)
    assert set(after.recordings) == set(before.recordings)
    for uid, recording in before.recordings.items():
        again = after.recordings[uid]
        assert (
            again.measured_on == recording.measured_on and again.labels.tolist() == recording.labels.tolist()
        )
        np.testing.assert_array_equal(again.values(0, 0), recording.values(0, 0))
        for name in ("time_s", "channel", "class"):
            np.testing.assert_array_equal(after.events[uid][name], before.events[uid][name])
    for uid, clock in before.clocks.items():
        np.testing.assert_allclose(after.clocks[uid].times, clock.times, atol=1e-9)
        assert after.clocks[uid].recording == clock.recording
    assert set(after.links) == set(before.links)


def test_the_file_itself_ties_each_series_to_its_masks_and_its_clock(tmp_path):
    path = write_nwb(tmp_path / "s.nwb", many())
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        series = nwb.processing["ophys"]["DfOverF"].roi_response_series
        for k, (movie, masks) in enumerate((("m1", 1), ("m1", 1), ("m2", 2), ("m2", 3))):
            (one,) = (
                s for s in series.values() if round(float(s.data[0, 0])) == k and abs(s.data[0, 0] - k) < 1e-6
            )
            assert f"'cells {masks}'" in one.rois.table.description
            times = (
                np.asarray(one.timestamps)
                if one.timestamps is not None
                else one.starting_time + np.arange(60) / one.rate
            )
            assert times[0] == pytest.approx(0 if movie == "m1" else 500)
            assert times[30] == pytest.approx(10 if movie == "m1" else 503)
        events = nwb.processing["events"]["events"].to_dataframe()
        assert sorted(events["time_s"].round(6)) == pytest.approx(sorted([1.0, 2.0, 503.0, 504.0, 0.1, 0.15]))
