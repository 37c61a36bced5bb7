"""Rise and decay of the template that a detector of synaptic events lays on the trace, given by hand."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QWidget

from napari_biofm.types import Option

_FIELDS = (("rise_s", "Template: rise"), ("decay_s", "decay"))
_LARGEST_MS = 10_000.0


class TemplateRow(QWidget):
    """Two fields in ms, for detectors that have such options; 0 learns the value from the recording."""

    def __init__(self) -> None:
        super().__init__()
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        self.fields: dict[str, QDoubleSpinBox] = {}
        for name, title in _FIELDS:
            box = QDoubleSpinBox()
            box.setRange(0.0, _LARGEST_MS)
            box.setDecimals(2)
            box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
            box.setSuffix(" ms")
            box.setSpecialValueText("learned")
            box.setToolTip(
                f"Time constant of the {name[:-2]} of the event looked for; 0 learns it from the recording."
            )
            line.addWidget(QLabel(title))
            line.addWidget(box, 1)
            self.fields[name] = box
        self.hide()

    def show_for(self, options: Sequence[Option]) -> None:
        """Show the fields where a detector has both options, else hide and empty them."""
        names = {option.name for option in options}
        wanted = names.issuperset(self.fields)
        self.setVisible(wanted)
        if not wanted:
            for box in self.fields.values():
                box.setValue(0.0)

    def added_to(self, options: str) -> str:
        """Return options as they were typed, with what the fields say; what was typed goes first."""
        typed = {part.partition("=")[0].strip() for part in options.split(",")}
        said = [
            f"{name}={1e-3 * box.value():g}"
            for name, box in self.fields.items()
            if box.value() > 0 and name not in typed
        ]
        return ", ".join([*([options] if options.strip() else []), *said])
