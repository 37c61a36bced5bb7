"""The thresholds of the Segment dock."""

from __future__ import annotations

from magicgui.widgets import Container, FloatSlider, FloatSpinBox, PushButton, SpinBox
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
        self.relative_size = FloatSpinBox(
            label="Smallest (share)",
            value=0.05,
            min=0,
            max=1,
            step=0.01,
            tooltip="Objects smaller than this share of the usual one are specks and dropped; 0 keeps them.",
        )
        self.least_contrast = FloatSpinBox(
            label="Least contrast",
            value=8,
            min=0,
            max=1000,
            step=1,
            tooltip="How far an object has to stand above its ground, in units of what the ground varies by over patches of "
            "its size; noise reaches 7. 0 keeps all. Counts when Segment is pressed.",
        )
        self.apply_button = PushButton(
            text="Apply to all", tooltip="Make all masks again with these thresholds. Can be undone."
        )
        self.load_button = PushButton(
            text="Load flows",
            tooltip="Of masks from an earlier session: fetch their flows, from the tiles that were kept on disk.",
        )
        parts: list[Widget] = [
            self.cell_prob,
            self.flow_threshold,
            self.min_size,
            self.relative_size,
            self.least_contrast,
            self.apply_button,
            self.load_button,
        ]
        self.container = Container(widgets=parts, labels=True)
