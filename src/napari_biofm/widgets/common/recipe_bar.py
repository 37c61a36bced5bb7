"""*Save recipe* and *Copy as command*, the same two buttons in every dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QWidget

from napari_biofm.batch.draft import Draft
from napari_biofm.controllers.common.ports import TellError
from napari_biofm.types import BatchError, BiofmError
from napari_biofm.widgets.common.buttons import button


class RecipeBar(QWidget):
    """Two buttons that turn what was done into a recipe.

    Parameters
    ----------
    draft : returns what was done.
    tell, tell_error : show what came of it.
    """

    def __init__(
        self, draft: Callable[[], Draft], tell: Callable[[str], None], tell_error: TellError
    ) -> None:
        super().__init__()
        self._draft, self._tell, self._tell_error = draft, tell, tell_error
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.save_button = button(
            "Save recipe ...", "Write what was done here as a file for 'napari-biofm run', on any number of files.",
            self._ask,
        )  # fmt: skip
        self.copy_button = button(
            "Copy as command", "Put what was done here on the clipboard, as a line for a terminal and as Python.",
            self.copy,
        )  # fmt: skip
        layout.addWidget(self.save_button)
        layout.addWidget(self.copy_button)

    def _ask(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save recipe", "recipe.toml", "Recipe (*.toml)")
        if name:
            self.save(Path(name) if name.lower().endswith(".toml") else Path(f"{name}.toml"))

    def save(self, path: Path) -> None:
        """Write the recipe."""
        try:
            draft = self._done()
            draft.save(path)
        except (BiofmError, OSError) as error:
            self._tell_error(error if isinstance(error, BiofmError) else BatchError(str(error)))
            return
        self._tell(" ".join([f"Written: {path.name}.", *draft.notes]))

    def copy(self) -> None:
        """Put the command on the clipboard."""
        clipboard = QApplication.clipboard()
        try:
            text = self._done().both()
        except BiofmError as error:
            self._tell_error(error)
            return
        if clipboard is not None:
            clipboard.setText(text)
        self._tell("The command is on the clipboard.")

    def _done(self) -> Draft:
        draft = self._draft()
        if not draft and draft.notes:
            raise BatchError(f"There is nothing to repeat: {' '.join(draft.notes)}")
        return draft
