"""Boxes for the channel to segment and a second one, by the names that the file gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from magicgui.widgets import ComboBox

from napari_biofm.controllers.segment.channels import NONE, Channels, channel_names, other_layers

SHOWN_CHANNEL = "as shown"


class ChannelBoxes:
    """Two boxes; the first is there only for a layer whose first axis is channels."""

    def __init__(self) -> None:
        self._first: list[tuple[str, Any]] = [(SHOWN_CHANNEL, None)]
        self._second: list[tuple[str, Any]] = [(NONE, None)]
        self.first = ComboBox(
            label="Channel",
            choices=lambda _: [name for name, _ in self._first],
            tooltip="The channel to segment, by the name in its file.",
        )
        self.second = ComboBox(
            label="Second channel",
            choices=lambda _: [name for name, _ in self._second],
            tooltip="One more channel of the same field, e.g. nuclei beside the cells. Channels that hold nothing, noise, or "
            "transmitted light beside fluorescence are best left out.",
        )

    def refresh(self, layer: Any, images: Iterable[Any]) -> None:
        """Offer the channels of a layer, and other layers of its field.

        Parameters
        ----------
        layer : the Image layer that is chosen, or None.
        images : all Image layers.
        """
        names = channel_names(layer)
        numbered = [(f"{k}: {name}", k) for k, name in enumerate(names)]
        self._first = [(SHOWN_CHANNEL, None), *numbered]
        others = [(other.name, other) for other in other_layers(images, layer)]
        self._second = [(NONE, None), *numbered, *others]
        for box, shown in ((self.first, bool(names)), (self.second, len(self._second) > 1)):
            box.reset_choices()
            box.visible = shown

    @property
    def value(self) -> Channels:
        """Which channels are meant."""
        first, second = dict(self._first).get(self.first.value), dict(self._second).get(self.second.value)
        return Channels(first, second)
