"""Exports of the shown recording, and the paragraph that states every setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_biofm.events.recipe import Recipe
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.signals.export import methods, write_events, write_nwb, write_samples
from napari_biofm.types import BiofmError
from napari_biofm.widgets.trace.export_panel import ENDINGS, save_figure

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock


class Exports:
    """Writes what the dock's export panel asks for.

    Parameters
    ----------
    dock : whose panel is served.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        dock.export_panel.asked.connect(self._ask)
        dock.export_panel.refresh.connect(self._write_methods)

    def _ask(self, key: str) -> None:
        dock = self._dock
        if dock.recording is None:
            dock.tell("Open a recording first: there is nothing to export.")
            return
        name, _ = QFileDialog.getSaveFileName(dock, "Export", "", ENDINGS[key])
        if name:
            ending = f".{ENDINGS[key].rpartition('*.')[2].rstrip(')')}"
            path = Path(name)
            self.write(key, path if path.suffix.lower() == ending else path.with_name(path.name + ending))

    def write(self, key: str, path: Path) -> None:
        """Write one of `ENDINGS` to a file."""
        dock, plots = self._dock, self._dock.plots
        recording = dock.recording
        if recording is None or dock.uid is None:
            return
        editor = EventEditor(dock.session, dock.uid)
        try:
            if key.startswith("events"):
                write_events(path, editor.events, editor.review, {"methods": self.methods_text()})
            elif key == "samples":
                start, stop = plots.span()
                shift = plots.to_axis(plots.sweep, 0.0)
                span = (plots.sweep, list(plots.channels), start - shift, stop - shift)
                self._in_background(path, write_samples, recording, *span)
                return
            elif key == "nwb":
                self._in_background(path, write_nwb, recording, editor.events)
                return
            elif key == "settings":
                Recipe.from_provenance(recording, editor.table.provenance).write(path)
            else:
                save_figure(plots, path)
        except (BiofmError, OSError) as error:
            dock.tell_error(error)
            return
        dock.tell(f"Written: {path.name}")

    def _in_background(self, path: Path, write: Callable[..., Any], *args: Any) -> None:
        """Write what may be long without holding the window."""
        self._dock.run(
            write, path, *args, name=f"Write {path.name}",
            on_done=lambda _: self._dock.tell(f"Written: {path.name}"),
        )  # fmt: skip

    def methods_text(self) -> str:
        """Return a paragraph that states every setting that was used."""
        dock = self._dock
        if dock.recording is None or dock.uid is None:
            return ""
        editor = EventEditor(dock.session, dock.uid)
        return methods(
            dock.recording, dock.filters_panel.shown, editor.events, editor.table.provenance, editor.review
        )

    def _write_methods(self) -> None:
        self._dock.export_panel.methods.setPlainText(self.methods_text())
