"""What the panels beside the plots ask to be measured: filters, quality, single channels."""

from __future__ import annotations

from psygnal import Signal

from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events.features.single_channels import summarize
from napari_biofm.session import Session
from napari_biofm.signals.display import TraceLines
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.signals.quality import report
from napari_biofm.types import BiofmError


class Analyses:
    """Measures the shown recording.

    Parameters
    ----------
    session : that holds it, and to which processed copies are added.
    shown : which recording is meant.
    lines : which channels and sweeps are drawn.
    run : runs what takes longer.
    """

    quality_measured = Signal(object)  # see `signals.quality.report`
    channels_summarised = Signal(object)  # ChannelSummary, or None
    channels_note = Signal(str)
    channels_busy = Signal(bool)
    message = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        *,
        shown: Shown,
        lines: TraceLines,
        run: RunJob,
    ) -> None:
        self._session, self._shown, self._lines, self._run = session, shown, lines, run

    def make_copy(self, settings: FilterSettings) -> None:
        """Add a filtered copy of the shown recording to the session."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None:
            return
        if not settings:
            self.message.emit("Choose a filter or a baseline first: the copy would be the recording itself.")
            return
        try:
            self._session.add_recording(filtered(recording, settings), f"{uid} (filtered)")
        except BiofmError as error:
            self.failed.emit(error)

    def measure(self, channel: int, pulse: int = 0) -> None:
        """Measure the quality of a channel of the shown sweep; `pulse` is the step for access resistance."""
        recording = self._shown.recording
        if recording is not None:
            self._run(
                report, recording, self._lines.sweep, channel, pulse,
                name="Measure quality", lane="interactive", on_done=self.quality_measured.emit,
            )  # fmt: skip

    def summarise_channels(self) -> None:
        """Idealise the topmost channel of the shown sweep and count its dwells."""
        recording, lines = self._shown.recording, self._lines
        if recording is None or not lines.channels:
            self.channels_note.emit("Open a recording first.")
            return
        self.channels_busy.emit(True)
        self._run(
            summarize, recording.sweep(lines.sweep, lines.channels[0]), name="Idealise",
            on_done=self.channels_summarised.emit, on_end=lambda: self.channels_busy.emit(False),
        )  # fmt: skip
