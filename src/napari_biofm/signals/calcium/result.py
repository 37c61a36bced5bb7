"""Traces of cells and how they are kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.signals.calcium.settings import TraceSettings
from napari_biofm.signals.recording import Recording


@dataclass(frozen=True, eq=False)
class CellTraces:
    """Traces of cells, as `napari-biofm traces` writes them.

    Attributes
    ----------
    labels : (n,) cell ids.
    raw, neuropil, dff : (n, T) float32; intensities, intensities, and (F - F0) / F0. NaN marks gaps, and all of `dff`
        where the F0 of a cell cannot be trusted.
    frame_rate : Hz.
    bleaching : (T,) relative brightness of the field that was divided out, all ones if none was.
    shifts : (m, 2) pixels (y, x) that the field had moved at `shift_frames`; empty if not checked.
    shift_frames : (m,) frames.
    warnings : what the user should know.
    settings : with which they were made.
    zscore : (n, T) float32, (F - F0) / standard deviation of the noise from frame to frame.
    f0_trusted : (n,) whether dF/F could be made.
    bad_frames : numbers of bad frames, and what is wrong with each.
    dark_level : what a pixel without light reads, subtracted before anything else.
    neuropil_shares : (n,) of the neuropil that was subtracted from each cell.
    """

    labels: NDArray[np.int64]
    raw: NDArray[np.float32]
    neuropil: NDArray[np.float32]
    dff: NDArray[np.float32]
    frame_rate: float
    bleaching: NDArray[np.float32]
    shifts: NDArray[np.float32]
    shift_frames: NDArray[np.int64]
    warnings: tuple[str, ...]
    settings: TraceSettings
    zscore: NDArray[np.float32]
    f0_trusted: NDArray[np.bool_]
    bad_frames: dict[int, str] = field(default_factory=dict)
    dark_level: float = 0.0
    neuropil_shares: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def recording(self, rois: NDArray[np.int32] | None = None, name: str = "traces") -> Recording:
        """Return dF/F as a recording whose channels are the cells; z-scores where F0 cannot be trusted.

        Parameters
        ----------
        rois : (Y, X) masks of the cells.
        name : kept in the metadata.
        """
        metadata = {
            "name": name,
            "settings": dataclasses.asdict(self.settings),
            "dark_level": self.dark_level,
            "bad_frames": list(self.bad_frames),
        }
        values, units = shown_values(self.dff, self.zscore, self.f0_trusted)
        return Recording.from_arrays(
            values, self.frame_rate, units, labels=self.labels, rois=rois, format="traces", metadata=metadata
        )

    def save(self, path: Path) -> None:
        """Write `.npz` atomically, with the keys of the command line's contract and more.

        Parameters
        ----------
        path : of the file.
        """
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(
                file, labels=self.labels, dff=self.dff, raw=self.raw, neuropil=self.neuropil,
                frame_rate=self.frame_rate, zscore=self.zscore, f0_trusted=self.f0_trusted,
                bad_frames=np.array(list(self.bad_frames), np.int64),
                bad_frame_kinds=np.array(list(self.bad_frames.values()), "U16"), dark_level=self.dark_level,
                neuropil_shares=self.neuropil_shares,
            )  # fmt: skip


def shown_values(
    dff: NDArray[np.float32], zscore: NDArray[np.float32], trusted: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], list[str]]:
    """Return what is shown of each cell, (n, T), and its unit: dF/F, or z-scores where F0 cannot be trusted."""
    values = np.where(trusted[:, None], dff, zscore).astype(np.float32)
    return values, ["dF/F" if one else "z" for one in trusted]
