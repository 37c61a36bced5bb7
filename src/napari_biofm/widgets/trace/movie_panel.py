"""Movie and masks of the viewer -> traces of cells: the form."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_biofm.signals.calcium import TraceSettings
from napari_biofm.signals.calcium.settings import BadFrames, MovieValues, Neuropil
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, form, note, number, row

BAD_FRAMES: dict[str, BadFrames] = {"gaps": "exclude", "bridged": "bridge", "kept": "keep"}
VALUES: dict[str, MovieValues] = {"found out": "auto", "fluorescence": "fluorescence", "dF/F": "dff"}
SHARES: dict[str, Neuropil] = {"found out": "auto", "same for all": "factor", "read from each": "regression"}
_NO_DARK = -1e6  # shown as a word: nothing was typed
EMPTY = "Open a movie (T, Y, X) and segment its cells: then their traces can be made here."


class MoviePanel(QWidget):
    """A form for `TraceSettings` and the layers they apply to."""

    asked = Signal(
        str, str, str, object, object
    )  # ids of movie and masks, name of the movie, frame rate where it was typed, settings

    motion_asked = Signal(str, str, str)  # id and name of the movie, how it moves

    def __init__(self) -> None:
        super().__init__()
        self.movie = choice((), "Image layer with a time axis: (T, Y, X).")
        self.masks = choice((), "Labels layer with one value per cell, on one frame: (Y, X).")
        self.rate = number(0, 0, 1e5, "Frames per second of the movie.", suffix=" Hz", lowest="?")
        self.factor = number(0.7, 0, 1, "Share of the neuropil around a cell that is subtracted from it.")
        self.shares = choice(
            SHARES,
            "The same share for all cells, or the one that is read from each cell by regression on the neuropil, over "
            "frames without the cell's own activity; found out: read where cells clearly hold another share.",
        )
        self.factor.valueChanged.connect(self._factor_typed)
        self.percentile = number(
            8, 0, 50, "Percentile of the running window that is taken for F0.", suffix=" %"
        )
        self.window_s = number(30, 0.1, 1e4, "Length of the running window for F0.", suffix=" s")
        self.bleaching = QCheckBox("Correct bleaching")
        self.bleaching.setToolTip(
            "Divide z-scores by the fitted exponential decay of the whole field; dF/F follows it anyway."
        )
        self.bad = choice(
            BAD_FRAMES,
            "Black, saturated and torn frames and those without numbers: gaps in the traces, straight lines over "
            "gaps of up to a second, or as they are.",
        )
        self.dark = number(
            _NO_DARK, _NO_DARK, 1e6, "What a pixel without light reads: from the file's header, else from its noise, "
            "or typed.", lowest="found", decimals=1,
        )  # fmt: skip
        self.values = choice(VALUES, "What the pixels of the movie are; dF/F is measured as it is.")
        self.message = note(EMPTY)
        self.go = button(
            "Make traces", "Measure every cell in every frame; the movie is read in pieces.", self._ask
        )
        self.mode = choice(
            ("rigid", "piecewise"), "Frames move as a whole, or in overlapping blocks of 96 pixels."
        )
        self.motion = button(
            "Correct motion",
            "Measure how each frame has moved, and add the corrected movie as a layer.",
            self._ask_motion,
        )
        boxes = (
            ("Movie", self.movie), ("Cells", self.masks), ("Frame rate", self.rate),
            ("Neuropil", self.factor), ("Share is", self.shares), ("Percentile", self.percentile), ("Window", self.window_s),
            ("Bad frames", self.bad), ("Dark level", self.dark), ("Pixels are", self.values),
        )  # fmt: skip
        self._rates: dict[str, float | None] = {}
        self._typed: dict[str, float] = {}
        self.rate.valueChanged.connect(self._rate_typed)
        self.movie.currentIndexChanged.connect(lambda _: self._show_rate())
        layout = QVBoxLayout(self)
        layout.addLayout(form(boxes))
        layout.addLayout(row(self.motion, self.mode, None))
        for widget in (self.bleaching, self.go, self.message):
            layout.addWidget(widget)
        layout.addStretch(1)

    @property
    def settings(self) -> TraceSettings:
        """What the form says."""
        return TraceSettings(
            neuropil_factor=self.factor.value(),
            percentile=self.percentile.value(),
            window=self.window_s.value(),
            correct_bleaching=self.bleaching.isChecked(),
            bad_frames=BAD_FRAMES[self.bad.currentText()],
            dark_level=None if self.dark.value() <= _NO_DARK else self.dark.value(),
            values=VALUES[self.values.currentText()],
            neuropil=SHARES[self.shares.currentText()],
        )

    def _factor_typed(self, _: float) -> None:
        """Take a factor that was typed for all cells."""
        if SHARES[self.shares.currentText()] == "auto":
            self.shares.setCurrentText("same for all")

    def offer(
        self,
        movies: list[tuple[str, str]],
        masks: list[tuple[str, str]],
        movie: str | None,
        mask: str | None,
        rates: dict[str, float | None],
    ) -> None:
        """Offer movies and masks, names and ids.

        Parameters
        ----------
        movie, mask : ids of those in play, which are chosen; None keeps the choice.
        rates : Hz by id of the movie, None where neither clock nor file says it.
        """
        self._rates = rates
        for box, layers, wanted in ((self.movie, movies, movie), (self.masks, masks, mask)):
            now = wanted or box.currentData()
            box.clear()
            for name, uid in layers:
                box.addItem(name, uid)
            if now is not None and box.findData(now) >= 0:
                box.setCurrentIndex(box.findData(now))
        self._show_rate()
        ready = bool(movies and masks)
        self.go.setEnabled(ready)
        self.motion.setEnabled(bool(movies))
        if not ready or self.message.text() == EMPTY:
            self.message.setText("" if ready else EMPTY)

    def show_message(self, text: str) -> None:
        """Say what was measured, or what is missing."""
        self.message.setText(text)

    def set_busy(self, busy: bool) -> None:
        """Ask for one at a time."""
        self.go.setEnabled(not busy)
        self.motion.setEnabled(not busy)

    def _ask_motion(self) -> None:
        self.motion_asked.emit(self.movie.currentData(), self.movie.currentText(), self.mode.currentText())

    def _show_rate(self) -> None:
        """Show the rate of the chosen movie: the one that was typed for it, else the one that is known."""
        uid = self.movie.currentData()
        self.rate.blockSignals(True)
        self.rate.setValue(self._typed.get(uid) or self._rates.get(uid) or 0.0)
        self.rate.blockSignals(False)

    def _rate_typed(self, rate: float) -> None:
        self._typed[self.movie.currentData()] = rate

    def _ask(self) -> None:
        if self.rate.value() <= 0:
            self.message.setText("Type the frame rate of the movie first: it is never guessed.")
            self.rate.setFocus()
            return
        uid = self.movie.currentData()
        self.asked.emit(
            uid,
            self.masks.currentData(),
            self.movie.currentText(),
            self._typed.get(uid) or None,
            self.settings,
        )
