"""Names of files, layers and channels are shown as they are: nothing in them is taken for HTML or for a format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

import napari_biofm
from napari_biofm.analyses.description import Curve, Plot
from napari_biofm.engine import Job
from napari_biofm.signals.display.colours import Colours
from napari_biofm.types import Progress
from napari_biofm.widgets.common.analysis_plots import AnalysisPlots
from napari_biofm.widgets.common.forms import as_tip, note, row, words
from napari_biofm.widgets.common.job_bar import JobRow
from napari_biofm.widgets.trace.tag_lines import _as_it_is

EVIL = '<img src="http://127.0.0.1:1/x.png"> & <b>bold</b>'


def test_labels_of_docks_show_text_as_it_is(qtbot: Any) -> None:
    holder = QWidget()
    qtbot.addWidget(holder)
    holder.setLayout(row(EVIL))
    inside = holder.findChild(QLabel)
    for label in (words(EVIL), note(EVIL), inside):
        assert label.textFormat() == Qt.TextFormat.PlainText and label.text() == EVIL


def test_tooltips_escape_what_looks_like_html(qtbot: Any) -> None:
    assert as_tip("Take back: link (Ctrl+Z).") == "Take back: link (Ctrl+Z)."
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setText(as_tip(EVIL))
    assert "<img" not in label.text() and "&lt;img" in label.text()


def test_a_job_of_a_layer_with_html_in_its_name(qtbot: Any) -> None:
    bar = JobRow(False, lambda: None)
    qtbot.addWidget(bar)
    job = Job(f"segment {EVIL}")
    job.started()
    bar.track(job)
    bar.progressed(job, Progress(1, 2, "step"))
    bar.refresh()
    assert bar.label.textFormat() == Qt.TextFormat.PlainText
    assert EVIL in bar.label.text() and "<img" not in bar.label.toolTip()


def test_titles_axes_and_legends_of_plots_are_escaped(qtbot: Any) -> None:
    plots = AnalysisPlots(Colours())
    qtbot.addWidget(plots)
    plots.show_plots([Plot(EVIL, EVIL, (Curve([0, 1], [0, 1], name=EVIL),), title=EVIL)])
    item = plots.items[0]
    texts = [item.getAxis("bottom").labelString(), item.titleLabel.text, item.legend.items[0][1].text]
    assert all("<img" not in text and "&lt;img" in text for text in texts)


def test_braces_in_the_comment_of_a_tag_are_no_format(qtbot: Any) -> None:
    for comment in ("{", "{x}", "a } b", "{0}{value}"):
        assert _as_it_is(comment).format(value=1.0) == comment
        pg.InfiniteLine(0.0, label=_as_it_is(comment)).setValue(2.0)


def test_every_label_that_may_hold_a_name_is_made_in_one_place() -> None:
    widgets = Path(napari_biofm.__file__).parent / "widgets"
    found = {
        path.relative_to(widgets).as_posix()
        for path in widgets.rglob("*.py")
        if re.search(r"\bQLabel\(", path.read_text(encoding="utf-8"))
    }
    fixed = {  # words of ours only
        "trace/toolbar.py", "trace/template_row.py", "annotate/toolbox.py", "common/later_tabs.py", "common/opening.py",
        "timeline/session_panel.py", "timeline/raster.py",
    }  # fmt: skip
    assert found == fixed | {"common/forms.py"}
