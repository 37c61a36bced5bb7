"""What comes back from the worker brings no torch into the window."""

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
