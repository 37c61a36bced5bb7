"""The panel *Analyse*: one form, table and plot for every analysis, made from its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.analyses.description import Analysis, Option, Result
from napari_biofm.controllers.common.analysing import Analysing
from napari_biofm.signals.display.colours import Colours
from napari_biofm.widgets.common.analysis_plots import AnalysisPlots
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import note, row
from napari_biofm.widgets.common.scrolled import Scrolled

MOST_ROWS, MOST_COLUMNS = 1000, 60  # shown; all are saved
Offers = Callable[[], Mapping[str, Sequence[str]]]  # values of a role ("channel", "sweep", "from", "to" ...)


class AnalysePanel(QWidget):
    """Choose an analysis, fill its form, run it, see and save what comes out.

    Parameters
    ----------
    controller : runs it.
    colours : of the plots.
    offers : what the dock can fill in by itself: channels, the shown sweep, times of its cursors.
    """

    def __init__(self, controller: Analysing, colours: Colours | None = None, offers: Offers = dict) -> None:
        super().__init__()
        self._controller, self._offers = controller, offers
        self._columns: list[str] = []
        self._boxes: dict[str, QWidget] = {}
        self._known = {one.name: one for one in controller.offered}
        self.choice = QComboBox()
        self.choice.setToolTip("What is analysed.")
        self.choice.setMaxVisibleItems(40)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(16)  # long names do not make the dock wide
        group = ""
        for one in self._known.values():
            if one.group != group and group:
                self.choice.insertSeparator(self.choice.count())
            group = one.group
            self.choice.addItem(f"{one.group}: {one.title}", one.name)
        self.help = note()
        self.form = QFormLayout()
        self.summary = note(selectable=True)
        self.plots = AnalysisPlots(colours or Colours())
        self.table = QTableWidget()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self._arrange()
        self.choice.currentIndexChanged.connect(lambda _: self._show_form())
        controller.done.connect(self.show_result)
        controller.busy.connect(lambda busy: self.run_button.setDisabled(busy))
        controller.table_changed.connect(self._table_changed)
        self._show_form()

    def _arrange(self) -> None:
        self.run_button = button("Run", "Run the analysis with these values.", lambda: self.run())
        self.cursors_button = button("From cursors", "Take the times of the cursors.", lambda: self.fill())
        table = button(
            "Table...", "Open a CSV for analyses of tables; else they take the last result.", self._open
        )
        values = QWidget()
        values.setLayout(self.form)
        self.views = QTabWidget()
        self.views.addTab(values, "Values")
        self.views.addTab(Scrolled(self.plots), "Plot")
        self.views.addTab(self.table, "Table")
        self.views.setMinimumHeight(220)
        saves = [
            button("Save table", "All rows as CSV, units in the names.", lambda: self._save("csv")),
            button("Save figure", "The plots as SVG or PDF.", lambda: self._save("svg", "pdf", "png")),
            button(
                "Copy as command", "The same on the command line.", lambda: _copy(self._controller.command)
            ),
            button("Copy methods", "For a methods section.", lambda: _copy(self._controller.methods)),
        ]
        layout = QVBoxLayout(self)
        layout.addWidget(self.choice)
        self.choice.setVisible(len(self._known) > 1)
        layout.addWidget(self.help)
        layout.addLayout(row(self.run_button, self.cursors_button, table, stretched=self.run_button))
        layout.addWidget(self.summary)
        layout.addWidget(self.views, 1)
        layout.addLayout(row(saves[0], saves[1]))
        layout.addLayout(row(saves[2], saves[3]))

    # ------------------------------------------------------------------ the form

    @property
    def analysis(self) -> Analysis:
        """The chosen analysis."""
        return self._known[self.choice.currentData()]

    def choose(self, name: str) -> None:
        """Choose an analysis by its name."""
        self.choice.setCurrentIndex(self.choice.findData(name))

    @property
    def values(self) -> dict[str, object]:
        """What stands in the form; empty lines are left out."""
        found: dict[str, object] = {}
        for name, box in self._boxes.items():
            if isinstance(box, QCheckBox):
                found[name] = box.isChecked()
            else:
                text = box.currentText() if isinstance(box, QComboBox) else _line(box).text()
                text = text.partition(": ")[0].strip()  # of "0: IN 0 (pA)" the number
                if text:
                    found[name] = text
        return found

    def set_value(self, name: str, value: object) -> None:
        """Put a value into the form."""
        box = self._boxes[name]
        if isinstance(box, QCheckBox):
            box.setChecked(bool(value))
        elif isinstance(box, QComboBox):
            box.setCurrentText(str(value))
        else:
            _line(box).setText(str(value))

    def _show_form(self) -> None:
        while self.form.rowCount():
            self.form.removeRow(0)
        self.help.setText(self.analysis.help)
        self.views.setCurrentIndex(0)
        self._boxes = {one.name: self._box(one) for one in self.analysis.options}
        for one in self.analysis.options:
            self.form.addRow(one.label, self._with_files(one))
        roles = {one.role for one in self.analysis.options}
        self.cursors_button.setVisible(bool(roles & {"from", "to"}))
        self.fill()

    def _with_files(self, one: Option) -> QWidget:
        """Return the box of a parameter, with buttons where it may name a file or a folder."""
        box, whole = self._boxes[one.name], QWidget()
        if one.role not in ("file", "vectors"):
            return box
        asks = [button("File ...", f"Choose a file. {one.help}", lambda: self._ask(one, False))]
        if one.role == "vectors":
            asks.append(button("Folder ...", f"Choose a folder. {one.help}", lambda: self._ask(one, True)))
        layout = row(box, *asks, stretched=box)
        layout.setContentsMargins(0, 0, 0, 0)
        whole.setLayout(layout)
        return whole

    def _ask(self, one: Option, folder: bool) -> None:
        name = (
            QFileDialog.getExistingDirectory(self, one.label)
            if folder
            else QFileDialog.getOpenFileName(self, one.label)[0]
        )
        if name:
            self.set_value(one.name, name)

    def _box(self, one: Option) -> QWidget:
        offered = [*one.choices] or self._columns if one.role == "column" else [*one.choices]
        offered = offered or list(self._offers().get(one.role, ())) * (
            one.role in ("channel", "class", "vectors")
        )
        default = "" if one.default is None else str(one.default)
        if one.kind is bool:
            box: QWidget = QCheckBox()
            box.setChecked(bool(one.default))  # type: ignore[attr-defined] # a check box
        elif offered or one.role in ("column", "channel"):
            box = QComboBox()
            box.setEditable(not one.choices)
            box.addItems(offered if default in offered or one.choices else [default, *offered])
            box.setCurrentText(default)
            if one.role == "vectors":  # a path does not make the dock wide
                box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
                box.setMinimumContentsLength(8)
        else:
            box = QLineEdit(default)
            box.setPlaceholderText("not given" if one.optional else "")
        box.setToolTip(one.hint)
        return box

    def fill(self) -> None:
        """Put the shown sweeps there, and the times of both pairs of cursors, those of the baseline into its pair.

        Of one pair of cursors the times go into the first empty pair, else into the last.
        """
        offers, options = self._offers(), self.analysis.options
        for role in ("sweep", "sweeps"):
            for one, value in zip([o for o in options if o.role == role], offers.get(role, ()), strict=False):
                self.set_value(one.name, value)
        pairs = list(
            zip(*([o.name for o in options if o.role == role] for role in ("from", "to")), strict=True)
        )
        spans = list(zip(offers.get("from", ()), offers.get("to", ()), strict=True))
        if len(spans) == 1:
            pairs = pairs and [next((p for p in pairs if not set(p) & set(self.values)), pairs[-1])]
        for pair in pairs if spans else ():
            times = spans[-1] if pair[0].startswith("baseline") else spans[0]
            for name, text in zip(pair, times, strict=True):
                self.set_value(name, text)

    def refresh(self) -> None:
        """Offer the channels of another recording, or the columns of another table; what was typed stays."""
        kept = self.values
        self._show_form()
        for key, value in kept.items():
            self.set_value(key, value)

    def _table_changed(self, name: str, columns: list[str]) -> None:
        self._columns = columns
        if "table" in self.analysis.takes:
            self.refresh()
            self.summary.setText(f"Works on {name}.")

    # ------------------------------------------------------------------ running and showing

    def run(self) -> None:
        """Run the analysis with what stands in the form."""
        self._controller.run(self.analysis.name, self.values)

    def show_result(self, result: Result) -> None:
        """Show summary, plots and table."""
        self.summary.setText("\n".join(text for text in (result.summary, *result.notes) if text))
        self.plots.show_plots(result.plots)
        shown = min(result.n_rows, MOST_ROWS)
        self.table.clear()
        self.table.setRowCount(shown)
        columns = result.columns[:MOST_COLUMNS]
        self.table.setColumnCount(len(columns))
        self.table.setHorizontalHeaderLabels([one.header for one in columns])
        for j, column in enumerate(columns):
            there = self.table.horizontalHeaderItem(j)
            if there is not None:
                there.setToolTip(column.meaning)
            for i, value in enumerate(column.values[:shown].tolist()):
                text = f"{value:.6g}" if isinstance(value, float) else str(value)
                self.table.setItem(i, j, QTableWidgetItem("" if text == "nan" else text))
        self.views.setCurrentIndex(1 if result.plots else 2)

    def _open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Table", "", "CSV (*.csv)")
        if name:
            self._controller.open_table(Path(name))

    def _save(self, *endings: str) -> None:
        kinds = ";;".join(f"{ending.upper()} (*.{ending})" for ending in endings)
        name, _ = QFileDialog.getSaveFileName(self, "Save", "", kinds)
        if name:
            path = Path(name)
            right = path.suffix.lower()[1:] in endings
            self._controller.save(path if right else path.with_name(f"{path.name}.{endings[0]}"))


def _line(box: QWidget) -> QLineEdit:
    assert isinstance(box, QLineEdit)
    return box


def _copy(text: str) -> None:
    clipboard = QApplication.clipboard()
    if text and clipboard is not None:
        clipboard.setText(text)
