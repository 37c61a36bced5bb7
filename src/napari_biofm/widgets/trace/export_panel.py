"""What leaves the dock: events, samples, figure, NWB, and the methods paragraph."""

from __future__ import annotations

from pathlib import Path

import pyqtgraph.exporters as exporters
from qtpy.QtCore import QRect, Signal
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QApplication, QFileDialog, QGridLayout, QPlainTextEdit, QVBoxLayout, QWidget

from napari_biofm.files import atomic_write
from napari_biofm.signals import Recording
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.trace.plots import TracePlots

ENDINGS = {
    "events_csv": "CSV (*.csv)",
    "events_parquet": "Parquet (*.parquet)",
    "samples": "CSV (*.csv)",
    "nwb": "NWB (*.nwb)",
    "png": "PNG (*.png)",
    "svg": "SVG (*.svg)",
    "settings": "JSON (*.json)",
}
_BUTTONS = (
    ("Events as CSV", "events_csv", "All events with their verdicts, units in their own column."),
    ("Events as Parquet", "events_parquet", "The same for Python and R, with the settings inside."),
    (
        "Samples in view as CSV",
        "samples",
        "The recorded samples of the shown channels and seconds, unfiltered.",
    ),
    ("All as NWB", "nwb", "The whole recording and its events in SI units."),
    ("Figure as PNG", "png", "What is seen, at twice the screen's resolution."),
    ("Figure as SVG", "svg", "What is seen, as lines for a paper."),
    (
        "Settings as JSON",
        "settings",
        "Detector, kind, preset and filters, for `napari-biofm events FILES --settings JSON`.",
    ),
)


class ExportPanel(QWidget):
    """Buttons that ask for an export, and the methods paragraph."""

    asked = Signal(str, object)  # key of ENDINGS, Path
    refresh = Signal()

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout()
        for i, (text, key, tip) in enumerate(_BUTTONS):
            grid.addWidget(button(text, tip, lambda *_, k=key: self._ask(k)), i // 2, i % 2)
        self.methods = QPlainTextEdit()
        self.methods.setReadOnly(True)
        self.methods.setPlaceholderText("Press Write methods for a paragraph that states every setting.")
        grid.addWidget(
            button("Write methods", "State every setting that was used, for a methods section.",
                   lambda: self.refresh.emit()), 4, 0,
        )  # fmt: skip
        grid.addWidget(button("Copy methods", "Copy the paragraph.", self.copy), 4, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(self.methods, 1)

    def set_recording(self, recording: Recording | None) -> None:
        """Ask for exports only while there is something to export."""
        self.setEnabled(recording is not None)

    def _ask(self, key: str) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export", "", ENDINGS[key])
        if name:
            ending = f".{ENDINGS[key].rpartition('*.')[2].rstrip(')')}"
            path = Path(name)
            self.asked.emit(
                key, path if path.suffix.lower() == ending else path.with_name(path.name + ending)
            )

    def show_methods(self, text: str) -> None:
        """Show the paragraph."""
        self.methods.setPlainText(text)

    def copy(self) -> None:
        """Put the paragraph on the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.methods.toPlainText())


def save_figure(plots: TracePlots, path: Path) -> None:
    """Write what the plots show as PNG or SVG, by the ending of `path`, atomically."""
    scene = plots.canvas.scene()
    with atomic_write(path) as partial:
        if path.suffix.lower() == ".svg":
            from qtpy.QtSvg import QSvgGenerator

            size = plots.canvas.size()
            generator = QSvgGenerator()
            generator.setFileName(str(partial))
            generator.setSize(size)
            generator.setViewBox(QRect(0, 0, size.width(), size.height()))
            painter = QPainter(generator)
            plots.canvas.render(painter)
            painter.end()
        else:
            exporter = exporters.ImageExporter(scene)
            exporter.parameters()["width"] = int(2 * plots.canvas.width())
            exporter.export(str(partial))
