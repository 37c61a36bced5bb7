"""What *Save recipe* and *Copy as command* do, without Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_biofm.batch.draft import Draft
from napari_biofm.controllers.common.ports import TellError
from napari_biofm.types import BatchError, BiofmError


class RecipeKeeping:
    """Turns what was done into a recipe.

    Parameters
    ----------
    draft : returns what was done.
    copy : puts text on the clipboard.
    tell, tell_error : show what came of it.
    """

    def __init__(
        self,
        draft: Callable[[], Draft],
        copy: Callable[[str], None],
        tell: Callable[[str], None],
        tell_error: TellError,
    ) -> None:
        self._draft, self._copy, self._tell, self._tell_error = draft, copy, tell, tell_error

    def save(self, path: Path) -> None:
        """Write the recipe; its name ends in .toml."""
        target = path if path.suffix.lower() == ".toml" else path.with_name(f"{path.name}.toml")
        try:
            draft = self._done()
            draft.save(target)
        except (BiofmError, OSError) as error:
            self._tell_error(error if isinstance(error, BiofmError) else BatchError(str(error)))
            return
        self._tell(" ".join([f"Written: {target.name}.", *draft.notes]))

    def copy(self) -> None:
        """Put the command on the clipboard."""
        try:
            text = self._done().both()
        except BiofmError as error:
            self._tell_error(error)
            return
        self._copy(text)
        self._tell("The command is on the clipboard.")

    def _done(self) -> Draft:
        draft = self._draft()
        if not draft and draft.notes:
            raise BatchError(f"There is nothing to repeat: {' '.join(draft.notes)}")
        return draft
