"""A session that was closed comes back the same; what is damaged or gone is said, and nothing is lost."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.events.reviewed import same_rows
from napari_biofm.session import CellKey, Link, Session, place
from napari_biofm.session.saving import SessionWriter, load_session, save_session
from napari_biofm.session.snapshot import SavedLayer, restore, snapshot
from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.simulate import write_abf
from napari_biofm.timeline import Clock, clock_of
from napari_biofm.types import EVENT_DTYPE, SessionError

MASKS = np.zeros((30, 40), np.int32)
MASKS[2:10, 3:12], MASKS[15:25, 20:33] = 4, 9
LAYERS = (
    SavedLayer("image-1", "image", "movie", path="/data/movie.tif", shape=(50, 30, 40)),
    SavedLayer("labels-1", "labels", "cells", data=MASKS, placing={"scale": [0.5, 0.5]}, shape=(30, 40)),
)


def spikes(times):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["time_s"], events["class"], events["unit"], events["score"] = times, "AP", "mV", 0.9
    return events


@pytest.fixture
def session(tmp_path):
    abf = write_abf(tmp_path / "patch.abf", [np.sin(np.arange(2000) / 50.0)], ["Vm"], ["mV"], 10_000.0)
    made = Session()
    made.add_recording(read_recording(abf))
    traces = np.random.default_rng(0).normal(0, 1, (2, 50)).astype(np.float32)
    made.add_recording(Recording.from_arrays(traces, 10.0, "dF/F", labels=[4, 9], rois=MASKS), "traces")
    made.set_layers(image="image-1", labels="labels-1")
    made.set_events("patch.abf", spikes([0.01, 0.05]), {"detector": "threshold"})
    made.link(Link("patch.abf", 0, CellKey("labels-1", 9)))
    made.set_clock("image-1", Clock.from_rate(50, 10.0, 0.3, recording="patch.abf"))
    made.set_cells("labels-1", make_table(MASKS, layer="labels-1"))
    made.select([CellKey("labels-1", 9)])
    made.set_time(1.25)
    return made


def test_everything_comes_back_under_the_layers_new_ids(session, tmp_path):
    save_session(tmp_path / "day1", snapshot(session, LAYERS, [{"action": "link"}]))
    saved = load_session(tmp_path / "day1")
    again = Session()
    restore(again, saved, {"image-1": "image-7", "labels-1": "labels-7"})
    assert saved.warnings == ()
    assert saved.log == ({"action": "link"},)
    np.testing.assert_array_equal(saved.layers[1].data, MASKS)
    assert list(again.recordings) == ["patch.abf", "traces"]
    assert same_rows(again.events("patch.abf"), session.events("patch.abf"))
    assert again.recordings["patch.abf"].provenance == {"detector": "threshold"}
    before, after = session.recordings["traces"].recording, again.recordings["traces"].recording
    np.testing.assert_array_equal(before.values(0, 1), after.values(0, 1))
    np.testing.assert_array_equal(after.rois, MASKS)
    assert after.labels.tolist() == [4, 9]
    assert again.links == {Link("patch.abf", 0, CellKey("labels-7", 9))}
    np.testing.assert_allclose(again.clock("image-7").times, session.clock("image-1").times)
    assert again.clock("image-7").recording == "patch.abf"
    assert again.selection == {CellKey("labels-7", 9)}
    assert (again.time_s, again.image, again.labels) == (1.25, "image-7", "labels-7")
    table = again.cells("labels-7")
    assert table.obs_names.tolist() == ["labels-7:4", "labels-7:9"]
    assert table.obs["layer"].tolist() == ["labels-7", "labels-7"]
    np.testing.assert_allclose(table.X, session.cells("labels-1").X, equal_nan=True)
    assert not again.history.can_undo


def test_saving_again_replaces_the_whole_and_leaves_nothing_behind(session, tmp_path):
    writer = SessionWriter(tmp_path / "day1")
    writer.save(snapshot(session, LAYERS))
    labels = tmp_path / "day1" / "labels" / "000.ome.zarr"
    inode = {p.name: p.stat().st_ino for p in (tmp_path / "day1" / "events").iterdir()}
    session.set_events("patch.abf", spikes([0.02]), {})
    writer.save(snapshot(session, LAYERS))
    again = {p.name: p.stat().st_ino for p in (tmp_path / "day1" / "events").iterdir()}
    assert again["000.parquet"] != inode["000.parquet"], "changed events are written"
    assert again["001.parquet"] == inode["001.parquet"], "unchanged ones are linked"
    assert len(load_session(tmp_path / "day1").events["patch.abf"]) == 1
    assert not labels.exists() and (tmp_path / "day1" / "labels" / "001.ome.zarr").is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["day1", "patch.abf"]


def test_a_failed_save_leaves_the_old_session_whole(session, tmp_path, monkeypatch):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    session.set_events("patch.abf", spikes([0.02]), {})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_biofm.session.saving.write_events", full)
    with pytest.raises(SessionError, match=r"No space left.*still there"):
        save_session(tmp_path / "day1", snapshot(session, LAYERS))
    assert len(load_session(tmp_path / "day1").events["patch.abf"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["day1", "patch.abf"]


def test_what_another_process_saved_here_is_not_mixed_in(session, tmp_path):
    mine, theirs = SessionWriter(tmp_path / "day1"), SessionWriter(tmp_path / "day1")
    mine.save(snapshot(session, LAYERS))
    before = load_session(tmp_path / "day1").events["patch.abf"]
    other = snapshot(session, LAYERS)
    theirs.save(dataclasses.replace(other, events={uid: spikes([0.5]) for uid in other.events}))
    mine.save(snapshot(session, LAYERS))  # of what did not change nothing is taken from theirs
    assert np.array_equal(load_session(tmp_path / "day1").events["patch.abf"]["time_s"], before["time_s"])


def test_a_session_killed_between_two_renames_opens_as_it_was(session, tmp_path):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    (tmp_path / "day1").rename(tmp_path / ".day1.0123abcd.old")
    shutil.copytree(tmp_path / ".day1.0123abcd.old", tmp_path / ".day1.4567cdef.partial")
    assert len(load_session(tmp_path / "day1").events["patch.abf"]) == 2
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["day1", "patch.abf"]


@pytest.mark.parametrize("can_swap", [True, False])
def test_a_folder_takes_the_place_of_another_where_the_system_cannot_swap_too(
    tmp_path, monkeypatch, can_swap
):
    if not can_swap:
        monkeypatch.setattr(place, "_swapped", lambda a, b: False)
    (tmp_path / "day1").mkdir()
    (tmp_path / "day1" / "old").touch()
    fresh = place.fresh_place(tmp_path / "day1")
    fresh.mkdir()
    (fresh / "new").touch()
    place.put_in_place(fresh, tmp_path / "day1")
    assert [p.name for p in tmp_path.rglob("*")] == ["day1", "new"]


def test_a_recording_that_is_gone_keeps_its_events_and_links(session, tmp_path):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    (tmp_path / "patch.abf").unlink()
    saved = load_session(tmp_path / "day1")
    assert "is gone; its events and links were kept" in saved.warnings[0]
    again = Session()
    restore(again, saved, {})
    assert len(again.events("patch.abf")) == 2
    assert len(again.links) == 1
    assert again.recordings["patch.abf"].recording.n_samples(0, 0) == 0


def test_a_session_moved_with_its_recording_finds_it(session, tmp_path):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    other = tmp_path / "elsewhere"
    other.mkdir()
    (tmp_path / "day1").rename(other / "day1")
    (tmp_path / "patch.abf").rename(other / "patch.abf")
    saved = load_session(other / "day1")
    assert saved.warnings == ()
    assert saved.recordings["patch.abf"].n_samples(0, 0) == 2000


@pytest.mark.parametrize("below", ["movies/movie.tif", "movie.tif"])
def test_a_session_moved_with_its_image_finds_it(tmp_path, below):
    for when in ("then", "now"):
        (tmp_path / when / below).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "then" / below).write_bytes(b"pixels")
    layer = SavedLayer("image-1", "image", "movie", path=str(tmp_path / "then" / below), shape=(5, 5))
    save_session(tmp_path / "then" / "day1", snapshot(Session(), [layer]))
    (tmp_path / "then" / "day1").rename(tmp_path / "now" / "day1")
    assert load_session(tmp_path / "now" / "day1").layers[0].path == layer.path, "it still lies where it was"
    (tmp_path / "then" / below).rename(tmp_path / "now" / below)
    assert load_session(tmp_path / "now" / "day1").layers[0].path == str(tmp_path / "now" / below)
    assert load_session(tmp_path / "now" / "day1").warnings == ()
    (tmp_path / "now" / below).write_bytes(b"other pixels")
    assert "movie.tif has another size" in load_session(tmp_path / "now" / "day1").warnings[0]
    (tmp_path / "now" / below).unlink()
    assert load_session(tmp_path / "now" / "day1").layers[0].path == layer.path, "gone: named as it was"


def test_data_copied_beside_a_session_of_another_computer_are_found(session, tmp_path):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    for record, name in (("recordings", "patch.abf"), ("layers", "movie.tif")):
        index = json.loads((tmp_path / "day1" / "session.json").read_text())
        index[record][0] |= {"path": rf"D:\data\of the rig\{name}", "relative": ""}
        (tmp_path / "day1" / "session.json").write_text(json.dumps(index))
    (tmp_path / "movie.tif").write_bytes(b"pixels")
    saved = load_session(tmp_path / "day1")
    assert saved.warnings == () and saved.recordings["patch.abf"].n_samples(0, 0) == 2000
    assert saved.layers[0].path == str(tmp_path / "movie.tif")


def test_units_the_user_mended_come_back(session, tmp_path):
    mended = session.recordings["patch.abf"].recording.with_channel(0, unit="pA", name="Im")
    other = Session()
    other.add_recording(mended)
    save_session(tmp_path / "day2", snapshot(other))
    channel = load_session(tmp_path / "day2").recordings["patch.abf"].channels[0]
    assert (channel.unit, channel.name) == ("pA", "Im")


def test_a_gain_that_was_put_right_and_a_filtered_copy_come_back(session, tmp_path):
    mended = session.recordings["patch.abf"].recording.with_channel(0, unit="pA", factor=0.05)
    other = Session()
    other.add_recording(mended)
    other.add_recording(filtered(mended, FilterSettings(lowpass=200.0)), "copy")
    save_session(tmp_path / "day2", snapshot(other))
    saved = load_session(tmp_path / "day2")
    for uid, entry in other.recordings.items():
        back = saved.recordings[uid]
        np.testing.assert_array_equal(back.values(0, 0), entry.recording.values(0, 0))
        assert back.metadata["changed"] == entry.recording.metadata["changed"]
    assert saved.recordings["copy"].metadata["processing"]["lowpass"] == 200.0


def test_what_a_file_did_not_say_is_not_asked_again(session, tmp_path):
    table = tmp_path / "trace.csv"
    table.write_text("Vm (mV)\n" + "\n".join(str(i) for i in range(50)))
    session.add_recording(read_recording(table, sampling_rate=500.0))
    save_session(tmp_path / "day3", snapshot(session, LAYERS))
    saved = load_session(tmp_path / "day3")
    assert saved.warnings == ()
    assert saved.recordings["trace.csv"].channels[0].sampling_rate == 500.0
    assert saved.recordings["trace.csv"].n_samples() == 50


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "session.json").unlink(), "is no session"),
        (lambda folder: (folder / "session.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "session.json").write_text("[]"), "not written by napari-biofm"),
        (lambda folder: edit(folder, format_version=99), "Update napari-biofm"),
        (lambda folder: edit(folder, format_version=None), "format_version is None"),
        (lambda folder: edit(folder, format_version=float("nan")), "format_version is nan"),
        (lambda folder: edit(folder, format_version="2"), "format_version is '2'"),
        (lambda folder: edit(folder, time_s="1e999 s"), "is damaged"),
        (lambda folder: edit(folder, links=[["r", float("inf"), "l", 1]]), "is damaged"),
        (lambda folder: edit(folder, links=[["x"]]), "is damaged"),
        (
            lambda folder: (folder / "events" / "000.parquet").write_bytes(b"no"),
            "events in .* cannot be read",
        ),
        (
            lambda folder: (folder / "clocks" / "000.npy").write_bytes(b"no"),
            "frame times in .* cannot be read",
        ),
        (lambda folder: (folder / "samples" / "001.npz").write_bytes(b"no"), "samples in .* cannot be"),
        (lambda folder: (folder / "labels" / "001.ome.zarr" / "zarr.json").unlink(), "labels in .* cannot"),
        (lambda folder: (folder / "cells" / "001.zarr" / ".zgroup").write_text("?"), "table of cells in"),
    ],
)
def test_damage_is_named(session, tmp_path, damage, words):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    damage(tmp_path / "day1")
    with pytest.raises(SessionError, match=words):
        load_session(tmp_path / "day1")


def edit(folder, **values):
    index = json.loads((folder / "session.json").read_text())
    (folder / "session.json").write_text(json.dumps({**index, **values}))


def test_an_index_cannot_point_outside_its_folder(session, tmp_path):
    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    index = json.loads((tmp_path / "day1" / "session.json").read_text())
    index["recordings"][0]["events"] = "../../secret.parquet"
    (tmp_path / "day1" / "session.json").write_text(json.dumps(index))
    with pytest.raises(SessionError, match="outside the session"):
        load_session(tmp_path / "day1")


def test_a_folder_with_other_things_is_not_overwritten(session, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_bytes(b"x")
    with pytest.raises(SessionError, match="is no session"):
        save_session(tmp_path / "holiday", snapshot(session))
    (tmp_path / "note").write_text("x")
    with pytest.raises(SessionError, match="is a file"):
        save_session(tmp_path / "note", snapshot(session))


def test_labels_are_ome_zarr(session, tmp_path):
    import zarr

    save_session(tmp_path / "day1", snapshot(session, LAYERS))
    group = zarr.open_group(str(tmp_path / "day1" / "labels" / "001.ome.zarr"), mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5" and "image-label" in ome
    assert [a["name"] for a in ome["multiscales"][0]["axes"]] == ["y", "x"]
    assert ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.5, 0.5]


def test_traces_of_two_planes_of_equal_length_come_back_to_their_own_movie_and_masks(tmp_path):
    session = Session()
    layers = []
    for plane in ("1", "2"):
        layers += [
            SavedLayer(f"image-{plane}", "image", f"movie {plane}", shape=(50, 30, 40)),
            SavedLayer(f"labels-{plane}", "labels", f"cells {plane}", data=MASKS, shape=(30, 40)),
        ]
        values = np.full((2, 50), float(plane), np.float32)
        traces = Recording.from_arrays(values, 10.0, ["dF/F", "z"], labels=[4, 9], rois=MASKS)
        traces = dataclasses.replace(
            traces, measured_on=MeasuredOn(f"image-{plane}", f"labels-{plane}", plane)
        )
        session.put_traces(traces, f"plane {plane}", spikes([float(plane)]), {"detector": "default"})
        session.set_clock(f"image-{plane}", Clock.from_rate(50, 10.0, 100.0 * float(plane)))
    save_session(tmp_path / "two", snapshot(session, layers))
    again = Session()
    restore(
        again,
        load_session(tmp_path / "two"),
        {f"{kind}-{p}": f"{kind}-{p}-new" for kind in ("image", "labels") for p in "12"},
    )
    for plane in ("1", "2"):
        entry = again.recordings[f"plane {plane}"]
        assert entry.recording.measured_on == MeasuredOn(f"image-{plane}-new", f"labels-{plane}-new", plane)
        assert [c.unit for c in entry.recording.channels] == ["dF/F", "z"]
        clocks = again.clocks.values()
        assert clock_of(entry.recording, clocks) is again.clock(f"image-{plane}-new")
        np.testing.assert_array_equal(entry.events["time_s"], [float(plane)])
        assert entry.recording.values(0, 0)[0] == float(plane)
