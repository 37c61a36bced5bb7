"""Options of detectors: an unknown name or a value out of range is told, never left out without a word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.events import DETECTORS, make_detector
from napari_biofm.events.detect import detect_events
from napari_biofm.events.options import option_from_text, option_lines
from napari_biofm.events.recipe import Recipe
from napari_biofm.signals import Recording
from napari_biofm.types import DetectionSettings, Kind, RecordingError, Trace, run_task

TRACE = Trace(np.random.default_rng(0).normal(size=20_000).astype(np.float32), 10_000.0, "pA")


def _kind(name: str) -> Kind:
    kinds = make_detector(name).kinds
    return "psc" if "psc" in kinds else kinds[0]


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_refuses_an_option_it_does_not_have(name: str) -> None:
    settings = DetectionSettings(_kind(name), options={"no_such_option": 1.0})
    with pytest.raises(RecordingError, match="no option 'no_such_option'"):
        run_task(make_detector(name).detect(TRACE, settings))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_refuses_values_out_of_the_range_it_declares(name: str) -> None:
    detector = make_detector(name)
    for option in detector.options:
        for value in (option.low - 1, option.high + 1, float("nan")):
            settings = DetectionSettings(_kind(name), options={option.name: value})
            with pytest.raises(RecordingError, match=f"option|no option '{option.name}'"):
                run_task(detector.detect(TRACE, settings))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_option_has_a_name_a_range_around_its_default_and_one_sentence(name: str) -> None:
    options = make_detector(name).options
    assert len({option.name for option in options}) == len(options)
    for option in options:
        assert option.name.isidentifier() and option.low < option.high
        assert option.default is None or option.low <= option.default <= option.high
        assert option.help.endswith(".") and option.help[:1].isupper() | option.help[:1].isdigit()


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(RecordingError, match="did you mean 'sigma'\\? its options are sigma, sign"):
        run_task(make_detector("threshold").detect(TRACE, DetectionSettings(options={"sgima": 4.0})))


def test_a_value_out_of_range_is_named_with_the_range_and_the_default() -> None:
    settings = DetectionSettings("spike", options={"refractory_s": -2.0})
    with pytest.raises(RecordingError, match=r"refractory_s = -2.* give 0 to 1 s \(default 0.001\)"):
        run_task(make_detector("extracellular").detect(TRACE, settings))


def test_a_word_is_no_value() -> None:
    settings = DetectionSettings(options={"sigma": "high"})  # type: ignore[dict-item]
    with pytest.raises(RecordingError, match="sigma = 'high'"):
        run_task(make_detector("threshold").detect(TRACE, settings))


def test_a_default_that_is_written_out_changes_nothing() -> None:
    values = TRACE.values.copy()
    for first in range(1000, 19_000, 1500):
        values[first : first + 80] -= 12 * np.exp(-np.arange(80) / 25)
    trace = Trace(values, TRACE.sampling_rate, TRACE.unit)
    for name in ("threshold", "template", "deconvolution"):
        detector = make_detector(name)
        written = {o.name: o.default for o in detector.options if o.default is not None}
        a = run_task(detector.detect(trace, DetectionSettings("psc", all_scores=True)))
        b = run_task(detector.detect(trace, DetectionSettings("psc", all_scores=True, options=written)))
        assert len(a) and a.tobytes() == b.tobytes()


def test_classical_passes_options_on_to_the_method_and_refuses_those_of_another() -> None:
    detector = make_detector("classical")
    assert {"slope"} & {o.name for o in detector.options} == set()
    loose = run_task(detector.detect(TRACE, DetectionSettings("psc", options={"threshold": 2.0})))
    strict = run_task(detector.detect(TRACE, DetectionSettings("psc", options={"threshold": 4.0})))
    assert len(loose) > len(strict)
    with pytest.raises(RecordingError, match="the detector deconvolution has no option 'low_hz'"):
        run_task(detector.detect(TRACE, DetectionSettings("psc", options={"low_hz": 300.0})))


def test_a_recording_without_samples_to_search_still_tells_of_the_option() -> None:
    recording = Recording.from_arrays(np.zeros(5000), 10_000.0, "pA")
    with pytest.raises(RecordingError, match="did you mean 'sigma'"):
        run_task(detect_events(recording, "threshold", DetectionSettings(options={"sigm": 1.0})))


def test_a_recipe_keeps_options_and_refuses_those_that_do_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    recipe = Recipe("threshold", "psc", options={"sigma": 6.0})
    recipe.write(path)
    assert Recipe.read(path) == recipe and Recipe.read(path).settings.options == {"sigma": 6.0}
    for wrong, told in (({"sigam": 6.0}, "did you mean 'sigma'"), ({"sigma": -1}, "sigma = -1")):
        path.write_text(json.dumps({"detector": "threshold", "options": wrong}))
        with pytest.raises(RecordingError, match=told):
            Recipe.read(path)


def test_a_recipe_of_events_that_were_found_with_options_has_these_options() -> None:
    recording = Recording.from_arrays(np.zeros(5000), 10_000.0, "pA")
    noted = {"detector": "threshold", "kind": "psc", "preset": "precise", "options": {"sigma": 6.0}}
    assert Recipe.from_provenance(recording, noted) == Recipe(
        "threshold", "psc", "precise", options={"sigma": 6.0}
    )


def test_text_becomes_name_and_value() -> None:
    assert option_from_text("sigma=4.5") == ("sigma", 4.5)
    for wrong in ("sigma", "=4", "sigma=high"):
        with pytest.raises(RecordingError, match="NAME=NUMBER"):
            option_from_text(wrong)


def _file(folder: Path) -> Path:
    path = folder / "cell.npz"
    np.savez(path, signal=TRACE.values, sampling_rate=TRACE.sampling_rate, unit=TRACE.unit)
    return path


def test_the_command_line_takes_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["events", str(_file(tmp_path)), "--detector", "threshold", "--kind", "psc", "--all-scores"]
    counts = []
    for sigma in ("2", "5"):
        out = tmp_path / f"{sigma}.csv"
        assert main([*common, "--out", str(out), "--option", f"sigma={sigma}"]) == 0
        counts.append(len(out.read_text().splitlines()))
    assert counts[0] > counts[1]
    code = main([*common, "--out", str(tmp_path / "x.csv"), "--option", "sgma=3"])
    assert code != 0 and "did you mean 'sigma'" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()


def test_the_template_is_given_by_rise_and_decay(tmp_path: Path) -> None:
    common = ["events", str(_file(tmp_path)), "--detector", "template", "--kind", "psc", "--out"]
    named, plain = tmp_path / "a.csv", tmp_path / "b.csv"
    assert main([*common, str(named), "--rise", "0.0004", "--decay", "0.004"]) == 0
    assert main([*common, str(plain), "--option", "rise_s=0.0004", "--option", "decay_s=0.004"]) == 0
    assert named.read_text() == plain.read_text()
    events = biofm.detect_events(_file(tmp_path), detector="template", kind="psc", rise_s=4e-4, decay_s=4e-3)
    assert len(events) == len(plain.read_text().splitlines()) - 1


def test_options_on_the_command_line_go_before_those_of_the_settings_file(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    Recipe("threshold", "psc", options={"sigma": 5.0, "sign": -1.0}).write(settings)
    file, tables = _file(tmp_path), []
    for more in ([], ["--option", "sigma=2"]):
        out = tmp_path / f"{len(more)}.csv"
        assert main(["events", str(file), "--out", str(out), "--settings", str(settings), *more]) == 0
        tables.append(out.read_text().splitlines())
    assert len(tables[1]) > len(tables[0])
    reasons = ("hidden in the noise", "no peak that ends again")
    assert all(any(why in row for why in reasons) for row in tables[1] if "outward" in row)  # sign = -1 holds


def test_the_help_lists_the_options_of_every_detector(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["events", "--help"])
    told = capsys.readouterr().out
    assert stopped.value.code == 0
    for name in DETECTORS:
        options = make_detector(name).options
        assert f"{name}:" in told
        for line in option_lines(options):
            assert line in told
