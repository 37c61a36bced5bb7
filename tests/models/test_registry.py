"""The registry knows what a user has to know before downloading."""

import pytest

from napari_biofm.models import registry
from napari_biofm.types import ModelError


def test_every_entry_says_source_size_licence_and_needs():
    for entry in registry.entries():
        assert entry.urls and all(url.startswith("https://") for url in entry.urls)
        assert entry.size > 1e6
        assert entry.licence
        assert len(entry.licence_note) > 20
        assert entry.requires
        assert entry.sha256 is None or len(entry.sha256) == 64


def test_names_are_unique():
    assert len(set(registry.names())) == len(registry.REGISTRY)


def test_cpsam_says_that_its_data_are_partly_non_commercial():
    assert "CC-BY-NC" in registry.get("cpsam_v2").licence_note


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelError, match="cpsam_v2"):
        registry.get("cpsam_v3")


def test_unmet_needs_are_named_before_any_download(monkeypatch):
    entry = registry.get("sam_vit_b")
    assert entry.obstacle == ""
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    assert "segment_anything" in entry.missing and "segment_anything" in entry.obstacle
    with pytest.raises(ModelError, match="Nothing was downloaded"):
        registry.check_needs(entry)


@pytest.mark.parametrize("name", ["cpdino", "cpdino-vitb"])
def test_what_this_version_cannot_run_is_said_whatever_is_installed(name, monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: object())
    entry = registry.get(name)
    assert entry.missing == () and entry.as_dict()["obstacle"].startswith("Not available")
    with pytest.raises(ModelError, match=r"Not available.*Nothing was downloaded"):
        registry.check_needs(entry)
