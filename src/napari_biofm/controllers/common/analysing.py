"""Behind the panel *Analyse*: which analyses are offered, a run, and what leaves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from psygnal import Signal

from napari_biofm.analyses.description import Analysis, Result, Source, Table, Takes
from napari_biofm.analyses.figure import save_figure
from napari_biofm.analyses.registry import analyses_of, analysis
from napari_biofm.analyses.running import command_of, methods_of, run_analysis
from napari_biofm.analyses.tables import csv_of, read_table
from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.files import write_text
from napari_biofm.signals import Recording
from napari_biofm.types import BiofmError

NO_TABLE = "Make a table by another analysis first, or open one with Table."
LAST = ""  # the table that tables are made of: that of the last result


class Analysing:
    """Runs analyses on what a dock shows.

    Parameters
    ----------
    takes : what the dock can give; tables are always there.
    source : returns what an analysis works on; raises `BiofmError` where it is not there.
    run : runs the job.
    add : puts a recording that an analysis made into the session under a name; None where the dock has no place for it.
    only : names of the analyses that are offered; all that the dock can run if not given.
    missing : what is said where there is no table yet.
    """

    done = Signal(object)  # Result
    busy = Signal(bool)
    table_changed = Signal(str, list)  # what tables are made of now, and the names of its columns
    message = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        takes: tuple[Takes, ...],
        *,
        source: Callable[[Analysis], Source],
        run: RunJob,
        add: Callable[[Recording, str], object] | None = None,
        only: tuple[str, ...] = (),
        missing: str = NO_TABLE,
    ) -> None:
        self._only, self._missing = only, missing
        self._takes: tuple[Takes, ...] = (*takes, "table")
        self._source, self._run, self._add = source, run, add
        self._table = Source()
        self._last: tuple[Analysis, object, Source, Result] | None = None

    @property
    def offered(self) -> list[Analysis]:
        """The analyses that the dock can run, in groups."""
        found = [one for one in analyses_of(self._takes) if not self._only or one.name in self._only]
        groups = list(dict.fromkeys(one.group for one in found))
        return sorted(found, key=lambda one: groups.index(one.group))

    def run(self, name: str, given: Mapping[str, object]) -> None:
        """Run an analysis with values as they stand in the form."""
        try:
            chosen = analysis(name)
            parameters = chosen.made(given)
            source = self._table if "table" in chosen.takes else self._source(chosen)
            if "table" in chosen.takes and not source.table:
                raise BiofmError(self._missing)
        except BiofmError as error:
            self.failed.emit(error)
            return
        self.busy.emit(True)
        self._run(
            run_analysis, name, source, dict(given), name=chosen.title,
            on_done=lambda result: self._finished(chosen, parameters, source, result),
            on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def _finished(self, chosen: Analysis, parameters: object, source: Source, result: Result) -> None:
        self._last = (chosen, parameters, source, result)
        if "table" not in chosen.takes and result.columns:
            self._take_table(Source(f"the table of {chosen.title}", table=result.table))
        for made in result.recordings if self._add is not None else ():
            assert self._add is not None
            self._add(made, f"{source.name} ({chosen.name})")
        self.done.emit(result)

    def use_table(self, name: str, table: Table) -> None:
        """Take a table of the dock, such as its wells, for analyses of tables.

        Parameters
        ----------
        name : of the table.
        table : (n_rows,) arrays by column.
        """
        self._take_table(Source(name, table=table))

    def _take_table(self, source: Source) -> None:
        self._table = source
        self.table_changed.emit(source.name, list(source.the_table))

    def open_table(self, path: Path) -> None:
        """Take a CSV as the table that analyses of tables work on."""
        try:
            self._take_table(Source(path.name, table=read_table(path)))
        except (BiofmError, OSError, UnicodeDecodeError) as error:
            self.failed.emit(error if isinstance(error, BiofmError) else BiofmError(f"{path.name}: {error}"))

    def save(self, path: Path) -> None:
        """Write the table (.csv) or the plots (.svg, .pdf, .png) of the last result."""
        if self._last is None:
            self.message.emit("Run an analysis first.")
            return
        try:
            if path.suffix.lower() == ".csv":
                write_text(path, csv_of(self._last[3].columns))
            else:
                save_figure(path, self._last[3].plots)
        except (BiofmError, OSError) as error:
            self.failed.emit(error)
            return
        self.message.emit(f"Written: {path.name}")

    @property
    def command(self) -> str:
        """The command that does what was run last, "" before."""
        if self._last is None:
            return ""
        chosen, parameters, source, _ = self._last
        if source.recordings:
            files = [one if isinstance(one, Path) else one.path or one.name for one in source.recordings]
        else:
            recording = source.recording
            files = [(recording.path if recording is not None else None) or source.name]
        return command_of(chosen, parameters, files)

    @property
    def methods(self) -> str:
        """What a methods section says of what was run last, "" before."""
        if self._last is None:
            return ""
        chosen, parameters, source, result = self._last
        return result.methods or methods_of(chosen, parameters, result, source.name)
