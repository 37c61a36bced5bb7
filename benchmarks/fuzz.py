"""Damaged files: how every reader of the program ends.

`python benchmarks/fuzz.py [--cases 1000] [--kinds abf tiff ...] [--seed 0] [--quick] [--json]`
makes one sound file per kind, damages copies of it (seeded), and opens each in a process of its own kind with a limit on
memory and time. JSON is also damaged as data (a value of another kind, absurd, or gone), and where JSON states the hash of a
damaged file it is often corrected, as somebody would who means harm. Counted are: read, refused (our own error), unexpected
(any other exception), hang (> 20 s of its own time, or 5 minutes by the clock), memory
(> 1 GB more than before) and crash. The last four should be 0. What ended so is named with its seed and kept in
`--keep DIR`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
FIXTURES = ROOT / "tests/fixtures"
LIMIT_S, LONGEST_S, LIMIT_MB = 20.0, 300.0, 1000
ENDS = ("read", "refused", "unexpected", "hang", "memory", "crash")
Make = Callable[[Path], Path]
Use = Callable[[Path], object]


# ------------------------------------------------------------------ sound files
def _image() -> np.ndarray:
    yy, xx = np.mgrid[:48, :64]
    return (200 + 800 * np.exp(-((yy - 24) ** 2 + (xx - 30) ** 2) / 60)).astype(np.uint16)


def _labels() -> np.ndarray:
    out = np.zeros((48, 64), np.int32)
    out[5:15, 5:15], out[20:34, 30:44] = 1, 2
    return out


def copy_of(name: str, *beside: str) -> Make:
    """Return a maker that copies a fixture, and what must lie beside it."""

    def make(folder: Path) -> Path:
        for other in beside:
            shutil.copy(FIXTURES / other, folder)
        return Path(shutil.copy(FIXTURES / name, folder))

    return make


def written(name: str, write: Callable[[Path], object]) -> Make:
    """Return a maker that writes a file of that name."""

    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return make


def text(name: str, content: str) -> Make:
    """Return a maker of a text file."""
    return written(name, lambda path: path.write_text(content, encoding="utf-8"))


def _tiff(path: Path, **options: Any) -> None:
    import tifffile

    tifffile.imwrite(path, _image(), **options)


def _npz(path: Path) -> None:
    np.savez(path, signal=np.sin(np.arange(4000) / 50).astype(np.float32), sampling_rate=1000.0, unit="mV")


def _h5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset(
            "data", data=np.random.default_rng(0).normal(size=(3, 4000)).astype("f4"), chunks=(1, 500)
        )
        file["data"].attrs.update({"sampling_rate": 1000.0, "unit": "pA"})


def _caiman(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("estimates")
        group["C"], group["F_dff"] = np.ones((3, 200)), np.ones((3, 200))
        a = group.create_group("A")
        a["data"], a["indices"], a["indptr"] = np.ones(30), np.arange(30), np.array([0, 10, 20, 30])
        a["shape"] = np.array([400, 3])
        file["dims"] = np.array([20, 20])
        file.create_group("params").create_group("data")["fr"] = 30.0


def _zarr(path: Path) -> None:
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    array = group.create_array("0", shape=(48, 64), chunks=(24, 32), dtype="u2")
    array[:] = _image()
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
         "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}]}
    ]  # fmt: skip


def _suite2p(path: Path) -> None:
    plane = path / "plane0"
    plane.mkdir(parents=True)
    stat = [
        {"ypix": np.arange(5) + k, "xpix": np.arange(5), "lam": np.ones(5), "npix": 5, "med": [2, 2]}
        for k in range(3)
    ]
    np.save(plane / "stat.npy", np.array(stat, dtype=object), allow_pickle=True)
    np.save(plane / "ops.npy", np.array({"Ly": 20, "Lx": 20, "fs": 30.0}, dtype=object), allow_pickle=True)
    for name in ("F", "Fneu", "spks"):
        np.save(plane / f"{name}.npy", np.ones((3, 100), np.float32))
    np.save(plane / "iscell.npy", np.ones((3, 2)))


def _cells(path: Path) -> None:
    from napari_biofm.images.io.exchange.formats import write_cells

    write_cells(path, _labels())


def _cell_table(path: Path) -> None:
    import anndata
    import pandas as pd

    from napari_biofm.session.saving import write_table

    obs = pd.DataFrame({"label": [1, 2, 3], "area": [1.0, 2.0, 3.0]}, index=["1", "2", "3"])
    write_table(path, anndata.AnnData(np.ones((3, 4), np.float32), obs=obs))


def _head(path: Path) -> None:
    rng = np.random.default_rng(0)
    import tifffile

    crops = rng.integers(0, 200, (24, 24, 24)).astype(np.uint8)
    crops[12:] += 40
    tifffile.imwrite(path.parent / "crops.tif", crops)
    rows = "\n".join(f"{i},{'a' if i < 12 else 'b'}" for i in range(24))
    (path.parent / "classes.csv").write_text(f"object_id,label\n{rows}\n")
    from napari_biofm.cli import main

    main(
        ["cells", "fit", "--crops", str(path.parent / "crops.tif"), "--labels", str(path.parent / "classes.csv"),
         "--out", str(path), "--model", "biofm-image"]
    )  # fmt: skip


def _session(path: Path) -> None:
    shutil.copytree(FIXTURES / "version_0_1/session/day1.biofm", path)


# ------------------------------------------------------------------ what reads them
def _recording(path: Path) -> object:
    import napari_biofm as biofm

    recording = biofm.read_recording(path)
    for sweep in range(min(recording.n_sweeps, 50)):
        for channel in range(min(len(recording.channels), 20)):
            recording.values(sweep, channel, 0, min(recording.n_samples(sweep, channel), 100_000)).sum()
    return recording


def _suite2p_folder(path: Path) -> object:
    import napari_biofm as biofm

    return biofm.read_recording(path, sampling_rate=30.0)


def _read_image(path: Path) -> object:
    from napari_biofm.images.io.lazy import open_described, read_stack
    from napari_biofm.images.io.movie_facts import movie_facts

    open_described(path)
    movie_facts(path)
    return read_stack(path)[0].sum()


def _read_masks(path: Path) -> object:
    import napari_biofm as biofm

    return biofm.read_masks(path)


def _read_cells(path: Path) -> object:
    from napari_biofm.images.io.exchange.formats import read_cells

    return read_cells(path, (48, 64))


def _table(path: Path) -> object:
    from napari_biofm.session.saving import read_table

    return read_table(path)


def _plate(path: Path) -> object:
    from napari_biofm.conditions.plates import read_plate_map

    return read_plate_map(path)


def _label_rows(path: Path) -> object:
    from napari_biofm.cells.table.files import read_label_rows

    return read_label_rows(path)


def _recipe(path: Path) -> object:
    from napari_biofm.batch.recipe import Recipe

    return Recipe.read(path)


def _open_session(path: Path) -> object:
    import napari_biofm as biofm

    return biofm.open_session(path)


def _load_head(path: Path) -> object:
    from napari_biofm.cells.classify.persist import load_head

    return load_head(path)


def _prompts(path: Path) -> object:
    from napari_biofm.cli import main
    from napari_biofm.types import BiofmError

    image = path.parent / "image.tif"
    if not image.exists():
        _tiff(image)
    code = main(
        ["click", str(image), "--prompts", str(path), "--out", str(path.parent / "clicks"), "--force"]
    )
    if code == 70:
        raise AssertionError("exit code 70")
    if code:
        raise BiofmError(f"exit code {code}")
    return code


def _weights(path: Path) -> None:
    path.mkdir()
    for ending in ("safetensors", "json"):
        shutil.copy(ROOT / f"src/napari_biofm/weights/physio.{ending}", path)


def _load_weights(path: Path) -> object:
    from napari_biofm.events.physio_fm.weights import load

    return load(path / "physio.safetensors")


def _taught(path: Path) -> None:
    from napari_biofm.events.physio_fm.head import AdaptedHead

    path.mkdir()
    one = np.zeros(3)
    AdaptedHead(
        "psc", ["PSC", "other"], np.hanning(20), 9, 0, 0.3, one, one + 1, np.zeros((2, 4)), 0.5, "0" * 64
    ).save(path / "taught.safetensors")


def _load_taught(path: Path) -> object:
    from napari_biofm.events.physio_fm.head import AdaptedHead

    head = AdaptedHead.load(path / "taught.safetensors")
    return head.probabilities(np.zeros((2, 3))), head.laid


def _edf(path: Path) -> None:
    import pyedflib

    with pyedflib.EdfWriter(str(path), 2, file_type=pyedflib.FILETYPE_EDF) as writer:
        for k in range(2):
            writer.setSignalHeader(
                k, {"label": f"ch{k}", "dimension": "mV", "sample_frequency": 100 * (k + 1), "physical_max": 5.0,
                    "physical_min": -5.0, "digital_max": 32767, "digital_min": -32768, "transducer": "", "prefilter": ""}
            )  # fmt: skip
        writer.writeSamples([np.sin(np.arange(500.0)), np.sin(np.arange(1000.0))])


def _onnx(path: Path) -> None:
    import onnx

    path.mkdir()
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    w = onnx.numpy_helper.from_array(np.ones((3, 2, 3, 3), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("GlobalAveragePool", ["c"], ["p"]),
             helper.make_node("Flatten", ["p"], ["y"])]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", real, ["n", 2, 8, 8])],
        [helper.make_tensor_value_info("y", real, ["n", 3])], [w],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (path / "a.onnx").write_bytes(model.SerializeToString())
    (path / "a.json").write_text(json.dumps({"input": "crops", "size": 8, "channels": 2, "licence": "MIT"}))


def _encode(path: Path) -> object:
    from napari_biofm.images.segment.onnx_encoder import OnnxEncoder

    return OnnxEncoder(path / "a.onnx").crop_vectors(np.ones((2, 12, 12, 2), np.float32))


def _targets_of(path: Path) -> object:
    from napari_biofm.cells.values.targets import read_targets

    return read_targets(path)


def _h5ad(path: Path) -> None:
    import anndata
    import pandas as pd

    obs = pd.DataFrame({"group": ["a", "b", "a"]}, index=["1", "2", "3"])
    table = anndata.AnnData(np.ones((3, 4), np.float32), obs=obs)
    table.obsm["X_pca"] = np.ones((3, 2), np.float32)
    table.write_h5ad(path)


def _read_anndata(path: Path) -> object:
    from napari_biofm.conditions.outside import read_vectors
    from napari_biofm.types import BiofmError

    try:
        _targets_of(path)
    except BiofmError:
        return read_vectors(path, key="X_pca")
    return None


def _nifti(path: Path) -> None:
    import nibabel

    values = np.arange(6 * 5 * 4 * 3, dtype=np.int16).reshape(6, 5, 4, 3)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), path)


def _read_nifti(path: Path) -> object:
    from napari_biofm.images.io.nifti import read_nifti

    return read_nifti(path)


def _sdf(path: Path) -> None:
    from rdkit import Chem
    from rdkit.Chem.rdDistGeom import EmbedMolecule

    with Chem.SDWriter(str(path)) as writer:
        for k, smiles in enumerate(("CCO", "c1ccccc1N")):
            molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
            EmbedMolecule(molecule, randomSeed=1)
            molecule.SetProp("_Name", f"pose {k}")
            molecule.SetProp("minimizedAffinity", str(-5.5 - k))
            writer.write(molecule)


def _poses(path: Path) -> object:
    import napari_biofm as biofm

    poses, notes = biofm.read_poses(path)
    assert poses or notes
    return poses


def _description(path: Path) -> object:
    from napari_biofm.models.onnx_files import read_description

    return read_description(path)


CSV = "time (s),Im (pA),Vm (mV)\n" + "".join(
    f"{k / 1000:.3f},{np.sin(k):.3f},{-65 + k % 7}\n" for k in range(600)
)
PLATE = "well,compound,dose,control\nA01,DMSO,0 uM,negative\nA02,x,1 uM,\nB01,x,10 nM,\nB02,y,3 uM,positive\n"
RECIPE = '[input]\nimages = ["*.tif"]\nmasks = "m"\n\n[[step]]\ndo = "measure"\n\n[[step]]\ndo = "events"\nkind = "psc"\n'
PROMPTS = json.dumps([{"id": 1, "points": [[24, 30, 1], [2, 2, 0]], "box": [10, 15, 40, 50]}])
KINDS: dict[str, tuple[Make, Use]] = {
    "abf": (copy_of("recordings/steps.abf"), _recording),
    "abf-gapfree": (copy_of("recordings/gapfree.abf"), _recording),
    "heka": (copy_of("recordings/steps.dat"), _recording),
    "wfdb": (copy_of("recordings/ecg16.dat", "recordings/ecg16.hea"), _recording),
    "nwb": (copy_of("recordings/clamp.nwb"), _recording),
    "hdf5": (written("a.h5", _h5), _recording),
    "caiman": (written("a.hdf5", _caiman), _recording),
    "suite2p": (written("suite2p", _suite2p), _suite2p_folder),
    "npz": (written("a.npz", _npz), _recording),
    "csv": (text("a.csv", CSV), _recording),
    "edf": (written("a.edf", _edf), _recording),
    "tiff": (written("a.tif", _tiff), _read_image),
    "tiff-deflate": (written("a.tif", lambda p: _tiff(p, compression="deflate", tile=(16, 16))), _read_image),
    "ome-tiff": (
        written("a.ome.tif", lambda p: _tiff(p, metadata={"axes": "YX", "PhysicalSizeX": 0.5})),
        _read_image,
    ),
    "imagej": (written("a.tif", lambda p: _tiff(p, imagej=True)), _read_image),
    "npy": (written("a.npy", lambda p: np.save(p, _labels())), _read_masks),
    "zarr": (written("a.zarr", _zarr), _read_image),
    "session": (written("day1.biofm", _session), _open_session),
    "head": (written("head", _head), _load_head),
    "weights": (written("weights", _weights), _load_weights),
    "physio-head": (written("taught", _taught), _load_taught),
    "onnx": (written("encoder", _onnx), _encode),
    "onnx-description": (
        text("a.json", json.dumps({"input": "crops", "size": 224, "channels": 3, "licence": "MIT"})),
        _description,
    ),
    "recipe": (text("recipe.toml", RECIPE), _recipe),
    "plate-map": (text("plate.csv", PLATE), _plate),
    "prompts": (text("prompts.json", PROMPTS), _prompts),
    "labels": (text("labels.csv", "object_id,label,group\n0,a,1\n1,b,1\n2,a,2\n"), _label_rows),
    "targets": (text("t.csv", "object_id,size,gene,group\n1,0.5,3,a\n2,0.25,,b\n3,1e3,7,a\n"), _targets_of),
    "h5ad": (written("a.h5ad", _h5ad), _read_anndata),
    "nifti": (written("a.nii", _nifti), _read_nifti),
    "nifti-gz": (written("a.nii.gz", _nifti), _read_nifti),
    "sdf": (written("ligand.sdf", _sdf), _poses),
    "cell-table": (written("cells.zarr", _cell_table), _table),
    "roi-zip": (written("rois.zip", _cells), _read_cells),
    "geojson": (written("a.geojson", _cells), _read_cells),
}


# ------------------------------------------------------------------ damage
def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a damaged copy: cut, bytes flipped, a stretch overwritten, doubled or left out, or a number made absurd."""
    out, n = bytearray(content), len(content)
    if n == 0:
        return bytes(rng.integers(0, 256, 16, dtype=np.uint8))
    how = rng.integers(7)
    at = int(rng.integers(min(n, 512) if rng.random() < 0.5 else n))
    size = min(n - at, 2 ** int(rng.integers(0, 9)))
    if how == 0:
        return bytes(out[:at])
    if how == 1:
        for k in rng.integers(0, n, rng.integers(1, 12)):
            out[k] = rng.integers(256)
    elif how == 2:
        for k in rng.integers(0, min(n, 512), rng.integers(1, 12)):
            out[k] = rng.integers(256)
    elif how == 3:
        out[at : at + size] = bytes(size)
    elif how == 4:
        out[at:at] = out[at : at + size] * int(rng.integers(1, 4))
    elif how == 5:
        del out[at : at + size]
    else:
        absurd = (-1, 0, 2**31 - 1, 2**32 - 1, 2**63 - 1, 65_535)[rng.integers(6)]
        form = ("<i", "<I", "<q", ">I", "<H")[rng.integers(5)]
        width = struct.calcsize(form)
        out[at : at + width] = (absurd & (2 ** (8 * width) - 1)).to_bytes(width, "little")
    return bytes(out)


ODD: tuple[Any, ...] = (
    None, float("nan"), float("inf"), -1, 0, 1.5, 2**63, 10**40, True, "", "x", "../../a", "1e999", [], {}, [[]], {"a": 1},
    "\ud800", "9" * 5000,
)  # fmt: skip


def damaged_json(content: bytes, rng: np.random.Generator) -> bytes | None:
    """Return JSON of which one value is of another kind, absurd, doubled or gone; None where it is no JSON."""
    try:
        holder: Any = [json.loads(content)]
    except ValueError:
        return None
    whole, key = holder, 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[rng.integers(len(keys))]
    how = rng.integers(6)
    if how == 0 and holder is not whole:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[f"{key}2"] = holder[key]
    elif how == 2 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = ODD[rng.integers(len(ODD))]
    return json.dumps(whole[0]).encode()


def damage(path: Path, rng: np.random.Generator) -> None:
    """Damage a file, or one of the files of a folder, in place; its hash in JSON beside it is often corrected."""
    inside = path.is_dir()
    if inside:
        files = sorted(p for p in path.rglob("*") if p.is_file())
        path = files[rng.integers(len(files))]
    before = path.read_bytes()
    after = damaged_json(before, rng) if rng.random() < 0.5 else None
    path.write_bytes(damaged(before, rng) if after is None else after)
    if inside and rng.random() < 0.7:
        old, new = (hashlib.sha256(content).hexdigest().encode() for content in (before, path.read_bytes()))
        for file in path.parent.glob("*.json"):
            if old in file.read_bytes():
                file.write_bytes(file.read_bytes().replace(old, new))


# ------------------------------------------------------------------ the process that opens them
def serve() -> None:
    """Open what stdin names, one after the other, and say on stdout how it ended."""
    import warnings

    warnings.simplefilter("ignore")
    from napari_biofm.types import BiofmError

    said = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for line in sys.stdin:
        kind, path = json.loads(line)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            KINDS[kind][1](Path(path))
            end, why = "read", ""
        except BiofmError as error:
            end, why = "refused", str(error)
            if "\n" in why.strip():
                end = "unexpected"
        except MemoryError:
            end, why = "memory", traceback.format_exc()
        except BaseException as error:  # noqa: BLE001 - every end is counted
            where = [
                f"{f.filename.split('/')[-1]}:{f.lineno}"
                for f in traceback.extract_tb(error.__traceback__)[-4:]
            ]
            end, why = "unexpected", f"{type(error).__name__} at {' > '.join(where)}: {str(error)[:200]}"
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if more > LIMIT_MB and end in ("read", "refused"):
            end = "memory"
        said.write(json.dumps([end, why]) + "\n")
        said.flush()


def processor_s(pid: int) -> float:
    """Return the seconds that a process has been on a processor so far."""
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


class Server:
    """A process that opens files; started again when it dies or hangs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, kind: str, path: Path) -> tuple[str, str]:
        """Return how opening a file ended, and why."""
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        process.stdin.flush()
        begun, spent = time.monotonic(), processor_s(process.pid)
        ready: list[Any] = []
        # on a busy machine the clock goes on while others work
        while (
            not ready and processor_s(process.pid) - spent < LIMIT_S and time.monotonic() - begun < LONGEST_S
        ):
            ready = select.select([process.stdout], [], [], 1.0)[0]
        line = process.stdout.readline() if ready else ""
        if line:
            end, why = json.loads(line)
            return str(end), str(why)
        code = process.poll()
        self.close()
        return ("hang", "") if not ready else ("crash", f"exit {code}")

    def _start(self) -> subprocess.Popen[str]:
        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=limited,
        )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def run(kind: str, cases: int, seed: int, keep: Path | None) -> tuple[Counter[str], dict[str, int]]:
    """Return how often each end came, and the unwanted ones with their first case."""
    ends: Counter[str] = Counter()
    reasons: dict[str, int] = {}
    server = Server()
    with tempfile.TemporaryDirectory() as name:
        sound = Path(name) / "sound"
        sound.mkdir()
        made = KINDS[kind][0](sound)
        end, why = server.ask(kind, made)
        if end != "read":
            raise SystemExit(f"{kind}: the sound file is not read: {end} {why}")
        for case in range(cases):
            rng = np.random.default_rng([seed, case, *kind.encode()])
            folder = Path(name) / "case"
            shutil.copytree(sound, folder)
            path = folder / made.name
            damage(path, rng)
            end, why = server.ask(kind, path)
            ends[end] += 1
            if end not in ("read", "refused"):
                short = f"{end}: {why}"[:160]
                reasons.setdefault(short, case)
                if keep is not None and reasons[short] == case:
                    keep.mkdir(parents=True, exist_ok=True)
                    target = keep / f"{kind}-{case}"
                    (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
            shutil.rmtree(folder)
    server.close()
    return ends, reasons


def main() -> None:
    """Fuzz the kinds that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000, help="damaged files per kind (default 1000)")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS), help="all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default 0)")
    parser.add_argument("--keep", type=Path, help="folder for what ended badly")
    parser.add_argument("--quick", action="store_true", help="30 cases per kind")
    parser.add_argument("--json", action="store_true", help="last line is one JSON object")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.serve:
        serve()
        return
    total: Counter[str] = Counter()
    print(f"{'kind':18}" + "".join(f"{end:>12}" for end in ENDS))
    for kind in said.kinds:
        ends, reasons = run(kind, 30 if said.quick else said.cases, said.seed, said.keep)
        total += ends
        print(f"{kind:18}" + "".join(f"{ends[end]:>12}" for end in ENDS), flush=True)
        for why, case in sorted(reasons.items(), key=lambda one: one[1]):
            print(f"    case {case}: {why}", flush=True)
    print(f"{'all':18}" + "".join(f"{total[end]:>12}" for end in ENDS))
    if said.json:
        print(json.dumps({"cases": sum(total.values()), **{end: total[end] for end in ENDS}}))


if __name__ == "__main__":
    main()
