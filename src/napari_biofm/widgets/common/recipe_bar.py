"""*Save recipe* and *Copy as command*, the same two buttons in every dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QWidget

from napari_biofm.batch.draft import Draft
from napari_biofm.controllers.common.ports import TellError
from napari_biofm.controllers.common.recipe_keeping import RecipeKeeping
from napari_biofm.widgets.common.buttons import button


class RecipeBar(QWidget):
    """Two buttons that turn what was done into a recipe; see `RecipeKeeping`."""

    def __init__(
        self, draft: Callable[[], Draft], tell: Callable[[str], None], tell_error: TellError
    ) -> None:
        super().__init__()
        keeping = RecipeKeeping(draft, _copy, tell, tell_error)
        self.save, self.copy = keeping.save, keeping.copy
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        tip = "Write what was done here as a file for 'napari-biofm run', on any number of files."
        layout.addWidget(button("Save recipe ...", tip, self._ask))
        tip = "Put what was done here on the clipboard, as a line for a terminal and as Python."
        layout.addWidget(button("Copy as command", tip, lambda: self.copy()))

    def _ask(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save recipe", "recipe.toml", "Recipe (*.toml)")
        if name:
            self.save(Path(name))


def _copy(text: str) -> None:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
