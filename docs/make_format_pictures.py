"""Make the pictures of docs/signals.md that show a file of each format, opened as a user opens it.

    python docs/make_format_pictures.py --data ../shared/data --out docs/images

Real recordings are written to a temporary folder as NWB, suite2p, CaImAn, HDF5, CSV and BrainVision files, and
opened in the dock. Needs a screen (or xvfb-run). Sources and licences are named in docs/signals.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
SIZE, TALL = (1400, 900), (1400, 1180)  # TALL where there are masks above and a heatmap below
SIDE = 3  # fields of the mosaic of cells, along each side


def main() -> None:
    """Write each file, open it, save what is seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", choices=list(PICTURES), action="append", help="instead of all")
    options = parser.parse_args()
    import napari
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication, QDockWidget

    from napari_biofm.widgets.common.viewers import viewer_session
    from napari_biofm.widgets.trace import TraceDock

    for name in options.only or PICTURES:
        viewer = napari.Viewer(show=True)
        app = QApplication.instance()
        viewer.window._qt_window.resize(*SIZE)
        with tempfile.TemporaryDirectory() as folder:
            path = PICTURES[name](options.data / "ephys", Path(folder))
            viewer.window.add_plugin_dock_widget("napari-biofm", "Traces and events")
            dock = next(d for d in viewer.window._qt_window.findChildren(TraceDock))
            dock.recordings.open(path)
            then = AFTER.get(name)
            for _ in range(60):
                app.processEvents()
            window = viewer.window._qt_window
            size = TALL if len(viewer.layers) else SIZE
            window.resize(*size)
            frame = next(f for f in window.findChildren(QDockWidget) if f.isAncestorOf(dock))
            window.resizeDocks([frame], [size[1] * 3 // 5], Qt.Orientation.Vertical)
            for _ in range(60):
                app.processEvents()
            if then is not None:
                then(dock)
            viewer.reset_view()
            for _ in range(20):
                app.processEvents()
            window.grab().save(str(options.out / f"signals_{name}.png"))
            viewer_session(viewer).close()
        viewer.close()


# ------------------------------------------------------------------ NWB


def _nwb(text: str) -> Any:
    import pynwb

    return pynwb.NWBFile(
        session_description=text, identifier=text, session_start_time=datetime(2024, 1, 1, tzinfo=UTC)
    )


def _write(nwb: Any, path: Path) -> Path:
    import pynwb

    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def nwb_patch(ephys: Path, folder: Path) -> Path:
    """Voltage steps with their commands, as intracellular series of NWB."""
    from pynwb import icephys

    from napari_biofm.signals import read_recording

    steps = read_recording(ephys / "abf" / "17o05024_vc_steps.abf")
    nwb = _nwb("voltage steps")
    electrode = nwb.create_icephys_electrode(
        name="electrode 0", description="patch pipette", device=nwb.create_device(name="amplifier")
    )
    for sweep in range(steps.n_sweeps):
        common = {
            "electrode": electrode,
            "gain": 1.0,
            "rate": steps.channels[0].sampling_rate,
            "starting_time": float(steps.sweep_starts[sweep]),
        }
        command = steps.command(sweep, 0)
        nwb.add_intracellular_recording(
            electrode=electrode,
            response=icephys.VoltageClampSeries(
                name=f"response {sweep:02d}", data=steps.values(sweep, 0), conversion=1e-12, **common
            ),
            stimulus=icephys.VoltageClampStimulusSeries(
                name=f"stimulus {sweep:02d}", data=command.values, conversion=1e-3, **common
            ),
        )
    return _write(nwb, folder / "voltage steps.nwb")


def _cells(ephys: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return dF/F (n, T), masks (n, Y, X) and mean images as a mosaic (Y, X), and Hz, of nine neurons."""
    with np.load(ephys / "calcium_spikes" / "with_image_and_roi.npz", allow_pickle=False) as stored:
        names = sorted(key.removesuffix("_dff") for key in stored.files if key.endswith("_dff"))[: SIDE**2]
        rate = float(np.median([stored[f"{name}_fs"] for name in names]))
        dff = [np.asarray(stored[f"{name}_dff"], np.float32) for name in names]
        images = [np.asarray(stored[f"{name}_image"], np.float32) for name in names]
        rois = [np.asarray(stored[f"{name}_roi"]) > 0 for name in names]
    n = min(len(one) for one in dff)
    height, width = np.max([one.shape for one in images], axis=0)
    mosaic = np.zeros((SIDE * height, SIDE * width), np.float32)
    masks = np.zeros((len(names), *mosaic.shape), bool)
    for i, (image, roi) in enumerate(zip(images, rois, strict=True)):
        y, x = (i // SIDE) * height, (i % SIDE) * width
        part = (slice(y, y + image.shape[0]), slice(x, x + image.shape[1]))
        mosaic[part] = (image - image.min()) / np.ptp(image)
        masks[i][part] = roi
    return np.array([one[:n] for one in dff]), masks, mosaic, rate


def nwb_cells(ephys: Path, folder: Path) -> Path:
    """DF/F of nine neurons with their masks, as an ROI response series of NWB; frames carry time stamps."""
    from pynwb import ophys

    dff, masks, _, rate = _cells(ephys)
    nwb = _nwb("calcium imaging")
    plane = nwb.create_imaging_plane(
        name="plane",
        optical_channel=ophys.OpticalChannel(name="green", description="GCaMP6f", emission_lambda=510.0),
        description="mosaic of nine fields",
        device=nwb.create_device(name="microscope"),
        excitation_lambda=920.0,
        indicator="GCaMP6f",
        location="zebrafish",
        imaging_rate=rate,
    )
    table = ophys.PlaneSegmentation(name="cells", description="by hand", imaging_plane=plane)
    for mask in masks:
        table.add_roi(image_mask=mask.T.astype(float))  # (x, y), as the schema has it
    module = nwb.create_processing_module(name="ophys", description="traces")
    module.add(ophys.ImageSegmentation(name="segmentation", plane_segmentations=[table]))
    region = table.create_roi_table_region(description="all", region=list(range(len(dff))))
    container = ophys.DfOverF()
    module.add(container)
    container.add_roi_response_series(
        ophys.RoiResponseSeries(
            name="dff", data=dff.T, rois=region, unit="n.a.", timestamps=np.arange(dff.shape[1]) / rate
        )
    )
    return _write(nwb, folder / "calcium.nwb")


# ------------------------------------------------------------------ calcium pipelines


def suite2p(ephys: Path, folder: Path) -> Path:
    """The same cells as a folder of suite2p."""
    from scipy.io import savemat

    dff, masks, _, rate = _cells(ephys)
    plane = folder / "plane0"
    plane.mkdir()
    np.save(plane / "F.npy", 1000 * (1 + dff))
    np.save(plane / "Fneu.npy", np.full_like(dff, 300))
    np.save(plane / "iscell.npy", np.ones((len(dff), 2)))
    stat = []
    for mask in masks:
        y, x = np.nonzero(mask)
        stat.append({"ypix": y, "xpix": x, "lam": np.ones(len(y))})
    size = {"fs": rate, "Ly": masks.shape[1], "Lx": masks.shape[2]}
    savemat(plane / "Fall.mat", {"F": 1000 * (1 + dff), "ops": size, "stat": np.array(stat)})
    return plane


def caiman(ephys: Path, folder: Path) -> Path:
    """The same cells as results of CaImAn."""
    import h5py
    from scipy import sparse

    dff, masks, _, rate = _cells(ephys)
    footprints = sparse.csc_matrix(masks.transpose(0, 2, 1).reshape(len(masks), -1).T.astype(float))
    path = folder / "caiman results.hdf5"
    with h5py.File(path, "w") as file:
        estimates = file.create_group("estimates")
        estimates["F_dff"], estimates["dims"] = dff, masks.shape[1:]
        estimates["idx_components"] = np.arange(len(dff))
        group = estimates.create_group("A")
        for key in ("data", "indices", "indptr"):
            group[key] = getattr(footprints, key)
        file["params/data/fr"] = rate
    return path


# ------------------------------------------------------------------ plain files


def hdf5(ephys: Path, folder: Path) -> Path:
    """Scored windows of a granule cell, whose dataset says rate and unit."""
    import h5py

    path = folder / "granule cell.h5"
    with (
        h5py.File(ephys / "minis" / "granule_cell_scored_windows.h5", "r") as source,
        h5py.File(path, "w") as file,
    ):
        file["windows"] = source["events"][:100]
        file["windows"].attrs.update(sampling_rate=50_000.0, unit="pA")
    return path


def csv(ephys: Path, folder: Path) -> Path:
    """One sweep of current steps as a table; its rate is asked for and filled in here."""
    from napari_biofm.signals import read_recording
    from napari_biofm.widgets.common.recording_dialog import RateDialog

    steps = read_recording(ephys / "abf" / "17o05028_ic_steps.abf")
    sweep = min(12, steps.n_sweeps - 1)
    path = folder / "current step.csv"
    table = np.column_stack([steps.times(sweep), steps.values(sweep, 0)])
    np.savetxt(path, table, "%.6g", ",", header="time (s),Vm (mV)", comments="")

    def fill_in(dialog: Any) -> int:
        dialog.rate.setValue(steps.channels[0].sampling_rate)
        return int(RateDialog.DialogCode.Accepted)

    RateDialog.exec = fill_in
    return path


def neo(ephys: Path, folder: Path) -> Path:
    """A tetrode of a locust as BrainVision, which neo reads."""
    with np.load(ephys / "other" / "locust_tetrode_trial02.npz", allow_pickle=False) as stored:
        signal, rate = stored["signal"], float(stored["fs"])
    signal.astype("<i2").tofile(folder / "tetrode.eeg")
    (folder / "tetrode.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Marker Infos]\n"
        "Mk1=New Segment,,1,1,0,20240101000000000000\n"
    )
    channels = "\n".join(f"Ch{i + 1}=site {i + 1},,0.1,uV" for i in range(signal.shape[1]))
    path = folder / "tetrode.vhdr"
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nDataFile=tetrode.eeg\n"
        "MarkerFile=tetrode.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={signal.shape[1]}\nSamplingInterval={1e6 / rate:.10g}\n\n"
        f"[Binary Infos]\nBinaryFormat=INT_16\n\n[Channel Infos]\n{channels}\n"
    )
    return path


def _overlaid(dock: Any) -> None:
    dock.toolbar.mode.setCurrentText("Overlaid")


def _near(dock: Any) -> None:
    dock.plots.show_span(1.0, 1.5)
    dock.plots.fit_y()


PICTURES = {
    "nwb_patch": nwb_patch,
    "nwb_cells": nwb_cells,
    "suite2p": suite2p,
    "caiman": caiman,
    "hdf5": hdf5,
    "csv": csv,
    "neo": neo,
}
AFTER = {"nwb_patch": _overlaid, "hdf5": _overlaid, "neo": _near}

if __name__ == "__main__":
    main()
