"""A pose and its pocket as layers of a 3D view: atoms as points, bonds as lines, the pocket as a surface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions.poses.reading import Pose, read_receptor
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

COLOURS = {
    "C": "#909090",
    "N": "#3050f8",
    "O": "#ff0d0d",
    "S": "#e6c640",
    "P": "#ff8000",
    "F": "#90e050",
    "Cl": "#1ff01f",
    "Br": "#a62929",
    "I": "#940094",
    "H": "#ffffff",
}  # after Jmol
OTHER = "#ff69b4"
POCKET_COLOUR = "#c8b78a"
UNITS = ("angstrom",) * 3
LayerData = tuple[Any, dict[str, Any], str]


def elements_of(molecule: Mol) -> list[str]:
    """Return the element of each atom.

    Parameters
    ----------
    molecule : of RDKit.
    """
    return [str(atom.GetSymbol()) for atom in molecule.GetAtoms()]


def pocket_atoms(
    receptor: Mol, pose: Pose, within: float = 6.0
) -> tuple[NDArray[np.float64], list[str], NDArray[np.int64]]:
    """Return coordinates (n, 3) in angstrom, elements, and numbers of the receptor's heavy atoms near a pose.

    Parameters
    ----------
    receptor : from `read_receptor`.
    pose : in it.
    within : angstrom from any atom of the pose.

    Raises
    ------
    ConditionsError
        If no atom is that near.
    """
    from scipy.spatial import cKDTree

    kinds = np.array(elements_of(receptor))
    at = np.asarray(receptor.GetConformer().GetPositions(), float)
    near = (cKDTree(pose.coordinates).query(at)[0] <= within) & (kinds != "H")
    if not near.any():
        raise ConditionsError(
            f"{pose.compound}: no atom of the receptor lies within {within:g} angstrom of the pose; is it another structure?"
        )
    return at[near], kinds[near].tolist(), np.flatnonzero(near)


def pocket_surface(
    atoms: NDArray[np.float64], step: float = 0.5, width: float = 1.3
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a smooth surface around atoms: vertices (n, 3) x, y, z in angstrom, and faces (m, 3).

    The density of Gaussians at the atoms, cut where a single atom reaches 1.8 angstrom (Blinn, ACM Trans Graph 1:235, 1982).

    Parameters
    ----------
    atoms : (n, 3) x, y, z.
    step : grid, angstrom. width : of the Gaussians, angstrom.
    """
    from skimage.measure import marching_cubes

    low = atoms.min(0) - 4 * width
    axes = [np.arange(low[i], atoms[:, i].max() + 4 * width, step) for i in range(3)]
    x, y, z = (
        np.exp(-0.5 * ((axes[i] - atoms[:, i, None]) / width) ** 2) for i in range(3)
    )  # (n, grid) each
    density = np.einsum("ai,aj,ak->ijk", x, y, z, optimize=True)
    vertices, faces, _, _ = marching_cubes(density, float(np.exp(-0.5 * (1.8 / width) ** 2)))
    return vertices * step + low, faces.astype(np.int64)


def pose_layers(pose: Pose, receptor: str | Path | None = None, within: float = 6.0) -> list[LayerData]:
    """Return layers of a pose and its pocket, as readers of napari do: data, options, kind; axes z, y, x in angstrom.

    Parameters
    ----------
    pose : from `read_poses`.
    receptor : PDB; without it the pose alone.
    within : angstrom around the pose that count as its pocket.

    Raises
    ------
    ConditionsError
        If the receptor cannot be read, or no atom of it is near.
    """
    kinds, at = elements_of(pose.molecule), pose.coordinates
    name = f"{pose.compound} rank {pose.rank}"
    layers: list[LayerData] = []
    if receptor is not None:
        near, _, _ = pocket_atoms(read_receptor(receptor), pose, within)
        vertices, faces = pocket_surface(near)
        options = {
            "name": f"pocket of {name}",
            "opacity": 0.35,
            "colormap": POCKET_COLOUR,
            "shading": "smooth",
            "blending": "translucent_no_depth",
            "units": UNITS,
        }
        layers.append(((vertices[:, ::-1], faces), options, "surface"))
    ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in pose.molecule.GetBonds()]
    halves, colours = [], []
    for a, b in ends:
        middle = (at[a] + at[b]) / 2
        for i in (a, b):
            halves.append((at[i][::-1], (middle - at[i])[::-1]))
            colours.append(COLOURS.get(kinds[i], OTHER))
    if halves:
        options = {
            "name": f"bonds of {name}", "edge_color": colours, "edge_width": 0.25, "vector_style": "line", "units": UNITS,
        }  # fmt: skip
        layers.append((np.array(halves), options, "vectors"))
    features = {"element": kinds, "atom": list(range(len(kinds)))}
    options = {
        "name": name, "face_color": [COLOURS.get(kind, OTHER) for kind in kinds], "border_width": 0.0,
        "size": [0.5 if kind == "H" else 0.9 for kind in kinds], "features": features, "shading": "spherical",
        "units": UNITS,
        "metadata": {"compound": pose.compound, "rank": pose.rank, "path": str(pose.path)},
    }  # fmt: skip
    layers.append((at[:, ::-1].copy(), options, "points"))
    return layers
