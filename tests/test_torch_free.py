"""The window stays light: no torch comes with a result, and no library that computes with a dock."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import numpy as np
from napari_biofm.engine import make_engine
from napari_biofm.images.segment.jobs import segment_job
from napari_biofm.types import SegmentationParameters

engine = make_engine("worker")
y, x = np.mgrid[:96, :96]
image = (1000 * np.exp(-((y - 48) ** 2 + (x - 40) ** 2) / 90)).astype(np.uint16)
result = engine.submit(segment_job, image, "biofm-image", SegmentationParameters()).result(200)
engine.close()
print(type(result).__name__, "torch" in sys.modules)
"""


def test_a_segmentation_crosses_without_torch() -> None:
    out = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["Segmentation", "False"]


HEAVY = ("torch", "scipy.signal", "scipy.stats", "scipy.ndimage", "scipy.optimize", "sklearn", "pandas")
DOCKS = "segment:SegmentDock annotate:AnnotateDock cells:CellsDock trace:TraceDock timeline:TimelineDock conditions:ConditionsDock"
OPENING = f"""
import importlib, sys
for dock in {DOCKS!r}.split():
    module, name = dock.split(":")
    getattr(importlib.import_module("napari_biofm.widgets." + module), name)
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_the_docks_load_no_library_before_it_computes() -> None:
    out = subprocess.run([sys.executable, "-c", OPENING], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
