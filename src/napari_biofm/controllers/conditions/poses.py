"""The best pose of a well's compound, drawn beside the field of the well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.conditions.poses.best import BestPose, best_poses, layers_of
from napari_biofm.conditions.poses.drawing import LayerData
from napari_biofm.controllers.common.ports import RunJob

if TYPE_CHECKING:
    from pandas import DataFrame

SHARE = 0.8  # of the field's height that a pose with its pocket takes
GAP = 0.05  # of the field's width between both
ALONE = 100.0  # height of a pose without a field


class PosesOfWells:
    """Docking results of a folder.

    Parameters
    ----------
    viewer : shows them.
    run : reads and draws.
    say : shows a message.
    """

    def __init__(self, viewer: Any, run: RunJob, say: Callable[[str], None]) -> None:
        self._viewer, self._run, self._say = viewer, run, say
        self._best: dict[str, BestPose] = {}
        self._turn = False  # whether the next pose turns the view to 3D
        self._asked = 0

    def open(self, path: Path, plate_map: DataFrame | None) -> None:
        """Read the poses of a folder, and choose the best of each compound.

        Parameters
        ----------
        path : of docking results.
        plate_map : its columns compound and smiles tell the bonds of PDBQT files that do not have them.
        """
        smiles: dict[str, str] = {}
        if plate_map is not None and {"compound", "smiles"} <= set(plate_map):
            known = plate_map[plate_map["compound"].notna() & plate_map["smiles"].notna()]
            smiles = dict(zip(known["compound"].astype(str), known["smiles"].astype(str), strict=True))

        def done(found: tuple[dict[str, BestPose], list[str]]) -> None:
            self._best, notes = found
            self._turn = True
            names = ", ".join(sorted(one.pose.compound for one in self._best.values())[:8])
            self._say(
                "\n".join([f"Poses of {len(self._best)} compounds: {names}. Click their wells.", *notes[:4]])
            )

        self._run(best_poses, path, smiles, name=f"Poses of {path.name}", on_done=done)

    def show(self, compound: str, well: str, field: Any) -> None:
        """Put the best pose of a compound beside the field of its well, or alone; nothing where there is none.

        Parameters
        ----------
        compound : as the plate map names it. well : that was clicked.
        field : layer of the field, None where there is none.
        """
        self._asked += 1
        best, asked = self._best.get(compound.strip().lower()), self._asked
        if best is None:
            if self._best and compound:
                self._say(f"{compound} has no pose.")
            return

        def done(layers: list[LayerData]) -> None:
            if asked == self._asked:  # else another well was clicked meanwhile
                self._put(layers, best, well, field)

        self._run(layers_of, best, name=f"Pose of {compound}", lane="interactive", on_done=done)

    def _put(self, layers: list[LayerData], best: BestPose, well: str, field: Any) -> None:
        low, high = _extent(layers)
        if field is None or field not in self._viewer.layers:
            beside, centre, height = np.zeros(3), np.zeros(3), ALONE
            units: Any = {}
        else:
            corner, end = (np.asarray(one, float)[-2:] for one in field.extent.world)
            height = max(end[0] - corner[0], 1e-9)
            beside = np.array([0.0, 0.0, end[1] + GAP * (end[1] - corner[1])])
            centre = np.array([0.0, (corner[0] + end[0]) / 2, 0.0])
            units = {"units": (field.units[-1],) * 3}
        scale = SHARE * height / max(high[1] - low[1], 1e-9)
        middle = (low + high) / 2
        move = np.array([-middle[0], centre[1] / scale - middle[1], beside[2] / scale - low[2]]) * scale
        active = self._viewer.layers.selection.active
        for data, options, kind in layers:
            kept = {**options.get("metadata", {}), "biofm_well": well, "world_per_angstrom": float(scale)}
            made = {k: v for k, v in options.items() if k != "units"} | units
            made |= {"metadata": kept, "scale": (scale,) * 3, "translate": tuple(move)}
            getattr(self._viewer, f"add_{kind}")(data, **made)
        if self._turn and (field is None or field.ndim == 2):
            self._turn = False
            self._viewer.dims.ndisplay = 3
            self._viewer.reset_view()
        if active is not None and active in self._viewer.layers:  # so that masks can still be corrected
            self._viewer.layers.selection.active = active
        self._say(f"{well}: {best.pose.compound}, {best.text}.")


def _extent(layers: list[LayerData]) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners z, y, x of all layers in angstrom."""
    parts = []
    for data, _, kind in layers:
        if kind == "surface":
            parts.append(np.asarray(data[0]))
        elif kind == "points":
            parts.append(np.asarray(data))
    every = np.concatenate(parts)
    return every.min(0), every.max(0)
