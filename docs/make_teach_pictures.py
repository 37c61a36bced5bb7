"""Make the pictures of docs/physio.md: teaching on a simulated recording, the forecast on a real electrocardiogram.

    python docs/make_teach_pictures.py --data ../shared/data --out docs/images

Needs a screen (or xvfb-run). The source and licence of the electrocardiogram are named below its picture.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
SIZE = (1400, 560)
RATE = 10_000.0


def doublets() -> tuple[Any, list[NDArray[np.float64]]]:
    """Return three sweeps with currents of a shape that no kind knows among common ones, and their peaks."""
    from napari_biofm.signals import Recording

    rng = np.random.default_rng(4)
    strange = np.concatenate([np.hanning(40), -0.8 * np.hanning(60), 0.4 * np.hanning(90)])
    sweeps, truth = [], []
    for _ in range(3):
        x = rng.normal(0, 2.5, 40_000)
        at = np.cumsum(rng.integers(2200, 4200, 12))
        for a in at[at < 39_000]:
            x[a : a + len(strange)] += 13 * strange * rng.uniform(0.8, 1.2)
        for a in rng.integers(0, 39_000, 9):
            x[a : a + 300] -= 22 * np.exp(-np.arange(300) / 45)
        sweeps.append([x.astype(np.float32)])
        truth.append((at[at < 39_000] + 19) / RATE)
    return Recording.from_arrays(sweeps, RATE, ["pA"], names=["I"]), truth


def teach(dock: Any) -> None:
    """Mark seven events in each of two sweeps, teach them as a new class, find them."""
    from napari_biofm.session.event_editor import EventEditor

    recording, truth = doublets()
    uid = dock.session.add_recording(recording, "unfamiliar")
    editor = EventEditor(dock.session, uid)
    for sweep in (0, 1):
        for t in truth[sweep][:7]:
            editor.add(sweep, 0, float(t), "PSC")
    dock.show_panel(dock.teach_panel)
    dock.teach_panel.name.setText("doublet")
    dock.teach_panel.kind.setCurrentText("Synaptic currents")
    dock.teach_panel.teach_button.click()
    dock.teach_panel.find_button.click()
    dock.plots.set_sweep(2)
    dock.plots.show_span(0.4, 1.9)
    dock.plots.fit_y()


def forecast(dock: Any, data: Path) -> None:
    """Show what was expected of a heart beat from the moment of a click on."""
    from napari_biofm.signals import read_recording

    dock.session.add_recording(read_recording(data / "ephys" / "ecg" / "s0010_re.hea"))
    dock.view.show_channels([1])
    dock.plots.show_span(5.0, 8.0)
    dock.plots.fit_y()
    dock.show_panel(dock.forecast_panel)
    dock.forecast_panel.horizon.setValue(512)
    dock.forecast_panel.on.setChecked(True)
    dock.plots.clicked.emit(1, 6.6, 0.0, None)


def main() -> None:
    """Do what a user would do, and save what is seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_biofm.widgets.trace import TraceDock

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1500, 1150)
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    app = QApplication.instance()
    pictures = {"teach": lambda: teach(dock)}
    if (options.data / "ephys").is_dir():
        pictures["forecast"] = lambda: forecast(dock, options.data)
    for name, make in pictures.items():
        make()
        dock.setFixedSize(*SIZE)
        for _ in range(40):
            app.processEvents()
        dock.grab().save(str(options.out / f"physio_{name}.png"))


if __name__ == "__main__":
    main()
