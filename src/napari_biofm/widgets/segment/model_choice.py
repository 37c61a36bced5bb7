"""Choosing a model with open eyes: what it is good for, its licence, its size, and whether it is here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_biofm.images.segment.catalogue import (
    DEFAULT_MODEL,
    capabilities_of,
    capabilities_of_family,
    families,
)
from napari_biofm.models import registry, store
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import note


class ModelChooser(QWidget):
    """Built-in models, registered ones with their licence, and the user's own.

    Emits `download_asked(name)` and `import_asked(path)`; the dock runs the jobs.
    """

    download_asked = Signal(str)
    import_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: list[tuple[str, str]] = []
        self.choice = ComboBox(
            label="Model",
            choices=lambda _: self._choices,  # asked again whenever magicgui resets its widgets
            tooltip="The method that finds the cells. Its licence is shown below.",
        )
        self.about = note()
        self.download_button = push_button(
            "Download", "Fetch the weights; a stopped download goes on where it was."
        )
        self.import_button = push_button(
            "Import weights ...", "Add your own Cellpose 4 or Segment Anything weights, e.g. fine-tuned ones."
        )
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.download_button)
        row.addWidget(self.import_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.about)
        layout.addLayout(row)
        self.choice.changed.connect(self.describe)
        self.download_button.clicked.connect(lambda: self.download_asked.emit(self.value))
        self.import_button.clicked.connect(self.ask_for_file)
        self.refresh(DEFAULT_MODEL)

    @property
    def value(self) -> str:
        """Name of the chosen model."""
        return str(self.choice.value or DEFAULT_MODEL)

    @property
    def is_ready(self) -> bool:
        """Whether the chosen model can run now, without a download."""
        return not self.what_is_missing()

    def refresh(self, chosen: str | None = None) -> None:
        """Look again at what is on disk; keep or set the choice."""
        chosen = chosen or self.value
        choices = [(family.title, name) for name, family in families().items()]
        for entry in registry.entries():
            if capabilities_of(entry.name).segments or entry.unavailable:
                here = "" if store.find(entry.name) else f" ({entry.size / 1e6:.0f} MB to download)"
                here = " (not available)" if entry.obstacle else here
                choices.append((f"{entry.title}{here}", entry.name))
        choices += [(f"{name} (your own)", name) for name in self._own()]
        self._choices = choices
        self.choice.reset_choices()
        if chosen in [name for _, name in choices]:
            self.choice.value = chosen
        self.describe()

    def what_is_missing(self) -> str:
        """Return why the chosen model cannot run now, or an empty text."""
        if self.value in families() or self.value in self._own():
            return ""
        entry = registry.get(self.value)
        if entry.obstacle:
            return entry.obstacle
        if store.find(entry.name) is None:
            return f"Not on this computer: {entry.size / 1e6:.0f} MB to download."
        return ""

    def describe(self) -> None:
        """Show purpose, licence and size of the choice."""
        name = self.value
        self.download_button.hide()
        if name in families():
            self.about.setText(families()[name].good_for)
            return
        own = self._own().get(name)
        if own is not None:
            self.about.setText(about_own(own.about))
            return
        entry = registry.get(name)
        missing = self.what_is_missing()
        memory = f"About {entry.memory / 1e9:.0f} GB of memory."
        self.about.setText(f"Licence: {entry.licence}. {entry.licence_note} {memory} {missing}".strip())
        self.download_button.setText(f"Download {entry.size / 1e6:.0f} MB")
        self.download_button.setVisible(bool(missing) and not entry.obstacle)

    def ask_for_file(self) -> None:
        """Let the user choose a file of weights."""
        file, _ = QFileDialog.getOpenFileName(self, "Import weights")
        if file:
            self.import_asked.emit(str(Path(file)))

    def _own(self) -> dict[str, Any]:
        try:
            own = store.imported_models()
        except BiofmError as error:
            self.about.setText(str(error))
            return {}
        return {
            name: weights for name, weights in own.items() if capabilities_of_family(weights.family).segments
        }


def about_own(about: Mapping[str, Any]) -> str:
    """Return what is known of weights of the user's own, from the report of their training."""
    if "before" not in about:
        return "Your own weights; you know what they are good for and what you may do with them."
    measures = {"ap50": "AP at IoU 0.5", "iou_1_click": "IoU after a click", "iou_box": "IoU for a box"}
    scores = ", ".join(
        f"{title} {about['before'][key]:.2f} before, {about['after'][key]:.2f} after"
        for key, title in measures.items()
        if key in about["before"]
    )
    base = about.get("base", "the model in the package")
    return (
        f"Taught here from {base} with {len(about['learnt_from'])} example(s). On {len(about['held_back'])} held-back: "
        f"{scores}. Licence: that of its base ({about['licence']})."
    )
