"""Exports of the shown recording, and the paragraph that states every setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events.recipe import Recipe
from napari_biofm.events.reviewed import verdicts_of
from napari_biofm.session import Session
from napari_biofm.signals.curation import choose_cells
from napari_biofm.signals.display import TraceLines
from napari_biofm.signals.export import methods, write_events, write_nwb, write_samples
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.signals.nwb_about import NwbAbout, about_of
from napari_biofm.types import BiofmError


class Exports:
    """Writes events, samples, figures and settings of the shown recording.

    Parameters
    ----------
    session : that holds it.
    shown : which recording is meant.
    lines : which channels and sweeps are drawn.
    span : returns the seconds in view.
    filters : returns the filter that is shown.
    save_figure : writes a picture of the plots.
    run : writes what may be long without holding the window.
    """

    methods_written = Signal(str)
    message = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        *,
        shown: Shown,
        lines: TraceLines,
        span: Callable[[], tuple[float, float]],
        filters: Callable[[], FilterSettings],
        save_figure: Callable[[Path], None],
        run: RunJob,
    ) -> None:
        self._session, self._shown, self._lines, self._run = session, shown, lines, run
        self._span, self._filters, self._save_figure = span, filters, save_figure

    @property
    def known_about(self) -> NwbAbout:
        """What the NWB file of the shown recording says of the experiment and the animal."""
        recording = self._shown.recording
        return NwbAbout() if recording is None else about_of(recording)

    def write(self, key: str, path: Path, about: NwbAbout | None = None) -> None:
        """Write one of `export_panel.EXPORTS` to a file; `about` is said in NWB."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None:
            self.message.emit("Open a recording first: there is nothing to export.")
            return
        table, lines = self._session.event_table(uid), self._lines
        try:
            if key.startswith("events"):
                verdicts = verdicts_of(table.events).tolist()
                write_events(path, table.events, verdicts, {"methods": self.methods_text()})
            elif key == "samples":
                start, stop = (at - lines.to_axis(lines.sweep, 0.0) for at in self._span())
                self._in_background(
                    path, write_samples, recording, lines.sweep, list(lines.channels), start, stop
                )
                return
            elif key == "nwb":
                self._in_background(path, write_nwb, recording, table.events, about)
                return
            elif key == "settings":
                Recipe.from_provenance(recording, table.provenance).write(path)
            else:
                self._save_figure(path)
        except (BiofmError, OSError) as error:
            self.failed.emit(error)
            return
        self.message.emit(f"Written: {path.name}{self._rejected(key)}")

    def _rejected(self, key: str) -> str:
        """Return how many rejected cells are in a table of events or in NWB, "" where none is."""
        recording = self._shown.recording
        said = choose_cells(recording, rejected=True).said if recording is not None else ""
        return f". {said}." if said and key.startswith(("events", "nwb")) else ""

    def _in_background(self, path: Path, write: Callable[..., Any], *args: Any) -> None:
        self._run(
            write, path, *args, name=f"Write {path.name}",
            on_done=lambda _: self.message.emit(f"Written: {path.name}{self._rejected(path.suffix[1:])}"),
        )  # fmt: skip

    def methods_text(self) -> str:
        """Return a paragraph that states every setting that was used."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None:
            return ""
        table = self._session.event_table(uid)
        verdicts = verdicts_of(table.events).tolist()
        return methods(recording, self._filters(), table.events, table.provenance, verdicts)

    def write_methods(self) -> None:
        """Say what a methods section may say."""
        self.methods_written.emit(self.methods_text())
