"""The recipe for conda asks for what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
OTHERWISE = {"torch": "pytorch"}  # name on conda-forge
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def by_name(needs: list[str]) -> dict[str, str]:
    """Return the versions that are asked for, by name as on conda-forge."""
    split = [re.fullmatch(r"([\w.-]+)\s*(.*)", need) for need in needs]
    return {OTHERWISE.get(found[1], found[1]): found[2] for found in split if found is not None}


def test_the_recipe_needs_what_the_package_needs() -> None:
    run = by_name(RECIPE["requirements"]["run"])
    assert run.pop("python") == ">=${{ python_min }}"
    assert run == by_name(PROJECT["dependencies"])


def test_the_recipe_names_program_licences_and_a_checksum() -> None:
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    name, _, function = entry.partition(" = ")
    assert PROJECT["scripts"] == {name: function}
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["license_file"] == PROJECT["license-files"]
    assert all((ROOT / path).is_file() for path in PROJECT["license-files"])
    assert re.fullmatch(r"[0-9a-f]{64}", RECIPE["source"]["sha256"])
