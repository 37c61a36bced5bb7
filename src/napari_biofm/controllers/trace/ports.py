"""What the controllers of the Trace dock ask of each other."""

from __future__ import annotations

from typing import Protocol

from napari_biofm.signals import Recording


class Shown(Protocol):
    """Which recording of the session is shown."""

    @property
    def uid(self) -> str | None:
        """Its id, None where none is shown."""

    @property
    def recording(self) -> Recording | None:
        """The recording."""
