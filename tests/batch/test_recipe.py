"""Recipes: what they say is checked before anything runs, and messages name the nearest right word."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.batch.items import items_of
from napari_biofm.batch.recipe import Recipe, schema
from napari_biofm.types import BatchError, ConditionsError

STEP = '[[step]]\ndo = "measure"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[input", "is no TOML"),
        ('[input]\nimages = ["a.tif"]\n', "no steps"),
        (
            '[input]\nimages = ["a.tif"]\n[[step]]\ndo = "segmnt"\n',
            "no step 'segmnt'; did you mean 'segment'",
        ),
        (
            '[input]\nimages = ["a.tif"]\n[[step]]\ndo = "segment"\ndiametre = 30\n',
            "no parameter 'diametre'; did you mean 'diameter'",
        ),
        ('[input]\nimages = ["a.tif"]\n[[step]]\ndo = "segment"\ndiameter = "big"\n', "give a number"),
        ('[input]\nimages = ["a.tif"]\n[[step]]\ndo = "segment"\ndiameter = -3\n', "at least"),
        ('[input]\nimages = ["a.tif"]\n[[step]]\ndo = "segment"\nmin_size = true\n', "whole number"),
        ('[input]\nimages = ["a.tif"]\n' + STEP, "needs segment before it, or masks"),
        ('[input]\nimgs = ["a.tif"]\n' + STEP, "no entry 'imgs'; did you mean 'images'"),
        ('[input]\nrecordings = ["a.abf"]\n[[step]]\ndo = "segment"\n', "no step works on recordings"),
        (
            '[input]\nrecordings = ["a.abf"]\n[[step]]\ndo = "events"\npreset = "precice"\n',
            "did you mean 'precise'",
        ),
        ('format = 9\n[input]\nimages = ["a.tif"]\n' + STEP, "take a newer version"),
        (
            '[input]\nimages = ["a.tif"]\n[output]\nlabels = "png"\n[[step]]\ndo = "segment"\n',
            "output.labels",
        ),
        ('[input]\nimages = ["a.tif"]\n[[step]]\ndo = "segment"\n[[step]]\ndo = "segment"\n', "twice"),
        ('[input]\nmasks = "m"\nimages = ["a.tif"]\n[[step]]\ndo = "classify"\n', "needs head"),
        ('[input]\nfiles = ["a.tif", "b.tif"]\n' + STEP, "Lists of files go under images"),
        ("step = 3\n[input]\nimages = []\n", "no steps"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BatchError, match=words) as error:
        Recipe.read(write(tmp_path, text))
    assert "recipe.toml" in str(error.value)


def test_a_recipe_reads_back_what_it_writes(tmp_path: Path) -> None:
    text = (
        '[input]\nimages = ["a/*.tif"]\nrecordings = ["x.abf"]\nconditions = "plate.csv"\n[output]\nlabels = "zarr"\n'
        '[[step]]\ndo = "segment"\ndiameter = 30\nchannel = "DAPI \\"1\\""\n[[step]]\ndo = "events"\n'
        'kind = "psc"\noptions = { threshold = 3.5 }\n'
    )
    recipe = Recipe.read(write(tmp_path, text))
    again = Recipe.read(write(tmp_path, recipe.text()))
    assert again == recipe
    assert again.fingerprint("image") == recipe.fingerprint("image")


def test_the_fingerprint_follows_what_decides_results_only(tmp_path: Path) -> None:
    base = '[input]\nimages = ["a.tif"]\nrecordings = ["b.abf"]\n[[step]]\ndo = "segment"\n{0}[[step]]\ndo = "events"\n{1}'
    one, other, third = (
        Recipe.read(write(tmp_path, base.format(*parts)))
        for parts in (("", ""), ("min_size = 20\n", ""), ("", 'kind = "ap"\n'))
    )
    assert one.fingerprint("image") != other.fingerprint("image")
    assert one.fingerprint("recording") == other.fingerprint("recording") != third.fingerprint("recording")
    assert one.fingerprint("image") == third.fingerprint("image")


def test_the_schema_is_json_and_knows_every_step() -> None:
    text = json.dumps(schema())
    for name in ("segment", "measure", "events", "idealize", "traces"):
        assert f'"const": "{name}"' in text


def test_the_published_schema_is_the_one_of_the_program() -> None:
    published = Path(__file__).parents[2] / "docs" / "recipe.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == json.loads(json.dumps(schema())), (
        "napari-biofm run --schema > docs/recipe.schema.json"
    )


def test_items_have_keys_of_their_own_and_what_the_plate_map_says(tmp_path: Path) -> None:
    for name in ("p1/f_B02.tif", "p2/f_B02.tif", "p1/f_b3.png", "p1/f_B02_mask.tif", "p1/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, np.zeros((4, 4), np.uint8))
        else:
            path.write_bytes(b"x")
    (tmp_path / "plate.csv").write_text("well;compound\nB2;aspirin\nB03;caffeine\n", encoding="cp1252")
    recipe = Recipe.read(
        write(
            tmp_path,
            '[input]\nimages = ["p1", "p2/*.tif"]\nconditions = "plate.csv"\n[[step]]\ndo = "segment"\n',
        )
    )
    items = items_of(recipe)
    assert [item.path.name for item in items] == ["f_B02.tif", "f_b3.png", "f_B02.tif"]
    assert len({item.key for item in items}) == 3
    assert [item.columns["compound"] for item in items] == ["aspirin", "caffeine", "aspirin"]


def test_a_plate_map_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "B2.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "plate.csv").write_text("a,b\n1,2\n")
    text = '[input]\nimages = ["*.tif"]\nconditions = "plate.csv"\n[[step]]\ndo = "segment"\n'
    with pytest.raises(ConditionsError, match="no column well"):
        items_of(Recipe.read(write(tmp_path, text)))


@pytest.mark.parametrize("pattern", ["gone.tif", "*.png"])
def test_a_pattern_without_files_is_told(tmp_path: Path, pattern: str) -> None:
    text = f'[input]\nimages = ["{pattern}"]\n[[step]]\ndo = "segment"\n'
    with pytest.raises(BatchError, match="no such file|matches no image"):
        items_of(Recipe.read(write(tmp_path, text)))


def test_a_table_of_files_brings_its_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", signal=np.zeros(9), sampling_rate=10.0, unit="pA")
    (tmp_path / "files.csv").write_text("file,genotype\na.npz,ko\n")
    text = '[input]\nfiles = "files.csv"\n[[step]]\ndo = "events"\n'
    (item,) = items_of(Recipe.read(write(tmp_path, text)))
    assert (item.kind, dict(item.columns)) == ("recording", {"genotype": "ko"})
