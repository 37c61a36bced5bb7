"""The thresholds of the Segment dock, and the limits of contrast."""

from __future__ import annotations

from magicgui.widgets import Container, FloatSlider, FloatSpinBox, PushButton, SpinBox
from magicgui.widgets.bases import Widget

from napari_biofm.widgets.common.buttons import enable


class PercentileBoxes:
    """Two percentiles of intensity in a row; `container` holds them.

    The upper one at 0 leaves it to the model.
    """

    def __init__(self) -> None:
        tip = (
            "Percentiles of each channel that become 0 and 1 for the model, e.g. 1 and 99. The right box at auto "
            "leaves it to the model."
        )
        self.low, self.high = (FloatSpinBox(value=0, min=0, max=100, step=0.5, tooltip=tip) for _ in range(2))
        self.low.native.setAccessibleName("Lower percentile")
        self.high.native.setAccessibleName("Upper percentile")
        self.high.native.setSpecialValueText("auto")
        self.container = Container(
            widgets=[self.low, self.high],
            layout="horizontal",
            labels=False,
            label="Normalise (%)",
            tooltip=tip,
        )
        self.container.margins = (0, 0, 0, 0)
        self.high.changed.connect(self._enable)
        self._enable()

    @property
    def value(self) -> tuple[float, float] | None:
        """Lower and upper percentile; None leaves it to the model."""
        return (self.low.value, self.high.value) if self.high.value > 0 else None

    def _enable(self, *_: object) -> None:
        self.low.max = max(0.0, self.high.value - 0.1)
        enable(self.low.native, self.high.value > 0, "Off: give the upper percentile in the box beside it.")


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
