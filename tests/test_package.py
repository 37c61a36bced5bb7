"""What napari and the user see of the package before anything runs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import npe2
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = npe2.PluginManifest.from_file(ROOT / "src" / "napari_biofm" / "napari.yaml")
OPEN_MENUS = {
    *(f"napari/file/{name}" for name in ("io_utilities", "acquire", "new_layer")),
    *(
        f"napari/layers/{name}"
        for name in [
            "visualize",
            "annotate",
            "data",
            "metadata",
            "layer_type",
            "filter",
            "transform",
            "measure",
            "register",
            "project",
            "segment",
            "track",
            "classify",
        ]
    ),
}


def test_the_manifest_at_the_root_is_the_one_in_the_package() -> None:
    root = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    package = yaml.safe_load((ROOT / "src" / "napari_biofm" / "napari.yaml").read_text(encoding="utf-8"))
    assert root == package or root == "src/napari_biofm/napari.yaml"  # a checkout without symlinks


def test_npe2_finds_the_installed_manifest() -> None:
    manifest = npe2.PluginManifest.from_distribution("napari-biofm")
    assert manifest.name == "napari-biofm"


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda c: c.id)
def test_every_command_points_at_something_that_exists(
    command: npe2.manifest.contributions.CommandContribution,
) -> None:
    module, name = command.python_name.split(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_every_contribution_names_a_defined_command() -> None:
    contributions = MANIFEST.contributions
    defined = {c.id for c in contributions.commands}
    used = {w.command for w in contributions.widgets}
    used |= {r.command for r in contributions.readers} | {w.command for w in contributions.writers}
    used |= {s.command for s in contributions.sample_data}
    used |= {item.command for items in contributions.menus.values() for item in items}
    assert used <= defined
    assert defined - used == set()


def test_menus_are_among_those_open_to_plugins() -> None:
    assert set(MANIFEST.contributions.menus) <= OPEN_MENUS


@pytest.mark.parametrize("command", [w.command for w in MANIFEST.contributions.widgets])
def test_importing_a_dock_imports_no_torch(command: str) -> None:
    module = next(c.python_name for c in MANIFEST.contributions.commands if c.id == command).split(":")[0]
    code = (
        f"import sys, {module}; heavy = {{'torch', 'cellpose', 'segment_anything', 'anndata', 'sklearn'}}"
        " & set(sys.modules); print(','.join(sorted(heavy)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_the_package_itself_imports_only_the_standard_library() -> None:
    code = "import sys; before = set(sys.modules); import napari_biofm; print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
