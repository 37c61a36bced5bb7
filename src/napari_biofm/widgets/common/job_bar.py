"""What runs in the two lanes of the engine, how far it is, and a button to stop each."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_biofm.controllers.common.remaining import Remaining
from napari_biofm.engine import Job, JobState, Lane
from napari_biofm.types import Progress
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import as_tip, words
from napari_biofm.widgets.common.qt_parts import timer

SHOW_EVERY_MS = 150  # between two looks of the progress bar
SHOW_AFTER_MS = 200  # most clicks and previews are answered sooner, and are not shown at all
SMALL_BAR = 70  # pixels


class JobRow(QWidget):
    """The jobs of one lane: the one that runs, and how many wait behind it. Hidden while there is none.

    Parameters
    ----------
    small : one line instead of two, shown only for jobs that take longer than a moment.
    changed : called when the row was shown or hidden.
    """

    def __init__(self, small: bool, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed
        self._jobs: list[Job] = []
        self.label = words()
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setTextVisible(not small)
        self.cancel_button = push_button("Cancel", "Stop after the current step. What is finished is kept.")
        self.cancel_button.clicked.connect(self.cancel)
        self._progress: dict[int, Progress] = {}  # the latest of each job
        self._remaining: dict[int, Remaining] = {}
        self._is_fresh = False  # whether there is progress that was not shown yet
        self._ticker = timer(self, SHOW_EVERY_MS, self._tick, repeats=True)
        self._delay = timer(self, SHOW_AFTER_MS if small else 0, self._appear)
        self._lay_out(small)
        self.hide()

    def _lay_out(self, small: bool) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        self.label.setMinimumWidth(1)  # a long text is cut; it does not make the dock wider
        if small:
            self.bar.setFixedWidth(SMALL_BAR)
            row.addWidget(self.label, 1)
            row.addWidget(self.bar)
        else:
            row.addWidget(self.bar, 1)
            self._keep_room()
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        if not small:
            layout.addWidget(self.label)
        layout.addLayout(row)

    def _keep_room(self) -> None:
        """Keep the room while hidden: nothing moves, and the canvas is not drawn anew, when a job begins or ends."""
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)

    @property
    def job(self) -> Job | None:
        """The job that is shown: the one that runs, else the one whose turn is next."""
        running = (job for job in self._jobs if job.state is JobState.RUNNING)
        return next(running, self._jobs[0] if self._jobs else None)

    def track(self, job: Job) -> None:
        """Show `job` until it ends."""
        self._jobs.append(job)
        if self._delay.interval():
            self._delay.start()
        else:
            self._appear()
        self.refresh()

    def progressed(self, job: Job, progress: Progress) -> None:
        """Show one step; steps that follow each other closely are shown at the next tick."""
        self._progress[job.number] = progress
        self._is_fresh = True
        if not self._ticker.isActive():
            self._tick()
            self._ticker.start()

    def finished(self, job: Job) -> None:
        """Show the next job, or hide."""
        if job not in self._jobs:
            return
        self._jobs.remove(job)
        self._progress.pop(job.number, None)
        self._remaining.pop(job.number, None)
        if self._jobs:
            self.refresh()
            return
        self._ticker.stop()
        self._delay.stop()
        self.hide()
        self._changed()

    def cancel(self) -> None:
        """Ask the job that is shown to stop."""
        job = self.job
        if job is not None:
            job.cancel()
            self.refresh()

    def refresh(self) -> None:
        """Say what is shown now."""
        job = self.job
        if job is None:
            return
        # A progress bar repaints at once when set, and with it the whole window and its canvas: set
        # everything first, paint once.
        self.setUpdatesEnabled(False)
        progress = self._progress.get(job.number)
        self.bar.setRange(0, 0 if progress is None else max(progress.total, 1))
        self.bar.setValue(0 if progress is None else progress.done)
        self.label.setText(self._text(job, progress))
        self.label.setToolTip(as_tip(self.label.text()))
        self.cancel_button.setEnabled(not job.cancel_asked)
        self.setUpdatesEnabled(True)

    def _text(self, job: Job, progress: Progress | None) -> str:
        behind = len(self._jobs) - 1
        more = f" (+{behind} waiting)" if behind else ""
        if job.cancel_asked:
            return f"{job.name}: stopping after this step ...{more}"
        if job.state is JobState.WAITING:
            return f"{job.name}: waiting ...{more}"
        if progress is None:
            return f"{job.name} ...{more}"
        left = self._remaining.setdefault(job.number, Remaining()).words(progress)
        return f"{job.name}{f': {progress.message}' if progress.message else ' ...'}{left}{more}"

    def _tick(self) -> None:
        if self._is_fresh:
            self._is_fresh = False
            self.refresh()
        else:
            self._ticker.stop()

    def _appear(self) -> None:
        if self._jobs:
            self._keep_room()
            self.show()
            self._changed()


class JobBar(QWidget):
    """One row per lane. Hidden while nothing runs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bulk = JobRow(small=False, changed=self._rows_changed)
        self.interactive = JobRow(small=True, changed=self._rows_changed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bulk)
        layout.addWidget(self.interactive)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        self.hide()

    def row(self, lane: Lane) -> JobRow:
        """Return the row of a lane."""
        return self.bulk if lane == "bulk" else self.interactive

    def _rows_changed(self) -> None:
        self.setVisible(not (self.bulk.isHidden() and self.interactive.isHidden()))
