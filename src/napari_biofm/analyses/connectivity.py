"""How regions of a brain go together: confounds out, a band of frequencies kept, correlations of all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.calcium.common import cells_of, given_file
from napari_biofm.analyses.description import Analysis, Column, OfCells, Plot, Result, Source, option
from napari_biofm.types import BiofmError, RecordingError


@dataclass(frozen=True)
class ConnectivityParameters(OfCells):
    """What is taken out before, and which correlation is meant."""

    kind: Literal["correlation", "partial"] = option(
        "correlation", "Pearson's, or with all other regions held fixed."
    )
    low_hz: float | None = option(None, "Lowest frequency that is kept.", unit="Hz", low=0)
    high_hz: float | None = option(None, "Highest frequency that is kept.", unit="Hz", low=0)
    confounds: str = option(
        "", "CSV or TSV with a row per volume and a column per confound, as fMRIPrep writes.", role="file"
    )
    columns: str = option("", "Confounds that are meant, with commas between; all if not given.")


def connectivity(source: Source, p: ConnectivityParameters) -> Result:
    """Correlate all regions after confounds, trend and what lies outside of a band were taken out."""
    from napari_biofm.images.io import nifti
    from napari_biofm.signals import Recording

    cells = cells_of(source, least=2, any_signal=True)
    recording = source.the_recording
    channels = range(recording.n_channels) if recording.is_cells else cells.ids.tolist()
    names = [recording.channels[c].name for c in channels]
    if not np.isfinite(cells.values).all():
        raise RecordingError(f"{recording.name} has gaps; connectivity needs a value in every frame.")
    notes, beside = [], None
    if p.confounds:
        beside, said = read_confounds(p.confounds, p.columns)
        notes.append(said)
    cleaned = nifti.cleaned_series(cells.values.T, beside, 1 / cells.rate, (p.low_hz, p.high_hz))
    matrix = nifti.connectivity(cleaned, p.kind)
    upper = matrix[np.triu_indices(len(matrix), 1)]
    columns = (Column("region", np.array(names, object)), Column("label", cells.ids)) + tuple(
        Column(f"r {name}", matrix[:, i]) for i, name in enumerate(names)
    )
    kind = "Partial correlation" if p.kind == "partial" else "Correlation"
    plot = Plot("", kind, (), matrix=matrix, names=tuple(names))
    made = Recording.from_arrays(
        cleaned.T[None],
        cells.rate,
        cells.unit,
        names=names,
        labels=cells.ids if recording.is_cells else None,
        format="volumes",
    )
    summary = f"{len(names)} regions, {len(cleaned)} volumes: mean {upper.mean():.3f} (sd {upper.std():.3f})."
    return Result(columns, (plot,), summary, tuple(notes), (made,))


def read_confounds(path: str, columns: str = "") -> tuple[NDArray[np.float64], str]:
    """Read a table of confounds; what is missing in its first rows (derivatives) is taken for 0.

    Parameters
    ----------
    path : CSV, TSV or text, with a row of names.
    columns : names with commas between; all columns if not given.

    Returns
    -------
    values : (t, m).
    said : which they are, for notes.

    Raises
    ------
    BiofmError
        If the file or a column is not there, or a value is no number.
    """
    import pandas as pd

    file = given_file(path)
    try:
        table = pd.read_csv(file, sep="\t" if file.suffix.lower() == ".tsv" else None, engine="python")
    except (OSError, ValueError) as error:
        raise BiofmError(f"{file.name} cannot be read as a table ({error}).") from error
    wanted = [name.strip() for name in columns.split(",") if name.strip()] or list(map(str, table.columns))
    missing = [name for name in wanted if name not in table]
    if missing:
        raise BiofmError(
            f"{file.name} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}."
        )
    numbers = table[wanted].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    first = numbers[:1]
    first[~np.isfinite(first)] = 0.0
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise BiofmError(f"{file.name}, row {row + 2}: {wanted[column]} is no number.")
    return numbers, f"{len(wanted)} confounds of {file.name} were taken out"


ANALYSES = (
    Analysis(
        "connectivity", "Connectivity of regions", "Volumes over time",
        "Confounds and trend out, a band kept, then the correlation of all pairs.", ("traces",), connectivity,
        ConnectivityParameters,
        "Series of regions were detrended, filtered (Butterworth, order 5, both ways) and confounds filtered alike were "
        "regressed out (Lindquist et al., Hum Brain Mapp 40:2358, 2019); all pairs were correlated.",
    ),
)  # fmt: skip
