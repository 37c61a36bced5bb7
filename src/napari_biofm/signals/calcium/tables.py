"""Traces of cells as files that other programs open: CSV, Parquet, MATLAB, AnnData."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.files import atomic_write
from napari_biofm.signals.calcium.result import CellTraces
from napari_biofm.types import RecordingError

ENDINGS = (".npz", ".csv", ".parquet", ".mat", ".h5ad")
KINDS = ("dff", "zscore", "raw", "neuropil")


def write_traces(traces: CellTraces, path: Path) -> Path:
    """Write traces in the format that the ending names, whole or not at all.

    `.npz` holds the arrays of the command line's contract; `.csv` and `.parquet` one row per frame with its time and
    one column per cell and kind, as `dff_17`; `.mat` the same arrays as `.npz`; `.h5ad` one row per cell, dF/F in X and
    the others as layers.

    Parameters
    ----------
    traces : of the cells.
    path : ending in one of `ENDINGS`.

    Returns
    -------
    The path.

    Raises
    ------
    RecordingError
        If the ending is another.
    """
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise RecordingError(
            f"{path.name}: traces are written as {', '.join(ENDINGS)}; choose one of these endings"
        )
    if suffix == ".npz":
        traces.save(path)
        return path
    write = {".csv": _csv, ".parquet": _parquet, ".mat": _mat, ".h5ad": _h5ad}[suffix]
    with atomic_write(path) as partial:
        write(traces, partial)
    return path


def columns_of(traces: CellTraces) -> dict[str, Any]:
    """Return one column per cell and kind, `dff_17`, after the number and the time of each frame.

    Parameters
    ----------
    traces : of the cells.
    """
    n = traces.dff.shape[1]
    columns: dict[str, Any] = {"frame": np.arange(n), "time_s": np.arange(n) / traces.frame_rate}
    for kind in KINDS:
        values = getattr(traces, kind)
        columns |= {f"{kind}_{label}": values[row] for row, label in enumerate(traces.labels.tolist())}
    columns["bad_frame"] = np.isin(np.arange(n), list(traces.bad_frames)).astype(np.int8)
    return columns


def _csv(traces: CellTraces, path: Path) -> None:
    import pandas as pd

    # the ending of the part that is written is not that of the file: say what it is
    pd.DataFrame(columns_of(traces)).to_csv(path, index=False, float_format="%.7g", lineterminator="\n")


def _parquet(traces: CellTraces, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns_of(traces)), path)


def _mat(traces: CellTraces, path: Path) -> None:
    from scipy.io import savemat

    with path.open("wb") as file:
        savemat(
            file,
            {
                "labels": traces.labels, "dff": traces.dff, "raw": traces.raw, "neuropil": traces.neuropil,
                "zscore": traces.zscore, "frame_rate": traces.frame_rate, "dark_level": traces.dark_level,
                "f0_trusted": traces.f0_trusted, "bad_frames": np.array(list(traces.bad_frames), np.int64),
            },
            do_compression=True,
        )  # fmt: skip


def _h5ad(traces: CellTraces, path: Path) -> None:
    import anndata
    import pandas as pd

    names = [str(label) for label in traces.labels.tolist()]
    n = traces.dff.shape[1]
    times = pd.DataFrame(
        {
            "time_s": np.arange(n) / traces.frame_rate,
            "bad_frame": np.isin(np.arange(n), list(traces.bad_frames)),
        },
        index=[str(i) for i in range(n)],
    )
    cells = pd.DataFrame({"label": traces.labels, "f0_trusted": traces.f0_trusted}, index=names)
    table = anndata.AnnData(
        traces.dff, cells, times, layers={kind: getattr(traces, kind) for kind in KINDS[1:]}
    )
    table.uns["frame_rate"] = traces.frame_rate
    table.uns["dark_level"] = traces.dark_level
    table.write_h5ad(path)
