"""The forecast from a chosen moment, and surprise as a recording, both computed in the worker."""

from __future__ import annotations

from psygnal import Signal

from napari_biofm.controllers.common.ports import Listen, RunJob
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events.physio_fm.jobs import Ahead, look_ahead, surprise_recording
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.display import TraceLines


class Forecasting:
    """Asks for the forecast of the topmost channel.

    Parameters
    ----------
    session : that surprise is added to.
    shown : the recording that is meant.
    lines : which channels and sweeps are drawn.
    run : runs the network.
    listen : hears the session until the dock is gone.

    Attributes
    ----------
    ahead : the latest forecast, or None.
    """

    ahead_changed = Signal(object)  # Ahead, or None
    note = Signal(str)  # how the forecast met what came, or what to do
    busy = Signal(bool)  # while surprise is computed
    message = Signal(str)

    def __init__(
        self, session: Session, *, shown: Shown, lines: TraceLines, run: RunJob, listen: Listen
    ) -> None:
        self._session, self._shown, self._lines, self._run = session, shown, lines, run
        self.ahead: Ahead | None = None
        self._on, self._horizon = False, 64
        self._moment: tuple[int, float] | None = None
        self._asked = 0
        listen(session.recordings_changed, self._forget)

    def set_options(self, on: bool, horizon: int) -> None:
        """Draw a forecast or none, `horizon` samples long."""
        self._on, self._horizon = on, horizon
        self.update()

    def choose(self, at: float) -> None:
        """Forecast from a place on the time axis."""
        self._moment = self._lines.from_axis(at)
        self.update()

    def update(self) -> None:
        """Ask the worker for the forecast from the chosen moment, or take it away."""
        recording, channels = self._shown.recording, self._lines.channels
        if not self._on:
            self._set(None, "")
        elif recording is None or not channels or self._moment is None:
            self.note.emit("Click a moment of the trace.")
        else:
            sweep, at_s = self._moment
            sample = round(at_s * recording.channels[channels[0]].sampling_rate)
            if not 1 <= sample <= recording.n_samples(sweep, channels[0]):
                self._set(None, "Click inside the sweep: a forecast needs a past.")
                return
            self._asked += 1
            number = self._asked
            self._run(
                look_ahead, recording, sweep, channels[0], at_s, self._horizon,
                name="Forecast", lane="interactive",
                on_done=lambda ahead: self._set(ahead, ahead.text) if number == self._asked else None,
            )  # fmt: skip

    def surprise(self) -> None:
        """Add how unexpected each moment of the topmost channel is as a recording."""
        recording, uid, session = self._shown.recording, self._shown.uid, self._session
        if recording is None or uid is None or not self._lines.channels:
            self.message.emit("Open a recording first.")
            return

        def add(surprise: Recording) -> None:
            session.add_recording(surprise, f"{uid} (surprise)")

        self.busy.emit(True)
        self._run(
            surprise_recording, recording, self._lines.channels[0], name="Surprise", on_done=add,
            on_end=lambda: self.busy.emit(False),
        )  # fmt: skip

    def _set(self, ahead: Ahead | None, text: str) -> None:
        self.ahead = ahead
        self.ahead_changed.emit(ahead)
        self.note.emit(text)

    def _forget(self) -> None:
        """Take the forecast away when another recording is shown."""
        self._moment = self.ahead = None
        self.ahead_changed.emit(None)
