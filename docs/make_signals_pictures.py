"""Make the pictures of docs/signals.md from the shared real recordings.

    python docs/make_signals_pictures.py --data ../shared/data --out docs/images

Needs a screen (or xvfb-run). Sources and licences are named below each picture in docs/signals.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
SIZE = (1400, 560)


def main() -> None:
    """Open one recording of each kind, do what a user would do, and save what is seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="*", default=(), help="names of the pictures")
    options = parser.parse_args()
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_biofm.widgets.trace import TraceDock

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1500, 1150)
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    app = QApplication.instance()

    def save(name: str) -> None:
        if dock.recovery is not None:  # of a session that is none of these
            dock.recovery.hide()
        dock.setFixedSize(*SIZE)
        for _ in range(40):
            app.processEvents()
        dock.grab().save(str(options.out / f"signals_{name}.png"))

    ephys = options.data / "ephys"
    for name, make in PICTURES.items():
        if not options.only or name in options.only:
            make(dock, ephys)
            save(name)


def _open(dock: Any, path: Path) -> str:
    from napari_biofm.signals import read_recording

    return str(dock.session.add_recording(read_recording(path)))


def _tab(dock: Any, name: str) -> None:
    panels = {"Events": dock.events_panel, "Analyse": dock.analyse_panel,
              "Channels": dock.channels_panel, "Quality": dock.quality_panel}  # fmt: skip
    dock.show_panel(panels[name])


def action_potentials(dock: Any, ephys: Path) -> None:
    """Detect APs in a recording with a wrong unit, put right; judge three."""
    _open(dock, ephys / "abf" / "opto_aps_bad_units.abf")
    dock.unit_hint.fix.click()
    dock.events.detect("threshold", "ap", "balanced")
    dock.events_panel.table.select_rows([3])
    for verdict in ("accept", "unclear", "reject"):
        dock.events_panel.judge_selected(verdict)


def voltage_steps(dock: Any, ephys: Path) -> None:
    """Overlay sweeps of a step protocol, cursors before the step and in it, the IV plot."""
    _open(dock, ephys / "abf" / "17o05024_vc_steps.abf")
    dock.toolbar.mode.setCurrentText("Overlaid")
    dock.toolbar.cursors.setChecked(True)
    dock.view.baseline.place(0.3, 0.5)
    dock.cursors.place(0.8, 1.0)
    dock.plots.show_span(0.2, 1.3)
    dock.plots.set_sweep(6)
    _tab(dock, "Analyse")
    dock.analyse_panel.choose("steps")
    dock.analyse_panel.run()


def synaptic(dock: Any, ephys: Path) -> None:
    """Find synaptic currents in a voltage-clamp recording and average them."""
    _open(dock, ephys / "abf" / "18808025.abf")
    dock.toolbar.cursors.setChecked(False)
    dock.events.detect("deconvolution", "psc", "balanced")
    dock.plots.show_span(0.25, 0.6)
    dock.plots.fit_y()
    _tab(dock, "Analyse")
    dock.analyse_panel.choose("average")
    dock.analyse_panel.run()


def excitability(dock: Any, ephys: Path) -> None:
    """Analyse how a cell fires under steps of current."""
    _open(dock, ephys / "abf" / "18711001.abf")
    dock.toolbar.cursors.setChecked(False)
    dock.toolbar.mode.setCurrentText("Overlaid")
    _tab(dock, "Analyse")
    dock.analyse_panel.choose("excitability")
    dock.analyse_panel.run()


def stacked(dock: Any, ephys: Path) -> None:
    """Stack the sweeps of a current-step protocol."""
    dock.toolbar.cursors.setChecked(False)
    _open(dock, ephys / "abf" / "18711001.abf")
    dock.toolbar.mode.setCurrentText("Stacked")
    dock.plots.set_sweep(12)
    _tab(dock, "Channels")


def heka(dock: Any, ephys: Path) -> None:
    """Show a HEKA series in time and its quality."""
    _open(dock, ephys / "other" / "heka_firing_pattern.dat")
    dock.toolbar.mode.setCurrentText("In time")
    _tab(dock, "Quality")
    dock.quality_panel.ask()


def ecg(dock: Any, ephys: Path) -> None:
    """Show leads of an ECG."""
    _open(dock, ephys / "ecg" / "s0010_re.hea")
    _tab(dock, "Channels")
    dock.plots.show_span(2, 6)
    dock.plots.fit_y()


def calcium(dock: Any, ephys: Path) -> None:
    """Show cells as a heatmap and the lines of three."""
    from napari_biofm.signals import Recording

    with np.load(ephys / "calcium_spikes" / "DS09-GCaMP6f-m-V1.npz", allow_pickle=False) as stored:
        keys = sorted(key for key in stored.files if key.endswith("_dff"))
        n = min(len(stored[key]) for key in keys)
        dff = np.array([stored[key][:n] for key in keys], np.float32)
        rate = float(stored[keys[0].replace("_dff", "_fs")])
    cells = Recording.from_arrays(dff, rate, "dF/F", labels=np.arange(1, len(dff) + 1))
    dock.session.add_recording(cells, "DS09 GCaMP6f")
    for channel in (5, 8, 2):
        dock.heatmap.picked.emit(channel, channel != 5)
    _tab(dock, "Events")


PICTURES = {
    "aps": action_potentials,
    "steps": voltage_steps,
    "shapes": synaptic,
    "excitability": excitability,
    "stacked": stacked,
    "heka": heka,
    "ecg": ecg,
    "calcium": calcium,
}

if __name__ == "__main__":
    main()
