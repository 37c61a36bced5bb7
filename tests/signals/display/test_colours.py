"""Colours of plots from the two colours of a theme."""

from __future__ import annotations

from napari_biofm.signals.display.colours import Colours


def test_faint_lies_between_background_and_text_and_the_accent_suits_the_background() -> None:
    dark = Colours.of_theme("#000", "#ffffff")
    assert (dark.background, dark.faint, dark.accent) == ("#000000", "#6b6b6b", "#f6c945")
    assert Colours.of_theme("#ffffff", "#000").accent == "#b8860b"
    assert dark.channel(0) == dark.channel(8) != dark.channel(1)
