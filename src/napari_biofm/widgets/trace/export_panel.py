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

EXPORTS = {  # key: text of the button, kind and ending of the file, tip
    "events_csv": ("Events as CSV", "CSV", "csv", "All events with their verdicts, units in their own column."),
    "events_parquet": (
        "Events as Parquet", "Parquet", "parquet", "The same for Python and R, with the settings inside.",
    ),
    "samples": (
        "Samples in view as CSV", "CSV", "csv",
        "The recorded samples of the shown channels and seconds, unfiltered.",
    ),
    "nwb": ("All as NWB", "NWB", "nwb", "The whole recording and its events in SI units."),
    "png": ("Figure as PNG", "PNG", "png", "What is seen, at twice the screen's resolution."),
    "svg": ("Figure as SVG", "SVG", "svg", "What is seen, as lines for a paper."),
    "settings": (
        "Settings as JSON", "JSON", "json",
        "Detector, kind, preset and filters, for `napari-biofm events FILES --settings JSON`.",
    ),
}  # fmt: skip


class ExportPanel(QWidget):
    """Buttons that ask for an export, and the methods paragraph.

    Parameters
    ----------
    recipe : the buttons for recipes.
    """

    asked = Signal(str, object)  # key of EXPORTS, Path
    refresh = Signal()

    def __init__(self, recipe: QWidget) -> None:
        super().__init__()
        grid = QGridLayout()
        for i, (key, (text, _, _, tip)) in enumerate(EXPORTS.items()):
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
        layout.addWidget(recipe)
        layout.addWidget(self.methods, 1)

    def set_recording(self, recording: Recording | None) -> None:
        """Ask for exports only while there is something to export."""
        self.setEnabled(recording is not None)

    def _ask(self, key: str) -> None:
        _, kind, ending, _ = EXPORTS[key]
        name, _ = QFileDialog.getSaveFileName(self, "Export", "", f"{kind} (*.{ending})")
        if name:
            path = Path(name)
            right = path.suffix.lower() == f".{ending}"
            self.asked.emit(key, path if right else path.with_name(f"{path.name}.{ending}"))

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
