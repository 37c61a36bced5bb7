"""CaImAn's CNMF on one movie, in a process of its own: `python -m napari_biofm.api.caiman_child JOB.json`.

The steps and their order are those of CaImAn's own demo pipeline (Giovannucci et al., eLife 8:e38173, 2019). Nothing of ours but
this file runs in the process, and nothing of CaImAn in ours.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def run(job: dict[str, Any]) -> None:
    """Correct motion where that is asked for, factorise, evaluate, and save the result.

    Parameters
    ----------
    job : `movie` and `out` (paths), `frame_rate` (Hz), `decay_s` (s), `register`, `radius_px` (half the size of a cell), and
        `components` (cells that are looked for).
    """
    caiman: Any = importlib.import_module("caiman")
    cnmf: Any = importlib.import_module("caiman.source_extraction.cnmf.cnmf")
    parameters: Any = importlib.import_module("caiman.source_extraction.cnmf.params")
    radius = max(round(float(job["radius_px"])), 1)
    options = parameters.CNMFParams(
        params_dict={
            "fnames": [job["movie"]], "fr": job["frame_rate"], "decay_time": job["decay_s"], "p": 1, "nb": 2,
            "K": job["components"], "gSig": (radius, radius), "rf": None, "merge_thr": 0.85, "pw_rigid": False,
            "use_cnn": False, "min_SNR": 2.0, "rval_thr": 0.85,
        }
    )  # fmt: skip
    source: Any = [job["movie"]]
    if job["register"]:
        correction: Any = importlib.import_module("caiman.motion_correction")
        corrected = correction.MotionCorrect([job["movie"]], dview=None, **options.get_group("motion"))
        corrected.motion_correct(save_movie=True)
        source = corrected.mmap_file
    mapped = caiman.save_memmap(source, base_name="memmap_", order="C", border_to_0=0)
    pixels, dims, n_frames = caiman.load_memmap(mapped)
    images = pixels.T.reshape([n_frames, *dims], order="F")
    model = cnmf.CNMF(1, params=options, dview=None)
    model = model.fit(images)
    model = model.refit(images)
    model.estimates.dims = dims
    model.estimates.evaluate_components(images, model.params)
    model.estimates.detrend_df_f(quantileMin=8, frames_window=max(round(12.5 * float(job["frame_rate"])), 50))
    model.save(job["out"])


if __name__ == "__main__":
    run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
