"""What is said of an experiment and an animal stands in NWB files as it was given, and comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.cli import main
from napari_biofm.session.nwb import write_nwb as write_session
from napari_biofm.session.nwb_read import read_nwb_session
from napari_biofm.session.snapshot import Saved
from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.export import write_nwb
from napari_biofm.signals.nwb_about import NwbAbout, about_of, nwb_about
from napari_biofm.types import RecordingError

pynwb = pytest.importorskip("pynwb")
GIVEN = {
    "session_description": "Paired recordings of layer 5.", "experimenter": "Doe, Jane; Roe, Richard", "lab": "Lab of cells",
    "institution": "University of Somewhere", "subject_id": "m17", "species": "Mus musculus", "sex": "F", "age": "P90D",
    "genotype": "wt",
}  # fmt: skip


def _recording() -> Recording:
    return Recording.from_arrays(np.zeros(100, np.float32), 1000.0, "pA", names=["Im"])


@pytest.mark.parametrize(
    "given", [GIVEN, {"species": "Rattus norvegicus", "age": "P8W/P12W"}, {"lab": "Ours"}, {}]
)
def test_what_was_given_comes_back_and_the_rest_is_left_out(tmp_path: Path, given: dict[str, str]) -> None:
    about = nwb_about(given)
    write_nwb(tmp_path / "one.nwb", _recording(), about=about)
    assert not pynwb.validate(path=str(tmp_path / "one.nwb"))
    again = read_recording(tmp_path / "one.nwb")
    told = {
        "session_description": "recording."
    } | given  # NWB asks for a description: the name of the recording
    assert about_of(again).given == told
    write_nwb(tmp_path / "two.nwb", again)
    assert about_of(read_recording(tmp_path / "two.nwb")) == about_of(again), "another export keeps it"
    with pynwb.NWBHDF5IO(str(tmp_path / "two.nwb"), "r") as io:
        nwb = io.read()
        assert (nwb.subject is None) == (not set(given) & {"species", "age"})
        assert nwb.session_description.count("placeholder") == 1, "said once"


def test_a_session_keeps_it_too(tmp_path: Path) -> None:
    saved = Saved(recordings={"cell": _recording()})
    write_session(tmp_path / "day.nwb", saved, about=nwb_about(GIVEN))
    again = read_nwb_session(tmp_path / "day.nwb")
    assert about_of(again.recordings["cell"]) == NwbAbout(**GIVEN)
    write_session(tmp_path / "again.nwb", again)
    assert about_of(read_recording(tmp_path / "again.nwb")) == NwbAbout(**GIVEN)
    nothing = read_nwb_session(write_session(tmp_path / "bare.nwb", saved))
    assert not about_of(nothing.recordings["cell"]).given


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("age", "60 d", "write P60D"), ("age", "P60", "write P60D"), ("age", "8 weeks", "write P8W"), ("age", "adult", "P90D"),
        ("age", "P", "P90D"), ("sex", "male", "write M"), ("sex", "?", "F, O"), ("species", "mouse", "write Mus musculus"),
        ("species", "mus musculus", "genus with a capital"), ("colour", "red", "no field 'colour'"),
    ],
)  # fmt: skip
def test_what_nwb_does_not_take_is_told_with_its_remedy(field: str, value: str, remedy: str) -> None:
    with pytest.raises(RecordingError, match=remedy) as told:
        nwb_about({field: value})
    assert value in str(told.value) or field in str(told.value)


@pytest.mark.parametrize("age", ["P90D", "P2Y6M", "P12W", "P1DT12H", "PT36H", "P0.5Y", "P1D/P3D"])
def test_durations_of_iso_8601_are_taken(age: str) -> None:
    assert nwb_about({"age": f" {age} "}).age == age


def test_the_verb_says_it_in_nwb_files_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "day.nwb", Saved(recordings={"cell": _recording()}))
    what = ["export", str(tmp_path / "day.nwb"), "--out", str(tmp_path / "out"), "--to"]
    assert main([*what, "csv", "--species", "Mus musculus"]) == 1
    assert "--species is said in NWB files" in capsys.readouterr().err
    assert main([*what, "nwb", "--species", "mouse"]) == 1
    assert "write Mus musculus" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main([*what, "nwb", "--species", "Mus musculus", "--subject-id", "m17"]) == 0
    assert about_of(read_recording(tmp_path / "out" / "day.nwb")).subject_id == "m17"
