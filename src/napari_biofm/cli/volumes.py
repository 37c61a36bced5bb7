"""The verb `volumes`: series of atlas regions and their connectivity from NIfTI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_biofm.cli.common import inputs_exist, note
from napari_biofm.cli.conditions import read_table
from napari_biofm.types import ImageError


def add_verbs(verbs: Any) -> None:
    """Add the verb to the parser."""
    verb = verbs.add_parser(
        "volumes",
        help="fMRI and other 4D NIfTI: series of atlas regions, connectivity, a vector per subject (extra nifti)",
        description="The atlas must lie on the voxels of the volumes. Confounds and band are taken out as nilearn does.",
    )
    verb.add_argument("files", type=Path, nargs="+", metavar="NII", help="one series of volumes per subject")
    verb.add_argument("--atlas", type=Path, required=True, metavar="NII", help="labels of regions, 0 outside")
    verb.add_argument("--names", type=Path, metavar="TXT", help="number and name of each region, one a line")
    verb.add_argument(
        "--confounds",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="a table per file, a row per volume",
    )
    verb.add_argument(
        "--tr", type=float, metavar="S", help="seconds between volumes, where a file does not say"
    )
    verb.add_argument("--low", type=float, metavar="HZ", help="lowest frequency kept, in Hz (default: all)")
    verb.add_argument("--high", type=float, metavar="HZ", help="highest frequency kept, in Hz (default: all)")
    verb.add_argument(
        "--kind",
        choices=("correlation", "partial"),
        default="correlation",
        help="of connectivity (default: correlation)",
    )
    verb.add_argument(
        "--figures",
        action="store_true",
        help="draw each matrix as SVG, NAME_connectivity.svg (extra figures)",
    )
    verb.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for one series and matrix per file"
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Write `NAME_series.csv` and `NAME_connectivity.csv` per file, and `subjects.csv`."""
    import numpy as np
    import pandas as pd

    from napari_biofm.analyses.description import Plot
    from napari_biofm.analyses.figure import save_figure
    from napari_biofm.cells.table.export import write_rows
    from napari_biofm.images.io.nifti import (
        cleaned_series,
        connectivity,
        read_names,
        read_nifti,
        region_series,
        subject_vector,
    )

    inputs_exist([*args.files, args.atlas, *args.confounds, *([args.names] if args.names else [])])
    if args.confounds and len(args.confounds) != len(args.files):
        raise ImageError(
            f"{len(args.confounds)} tables of confounds for {len(args.files)} files; give one per file."
        )
    stems = [path.name.removesuffix(".gz").removesuffix(".nii") for path in args.files]
    if len(set(stems)) < len(stems):
        raise ImageError("Two files have the same name, so that one result would replace the other.")
    atlas, names = read_nifti(args.atlas), None if args.names is None else read_names(args.names)
    args.out.mkdir(parents=True, exist_ok=True)
    vectors = []
    for i, path in enumerate(args.files):
        volumes = read_nifti(path, args.tr)
        for sentence in volumes.notes:
            note(sentence)
        series, labels, numbers = region_series(volumes, atlas, names)
        beside = read_table(args.confounds[i]).to_numpy(float) if args.confounds else None
        cleaned = cleaned_series(series, beside, volumes.repetition_time, (args.low, args.high))
        matrix = connectivity(cleaned, args.kind)
        distinct = [f"{n} ({k})" if labels.count(n) > 1 else n for n, k in zip(labels, numbers, strict=True)]
        seconds = np.arange(len(series)) * (volumes.repetition_time or np.nan)
        rows = pd.DataFrame(cleaned, columns=distinct)
        rows.insert(0, "time_s", seconds)
        write_rows(rows, args.out / f"{stems[i]}_series.csv")
        square = pd.DataFrame(matrix, columns=distinct)
        square.insert(0, "region", distinct)
        write_rows(square, args.out / f"{stems[i]}_connectivity.csv")
        if args.figures:
            plot = Plot("", args.kind, (), matrix=matrix, names=tuple(distinct), title=stems[i])
            save_figure(args.out / f"{stems[i]}_connectivity.svg", [plot])
        values, pairs = subject_vector(matrix, distinct)
        vectors.append(pd.Series([stems[i], *values], index=["subject", *pairs]))
        note(f"{path.name}: {len(series)} volumes, {len(labels)} regions")
    write_rows(pd.DataFrame(vectors).infer_objects(), args.out / "subjects.csv")
