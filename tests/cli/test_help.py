"""Help of every verb: examples that can be called, a sentence for each option, --force where something is written."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest

from napari_biofm.analyses.registry import analyses
from napari_biofm.cli import build_parser, main
from napari_biofm.cli.argparse_compat import arguments_of, verbs_below
from napari_biofm.cli.examples import EXAMPLES, calls_of


def verbs(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> dict[str, argparse.ArgumentParser]:
    below = verbs_below(parser)
    if not below:
        return {" ".join(words): parser}
    return {
        name: one for word, (verb, _) in below.items() for name, one in verbs(verb, (*words, word)).items()
    }


PARSER = build_parser()
VERBS = verbs(PARSER)


def test_every_verb_has_an_example_and_every_example_a_verb():
    assert set(EXAMPLES) == set(VERBS)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_can_be_called(name):
    for call in calls_of(tuple(name.split())):
        assert f"napari-biofm {call}".rstrip() in VERBS[name].format_help()
        args = PARSER.parse_args(shlex.split(call.split(" >")[0]))
        if name in analyses() and not analyses()[name].own_verb:
            options = analyses()[name].options
            analyses()[name].made(
                {one.name: getattr(args, one.name) for one in options if hasattr(args, one.name)}
            )


def test_every_option_has_a_sentence_and_its_default():
    for name, verb in VERBS.items():
        for one in arguments_of(verb):
            assert one.help, f"{name}: {one.option_strings or one.dest}"
    assert "(default auto)" in VERBS["segment"].format_help()


def test_a_long_description_is_filled_and_examples_stand_as_they_are(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = VERBS["segment"].format_help()
    before, after = text.split("examples:")
    assert max(map(len, before.splitlines())) <= 80
    assert "--second-channel DAPI --diameter 40 --out masks" in after.splitlines()[4]


def test_force_replaces_and_keeps_no_numbered_copy(tmp_path: Path, small_currents: Path):
    out = tmp_path / "events.csv"
    out.write_text("of somebody else")
    assert main(["events", str(small_currents), "--out", str(out), "--force"]) == 0
    assert out.read_text().startswith("sweep,channel,time_s")
    assert [path.name for path in tmp_path.glob("events*.csv")] == ["events.csv"]


def test_every_verb_that_writes_takes_force():
    for name, verb in VERBS.items():
        flags = {flag for one in arguments_of(verb) for flag in one.option_strings}
        if "--out" in flags:
            assert "--force" in flags, name


@pytest.fixture
def small_currents(tmp_path: Path) -> Path:
    import numpy as np

    rng = np.random.default_rng(0)
    path = tmp_path / "currents.npz"
    np.savez(path, signal=rng.normal(0, 2, 20000), sampling_rate=10000.0, unit="pA")
    return path
