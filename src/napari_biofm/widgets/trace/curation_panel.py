"""Regions gone through by key: accept, reject, next."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_biofm.controllers.trace.curating import Curating
from napari_biofm.signals.curation import Verdict
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import note, row

HOW = (
    "A accepts, R rejects and goes to the next region that is not judged; U takes a verdict away, N and P go to the next "
    "and the former region, Ctrl+Z undoes. Image and trace follow."
)


class CurationPanel(QWidget):
    """Buttons for what the keys do, and where one stands.

    Parameters
    ----------
    curating : takes the verdicts.
    """

    def __init__(self, curating: Curating) -> None:
        super().__init__()
        self._curating = curating
        self.message = note(HOW, selectable=True)
        self.state = note()
        verdicts: tuple[tuple[str, Verdict, str], ...] = (
            ("Accept", "accept", "This region is a cell (A)."),
            ("Reject", "reject", "This region is no cell (R)."),
        )
        self.buttons = {
            word: button(name, tip, lambda _=False, w=word: curating.judge(w)) for name, word, tip in verdicts
        }
        former = button("Former", "The region before (P).", lambda: curating.step(-1))
        self.next_button = button("Next", "The next region, judged or not (N).", lambda: curating.step(1))
        undo = button("Undo", "Take the last verdict back (Ctrl+Z).", curating.undo)
        self.save_button = button(
            "Save iscell.npy", "Which regions are cells, as suite2p reads it.", self._ask_where
        )
        layout = QVBoxLayout(self)
        layout.addLayout(row(*self.buttons.values(), former, self.next_button, undo, None))
        layout.addWidget(self.state)
        layout.addWidget(self.message)
        layout.addLayout(row(self.save_button, None))
        layout.addStretch(1)
        curating.said.connect(self.show_state)
        curating.tell()

    def show_state(self, text: str) -> None:
        """Say where one stands."""
        self.state.setText(text)

    def key(self, name: str) -> bool:
        """Do what a key of the dock does here; return whether that is anything while the panel is in front."""
        if not self.isVisible():
            return False
        curating = self._curating
        calls = {
            "A": lambda: curating.judge("accept"),
            "R": lambda: curating.judge("reject"),
            "U": lambda: curating.judge(""),
            "N": lambda: curating.step(1),
            "Space": curating.next,
            "P": lambda: curating.step(-1),
            "Del": lambda: curating.judge("reject"),
            "Ctrl+Z": curating.undo,
        }
        calls[name]()
        return True

    def _ask_where(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Which regions are cells", "iscell.npy", "NumPy (*.npy)")
        if name:
            self._curating.write(Path(name).with_suffix(".npy"))
