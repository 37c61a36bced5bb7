"""Find events, look through them, judge and correct them."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import QGridLayout, QLineEdit, QVBoxLayout, QWidget

from napari_biofm.events import DEFAULT_DETECTOR, DETECTORS, kinds, make_detector
from napari_biofm.events.listing import NO_EVENTS, describe_events
from napari_biofm.events.options import option_lines
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.types import EVENT_CLASSES, Events
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import as_tip, choice, note, row
from napari_biofm.widgets.trace.event_table import EventTable
from napari_biofm.widgets.trace.template_row import TemplateRow

KINDS = {"Auto": "auto", **{spec.title: spec.name for spec in kinds.KINDS.values()}}
PRESETS = {"Balanced": "balanced", "Precise (95 %)": "precise"}
NONSTOP_MS = 900


class EventsPanel(QWidget):
    """Form and table of events; changes nothing itself."""

    detect = Signal(str, str, str, str)  # detector, kind, preset, options as they were typed
    assess = Signal(str, str, str, str)  # the same, to be tried with hidden events
    judge = Signal(list, str)
    delete = Signal(list)
    reclass = Signal(list, str)
    undo = Signal()
    redo = Signal()
    picked = Signal(list)
    keep_answered = Signal(object)  # True, False, or None for neither

    def __init__(self) -> None:
        super().__init__()
        self.detector = choice(DETECTORS, "The method that looks for events.")
        self.detector.setCurrentText(DEFAULT_DETECTOR)
        self.kind = choice(KINDS, "What kind of events the recording holds.")
        self.preset = choice(
            PRESETS, "Balanced finds the most at few errors; precise keeps those that are 95 % sure."
        )
        self.options = QLineEdit()
        self.options.setPlaceholderText("Options, for example sigma=4")
        self.options.setToolTip("Numbers of the detector, NAME=NUMBER with commas between them.")
        self.options.returnPressed.connect(self._ask)
        self.detector.currentTextChanged.connect(self._list_options)
        self.template = TemplateRow()
        self.detect_button = button(
            "Detect", "Look for events in all sweeps of the shown channels.", self._ask
        )
        self.assess_button = button(
            "How good?", "Hide known events in this recording and look for them: recall, limits, false events.",
            self._ask_how_good,
        )  # fmt: skip
        self.quality = note("", selectable=True)
        self.quality.hide()
        self.table = EventTable()
        self.table.picked.connect(self.picked)
        self.which_class = choice(["All classes"], "Show these events only.")
        self.which_verdict = choice(
            ["All verdicts", "not reviewed", "accept", "unclear", "reject"], "Show these events only."
        )
        for box in (self.which_class, self.which_verdict):
            box.currentTextChanged.connect(self._filter)
        self.counts = note(NO_EVENTS)
        self.new_class = choice(
            EVENT_CLASSES, "Class of events added by double-click, and what Set class gives the selected."
        )
        self.nonstop = button(
            "Nonstop", "Step through the events by itself; press a verdict key to judge the shown one.",
            self._nonstop, checkable=True,
        )  # fmt: skip
        self.taught = note()
        self.taught.hide()
        self.keep_text = note()
        self.keep_bar = QWidget()
        self.keep_buttons = [
            button(text, tip, partial(self._answer, answer))
            for text, tip, answer in (
                ("Keep", "Detect again; verdicts go to the events they belong to, yours stay.", True),
                ("Discard", "Detect again and forget them. Can be undone.", False),
                ("Cancel", "Leave the table as it is.", None),
            )
        ]
        inside = QVBoxLayout(self.keep_bar)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.keep_text)
        inside.addLayout(row(*self.keep_buttons))
        self.keep_bar.hide()
        self._timer = QTimer(self)
        self._timer.setInterval(NONSTOP_MS)
        self._timer.timeout.connect(lambda: self.table.step(1))
        self._arrange()

    def _arrange(self) -> None:
        form = QGridLayout()
        form.addWidget(self.detector, 0, 0)
        form.addWidget(self.detect_button, 0, 1)
        form.addWidget(self.kind, 1, 0)
        form.addWidget(self.preset, 1, 1)
        form.addWidget(self.options, 2, 0)
        form.addWidget(self.assess_button, 2, 1)
        form.addWidget(self.template, 3, 0, 1, 2)
        form.setColumnStretch(0, 1)
        table = self.table
        verdicts = [
            button(text, tip, partial(self._judge, word))
            for text, tip, word in (
                ("Accept", "The event is real (key A).", "accept"),
                ("Unclear", "Nobody can tell (key U).", "unclear"),
                ("Reject", "The event is none (key R).", "reject"),
            )
        ]
        before = button("<", "The event before (key P).", lambda: table.step(-1))
        after = button(">", "The next event (key N or space).", lambda: table.step(1))
        set_class = button("Set class", "Give the selected events this class.", self._set_class)
        delete = button("Delete", "Delete the selected events (key Del).", self.delete_selected)
        self.undo_button = button("Undo", "Take the last edit back (Ctrl+Z).", lambda: self.undo.emit())
        self.redo_button = button(
            "Redo", "Do again what was undone (Ctrl+Shift+Z).", lambda: self.redo.emit()
        )
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.taught)
        layout.addWidget(self.keep_bar)
        layout.addWidget(self.counts)
        layout.addWidget(self.quality)
        layout.addLayout(row(self.which_class, self.which_verdict))
        layout.addWidget(table, 1)
        layout.addLayout(row(*verdicts, before, after, self.nonstop))
        layout.addLayout(row(self.new_class, set_class, delete, self.undo_button, self.redo_button))

    def ask_keep(self, text: str) -> None:
        """Ask whether what a person said of the events stays."""
        self.keep_text.setText(text)
        self.keep_bar.show()

    def _answer(self, keep: bool | None, *_: Any) -> None:
        self.keep_bar.hide()
        self.keep_answered.emit(keep)

    def set_events(self, events: Events, searched: bool = False) -> None:
        """Show another table, and whether a detector looked for it."""
        self.table.set_events(events)
        classes = sorted(set(events["class"].tolist()))
        now = self.which_class.currentText()
        with QSignalBlocker(self.which_class):
            self.which_class.clear()
            self.which_class.addItems(["All classes", *classes])
            self.which_class.setCurrentText(now if now in classes else "All classes")
        self._filter()
        self.counts.setText(describe_events(events, searched))

    @property
    def chosen_preset(self) -> str:
        """How sure to be."""
        return PRESETS[self.preset.currentText()]

    def show_head(self, head: AdaptedHead | None) -> None:
        """Say that physio-FM looks for what was taught; None is the stock model."""
        self.taught.setVisible(head is not None)
        if head is not None:
            self.taught.setText(f"physio-fm looks for what you taught it: {', '.join(head.classes)}.")

    def set_history(self, undo: str, can_redo: bool) -> None:
        """Say what undo would take back."""
        self.undo_button.setEnabled(bool(undo))
        self.undo_button.setToolTip(
            as_tip(f"Take back: {undo} (Ctrl+Z)." if undo else "Nothing to take back.")
        )
        self.redo_button.setEnabled(can_redo)

    def set_busy(self, busy: bool) -> None:
        """Look for events once at a time."""
        self.detect_button.setEnabled(not busy)
        self.assess_button.setEnabled(not busy)

    def show_quality(self, words: str) -> None:
        """Say how good detection is on the shown recording; without words nothing is shown."""
        self.quality.setVisible(bool(words))
        self.quality.setText(words)

    def judge_selected(self, verdict: str) -> None:
        """Judge the selected events and go on to the next."""
        rows = self.table.selected()
        if not rows:
            return
        self.judge.emit(rows, verdict)
        if len(rows) == 1 and not self._timer.isActive():
            self.table.step(1)

    def delete_selected(self) -> None:
        """Ask for the selected events to be deleted."""
        self.delete.emit(self.table.selected())

    def _judge(self, verdict: str, *_: Any) -> None:
        self.judge_selected(verdict)

    def _set_class(self) -> None:
        self.reclass.emit(self.table.selected(), self.new_class.currentText())

    def _filter(self, *_: Any) -> None:
        name, verdict = self.which_class.currentText(), self.which_verdict.currentText()
        rows = self.table.selected()
        self.table.events_model.set_filter(
            None if name in ("", "All classes") else name,
            {"All verdicts": None, "not reviewed": ""}.get(verdict, verdict),
        )
        self.table.select_rows(rows, emit=False)

    def _ask(self) -> None:
        self.detect.emit(*self._chosen())

    def _ask_how_good(self) -> None:
        self.assess.emit(*self._chosen())

    def _chosen(self) -> tuple[str, str, str, str]:
        """Return detector, kind, preset and options."""
        kind = KINDS[self.kind.currentText()]
        return (
            self.detector.currentText(),
            kind,
            self.chosen_preset,
            self.template.added_to(self.options.text()),
        )

    def _list_options(self, detector: str) -> None:
        """Say under the pointer which options a detector has; those of another detector are not kept."""
        declared = make_detector(detector).options
        lines = option_lines(declared)
        self.template.show_for(declared)
        self.options.clear()
        self.options.setEnabled(bool(lines))
        self.options.setToolTip("\n".join(lines) or f"The detector {detector} has no options.")

    def _nonstop(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()
