"""Where torch cannot be loaded, what needs no model works, and what needs one says so in a sentence."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import importlib.abc, importlib.machinery, os, sys

class Broken(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name in ("torch", "torchvision") else None
    def exec_module(self, module):
        raise OSError("libtorch_cpu.so: cannot open shared object file")

sys.meta_path.insert(0, Broken())
os.environ.update(NAPARI_BIOFM_ENGINE="inline", NAPARI_BIOFM_AUTOSAVE="off")
import numpy as np
import napari_biofm as biofm
from napari_biofm.cli import main

t = np.arange(20000) / 1e4
values = -65 + sum(60 * np.exp(-((t - at) / 0.0006) ** 2) for at in (0.3, 0.9, 1.5))
np.savetxt("ap.csv", np.column_stack([t, values]), delimiter=",", header="time (s),Vm (mV)", comments="")
np.save("image.npy", np.zeros((32, 32), np.float32))
assert main(["events", "ap.csv", "--detector", "threshold", "--kind", "ap", "--out", "ap-events.csv"]) == 0
print("events", len(open("ap-events.csv").readlines()) - 1)
print("segment", main(["segment", "image.npy", "--out", "masks.tif"]))

import napari
from napari_biofm.widgets.common.opening import OpeningDock
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((32, 32), np.float32))
for name in ("Segment cells", "Point and click", "Cell states", "Traces and events", "Timeline"):
    _, dock = viewer.window.add_plugin_dock_widget("napari-biofm", name)
    dock = dock.content if isinstance(dock, OpeningDock) else dock
    if name == "Segment cells":
        dock.run_button.native.click()
from napari.utils.notifications import notification_manager
print("dock", [n.message for n in notification_manager.records if "torch" in n.message][-1])
viewer.close()
"""


def test_recordings_classical_tools_and_docks_work_without_torch(tmp_path: object) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE],
        capture_output=True,
        text=True,
        cwd=str(tmp_path),
        check=False,
    )
    said = run.stdout
    assert "events 3" in said and "segment 1" in said, run.stderr[-2000:]
    sentence = "This needs torch, which cannot be loaded (libtorch_cpu.so: cannot open shared object file)"
    assert sentence in run.stderr
    assert f"dock {sentence}" in said and "choose a classical tool" in said
