"""The scores in words, as a table of confusion and as a learning curve."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QHBoxLayout,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.classify.scores import Report
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.qt_parts import there

MOST_ROWS = 8  # of the confusion matrix seen at once


class ScoresPanel(QWidget):
    """Shows a `Report`; its button asks for one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = push_button(
            "Score the labels",
            "Cross-validate on the cells you labelled: whole images, wells or plates are left out where the "
            "table knows them, and the baselines are scored on the same folds.",
        )
        self.words = note("Label a few cells of each class, then press the button.", rich=True)
        self.confusion = QTableWidget()
        self.confusion.setToolTip("Rows: class by hand. Columns: predicted while left out.")
        self.curve: pg.PlotWidget | None = None  # made when there is something to draw
        row = QHBoxLayout()
        row.addWidget(self.button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addWidget(self.confusion, 1)
        column.addStretch(0)
        self._column = column
        scroll = QScrollArea()  # many warnings in a low window: nothing is squeezed
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        layout.addWidget(scroll, 1)
        self.confusion.hide()

    def show_report(self, report: Report) -> None:
        """Show scores."""
        self.words.setText(as_html(report))
        model = report.model
        self.confusion.setRowCount(len(model.classes))
        self.confusion.setColumnCount(len(model.classes) + 1)
        self.confusion.setHorizontalHeaderLabels([*model.classes, "F1"])
        self.confusion.setVerticalHeaderLabels(model.classes)
        for i, row in enumerate(model.confusion):
            for j, count in enumerate([*row, None]):
                item = QTableWidgetItem(f"{model.f1[i]:.2f}" if count is None else str(count))
                if count:
                    share = count / max(sum(row), 1)
                    base = QColor("#009e73" if i == j else "#d55e00")
                    base.setAlphaF(0.15 + 0.6 * share)
                    item.setBackground(base)
                self.confusion.setItem(i, j, item)
        self.confusion.resizeColumnsToContents()
        rows = min(self.confusion.rowCount(), MOST_ROWS)
        self.confusion.setMinimumHeight(
            there(self.confusion.horizontalHeader()).height() + rows * self.confusion.rowHeight(0) + 4
        )
        self.confusion.show()
        self._draw(report.learning_curve)

    def _draw(self, rows: list[dict[str, float]]) -> None:
        """Draw the learning curve, where there is one."""
        if self.curve is None and rows:
            self.curve = pg.PlotWidget()
            self.curve.setBackground(None)  # napari's theme shows through
            self.curve.setLabel("bottom", "labelled cells")
            self.curve.setLabel("left", "macro-F1")
            self.curve.setYRange(0, 1)
            self.curve.setMinimumHeight(130)
            self._column.insertWidget(2, self.curve, 1)
        if self.curve is not None:
            self.curve.clear()
            self.curve.setVisible(bool(rows))
        if self.curve is not None and rows:
            at = np.asarray([[row["n_labels"], row["macro_f1"]] for row in rows])
            self.curve.plot(at[:, 0], at[:, 1], pen=pg.mkPen("#56b4e9", width=1), symbol="o", symbolSize=6)


def as_html(report: Report) -> str:
    """Return the scores in words, warnings first."""
    model = report.model
    lines = [f"<p><b>&#9888; {escape(words)}</b></p>" for words in report.warnings]
    left_out = "whole groups left out" if model.left_out == "groups" else "random cells left out"
    lines.append(
        f"<p><b>macro-F1 {model.macro_f1:.3f}</b> (95 % interval {model.low:.3f} to {model.high:.3f}), "
        f"{model.n_cells} labelled cells, {left_out}, {model.n_folds} folds; right: {model.accuracy:.0%}; "
        f"confidence off by {model.calibration_error:.0%} on average.</p>"
    )
    rows: list[Any] = [f"{escape(name)}: {score.macro_f1:.3f}" for name, score in report.baselines.items()]
    if rows:
        lines.append("<p>Baselines, same folds: " + " · ".join(rows) + "</p>")
    return "".join(lines)
