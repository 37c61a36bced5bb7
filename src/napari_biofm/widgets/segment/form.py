"""The thresholds of the Segment dock."""

from __future__ import annotations

from magicgui.widgets import Container, FloatSlider, PushButton, SpinBox
from magicgui.widgets.bases import Widget


class ThresholdForm:
    """Sliders that make masks again from flows that were kept; `container` holds them."""

    def __init__(self) -> None:
        self.cell_prob = FloatSlider(
            label="Cell probability",
            value=0,
            min=-6,
            max=6,
            step=0.25,
            tooltip="Logit above which a pixel belongs to a cell: lower finds more and larger cells.",
        )
        self.flow_threshold = FloatSlider(
            label="Flow error",
            value=0.4,
            min=0,
            max=3,
            step=0.05,
            tooltip="Largest flow error a mask may have: lower drops odd shapes; 0 keeps all.",
        )
        self.min_size = SpinBox(
            label="Smallest (px)",
            value=15,
            min=0,
            max=100_000,
            tooltip="Objects with fewer pixels are dropped.",
        )
        self.apply_button = PushButton(
            text="Apply to all", tooltip="Make all masks again with these thresholds. Can be undone."
        )
        self.apply_button.enabled = False
        self.load_button = PushButton(
            text="Load flows",
            tooltip="Of masks from an earlier session: fetch their flows, from the tiles that were kept on disk.",
        )
        self.load_button.enabled = False
        parts: list[Widget] = [
            self.cell_prob,
            self.flow_threshold,
            self.min_size,
            self.apply_button,
            self.load_button,
        ]
        self.container = Container(widgets=parts, labels=True)
