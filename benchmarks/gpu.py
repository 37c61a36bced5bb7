"""Everything that runs on a graphics card, checked and timed beside stock in one run of at most 8 minutes.

    python benchmarks/gpu.py [--json] [--budget 450] [--only cellpose sam embedded physio memory compile]
    python benchmarks/gpu.py --device cpu --small [--json]     the same code with tiny shapes, to test it

Nothing is fetched: Cellpose-SAM and Segment Anything (ViT-B) have their true size and random weights, the embedded model and
physio-FM the weights of the package. Needed beside PyTorch: numpy, scipy and psygnal, and for the first two parts the packages
`cellpose` and `segment-anything`; a part that lacks one says so. `src` of the checkout is used, an installation is not needed.

cellpose   stock `CellposeModel` in float32 and in its own precision, ours in each precision and for each batch size
sam        stock `SamPredictor.set_image` and ours, in each precision
embedded   segmentation, vectors and clicks of the embedded model
physio     windows of a trace through physio-FM
memory     memory runs out by a real limit: the batch is halved, then the CPU takes over, and the result stays
compile    `torch.compile` and CUDA graphs for the two small networks: faster by how much, after what start

Every part is compared with the CPU in float32. Exit code 0: all well; 1: something differs or failed; 3: no such device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]
NO_DEVICE = 3
# largest difference from float32 on the CPU, as a share of the spread of the answer
TOLERANCE = {"float32": 5e-3, "bfloat16": 0.12, "float16": 0.03}
LEAST_IOU = 0.98  # of masks on the card with masks of the CPU
LIMITS = (0.06, 0.002)  # of the card's memory: some tiles fit, then none


def ran(make: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a task of ours ends with."""
    from napari_biofm.types import run_task

    return run_task(make(*arguments))


@dataclass
class Row:
    """One line of the table; times are medians."""

    part: str
    what: str
    dtype: str = ""
    batch: int = 0
    ms: float = float("nan")
    versus_stock: float = float("nan")  # times faster
    difference: float = float("nan")  # from the CPU in float32, share of the spread
    ok: bool = True
    note: str = ""


@dataclass
class Bench:
    """What every part needs.

    Attributes
    ----------
    device : where the networks run. small : tiny shapes. folder : for checkpoints. rows : filled by the parts.
    """

    device: str
    small: bool
    folder: Path
    end: float
    rows: list[Row] = field(default_factory=list)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The precisions that are tried."""
        return ("float32",) if self.device == "cpu" else ("float32", "bfloat16", "float16")

    def add(self, *args: Any, **kwargs: Any) -> Row:
        """Add a line and print it."""
        row = Row(*args, **kwargs)
        self.rows.append(row)
        print(line(row), flush=True)
        return row

    def timed(self, run: Callable[[], Any], repeats: int = 5) -> float:
        """Return the median of some runs in ms, after one that warms up."""
        import torch

        def wait() -> None:
            if self.device.startswith("cuda"):
                torch.cuda.synchronize(self.device)

        run()
        wait()
        seconds = []
        for _ in range(1 if self.small else repeats):
            start = time.perf_counter()
            run()
            wait()
            seconds.append(time.perf_counter() - start)
            if time.monotonic() > self.end:
                break
        return 1e3 * statistics.median(seconds)


def line(row: Row) -> str:
    """Return a row of the table."""

    def number(value: float, form: str) -> str:
        return "" if np.isnan(value) else format(value, form)

    return (
        f"{row.part:9} {row.what:34} {row.dtype:9} {row.batch or '':>5} {number(row.ms, '10.1f'):>10} "
        f"{number(row.versus_stock, '7.2f'):>7} {number(row.difference, '10.1e'):>10}  "
        f"{'' if row.ok else 'WRONG '}{row.note}"
    )


def apart(found: Any, wanted: Any) -> float:
    """Return the largest difference as a share of the spread (standard deviation) of what is wanted."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    if not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - wanted).max() / max(float(wanted.std()), 1e-12))


# ------------------------------------------------------------------ parts
def cellpose(bench: Bench) -> None:
    """Cellpose-SAM of true size, random weights."""
    from cpsam_vs_stock import BLOCKS, field_of_cells, random_weights, stock_model
    from napari_biofm.images.segment.cellpose_sam import CellposeSAM
    from napari_biofm.types import SegmentationParameters, run_task

    depth, size = (1, 256) if bench.small else (BLOCKS, 1024)
    weights = random_weights(bench.folder, depth)
    image, _ = field_of_cells(size)
    pixels, corner = image[..., None].astype(np.float32), image[:256, :256]

    def flows(model: Any) -> Any:
        maps = run_task(model.run(corner[..., None].astype(np.float32), SegmentationParameters()))
        return np.concatenate([maps.flows, maps.cell_prob[None]])

    wanted = flows(CellposeSAM(weights, "cpu", dtype="float32", keep_features=False))
    fastest = float("inf")
    for half in (False,) if bench.device == "cpu" else (False, True):
        stock = stock_model(weights, bench.device, half, depth)
        ms = bench.timed(partial(stock.eval, image, compute_masks=False))
        fastest = min(fastest, ms)
        bench.add("cellpose", f"stock, {size} px", "bfloat16" if half else "float32", 8, ms)
        del stock
    for dtype in bench.dtypes:
        for batch in (1,) if bench.small else (8,) if dtype != "bfloat16" else (1, 4, 8, 16, 32):
            model = CellposeSAM(weights, bench.device, dtype=dtype, batch=batch)
            ms = bench.timed(partial(ran, model.run, pixels, SegmentationParameters()))
            far = apart(flows(model), wanted)
            fine = far <= TOLERANCE[dtype]
            bench.add("cellpose", f"ours, {size} px", dtype, batch, ms, fastest / ms, far, fine)
            del model


def sam(bench: Bench) -> None:
    """Segment Anything ViT-B, random weights."""
    from napari_biofm.images.prompt.sam import SAM
    from napari_biofm.types import Prompt, run_task
    from sam_vs_stock import random_weights, stock_predictor

    depth = 1 if bench.small else 12
    weights = random_weights(bench.folder, depth)
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), np.uint8)
    reference = SAM(weights, "cpu", dtype="float32")
    wanted = run_task(reference.prepare(image))
    prompt = Prompt(np.array([[400.0, 500.0]]), np.array([True]))
    wanted_masks, _ = reference.predict(wanted, prompt)
    stock = stock_predictor(weights, bench.device, depth)
    slow = bench.timed(partial(stock.set_image, image))
    bench.add("sam", "stock, 1024 px", "float32", 1, slow)
    del stock
    for dtype in bench.dtypes:
        model = SAM(weights, bench.device, dtype=dtype)
        prepared = run_task(model.prepare(image))
        ms = bench.timed(partial(ran, model.prepare, image))
        far = apart(prepared.tiles[0].features, wanted.tiles[0].features)
        bench.add("sam", "ours, 1024 px", dtype, 1, ms, slow / ms, far, far <= TOLERANCE[dtype])
        click = bench.timed(partial(model.predict, prepared, prompt))
        masks, _ = model.predict(wanted, prompt)
        same = float((masks == wanted_masks).mean())
        bench.add(
            "sam", "a click", dtype, 1, click, ok=same > LEAST_IOU, note=f"{100 * same:.2f} % of pixels agree"
        )
        del model


def embedded(bench: Bench) -> None:
    """The image model of the package: masks, vectors, clicks."""
    from embedded import picture
    from napari_biofm.images.segment.embedded.model import EmbeddedModel
    from napari_biofm.types import Prompt, run_task

    here, there = EmbeddedModel(), EmbeddedModel(device=bench.device)
    for size in (128,) if bench.small else (512, 2048):
        image, centres = picture(size)
        wanted, found = run_task(here.segment(image)), run_task(there.segment(image))
        cpu = time.perf_counter()
        run_task(here.segment(image))
        cpu = 1e3 * (time.perf_counter() - cpu)
        ms = bench.timed(partial(ran, there.segment, image))
        a, b = wanted.masks > 0, found.masks > 0
        iou = float((a & b).sum() / max((a | b).sum(), 1))
        count = int(wanted.masks.max()), int(found.masks.max())
        bench.add(
            "embedded", f"segment, {size} px", "float32", 1, ms, difference=apart(found.cell_prob, wanted.cell_prob),
            ok=iou > LEAST_IOU and count[0] == count[1],
            note=f"IoU {iou:.4f}, {count[1]} of {count[0]} cells, CPU {cpu:.0f} ms",
        )  # fmt: skip
        prepared = run_task(there.prepare(image))
        prompt = Prompt(centres[:1].astype(float), np.array([True]))
        click = bench.timed(partial(there.predict, prepared, prompt))
        mask = there.predict(prepared, prompt)[0][0]
        other = here.predict(run_task(here.prepare(image)), prompt)[0][0]
        iou = float((mask & other).sum() / max((mask | other).sum(), 1))
        bench.add(
            "embedded", f"a click, {size} px", "float32", 1, click, ok=iou > LEAST_IOU, note=f"IoU {iou:.4f}"
        )
    crops = np.random.default_rng(0).integers(0, 255, (8 if bench.small else 512, 32, 32)).astype(np.float32)
    far = apart(there.crop_vectors(crops), here.crop_vectors(crops))
    ms = bench.timed(lambda: there.crop_vectors(crops))
    bench.add(
        "embedded", f"vectors of {len(crops)} crops", "float32", len(crops), ms, difference=far, ok=far < 2e-2
    )


def physio(bench: Bench) -> None:
    """Windows of a trace through physio-FM."""
    from napari_biofm.events.physio_fm.runner import NetworkRunner

    here, there = NetworkRunner(), NetworkRunner(device=bench.device)
    rng = np.random.default_rng(0)
    for batch in (2,) if bench.small else (1, 8, 64, 256):
        x = rng.normal(0, 5, (batch, 4096)).astype(np.float32)
        wanted, found = here.run(x, 10_000.0, "pA", "psc"), there.run(x, 10_000.0, "pA", "psc")
        far = max(apart(found[key], wanted[key]) for key in ("sample", "token", "window"))
        ms = bench.timed(partial(there.run, x, 10_000.0, "pA", "psc"))
        start = time.perf_counter()
        here.run(x, 10_000.0, "pA", "psc")
        cpu = 1e3 * (time.perf_counter() - start)
        bench.add(
            "physio", f"{batch} windows of 4096 samples", "float32", batch, ms, difference=far, ok=far < 2e-2,
            note=f"CPU {cpu:.0f} ms",
        )  # fmt: skip


def memory(bench: Bench) -> None:
    """Memory runs out in the middle: smaller batches, then the CPU, and the same result."""
    import torch

    from cpsam_vs_stock import field_of_cells, random_weights
    from napari_biofm.images.segment.cellpose_sam import CellposeSAM
    from napari_biofm.types import SegmentationParameters, run_task

    depth, size = (1, 320) if bench.small else (2, 1024)
    weights = random_weights(bench.folder, depth)
    pixels = field_of_cells(size)[0][..., None].astype(np.float32)

    def run(model: Any) -> Any:
        maps = run_task(model.run(pixels, SegmentationParameters()))
        return np.concatenate([maps.flows, maps.cell_prob[None]])

    plain = CellposeSAM(weights, bench.device, dtype="float32", batch=1, keep_features=False)
    wanted = run(plain)
    del plain
    for limit in LIMITS if bench.device.startswith("cuda") else LIMITS[:1]:
        model = CellposeSAM(weights, bench.device, dtype="float32", batch=64, keep_features=False)
        first = model.plan
        with limited(bench.device, limit, model):
            start = time.perf_counter()
            found = run(model)
            ms = 1e3 * (time.perf_counter() - start)
        last, far = model.plan, apart(found, wanted)
        fell = last.batch < first.batch or last.device != first.device
        bench.add(
            "memory", f"{100 * limit:g} % of the memory allowed", "float32", 64, ms, difference=far,
            ok=far <= TOLERANCE["float32"] and fell,
            note=f"batch {first.batch} -> {last.batch}, {first.device} -> {last.device}",
        )  # fmt: skip
        del model
        if bench.device.startswith("cuda"):
            torch.cuda.empty_cache()


@contextmanager
def limited(device: str, share: float, model: Any) -> Iterator[None]:
    """Allow a share of the card's memory; on a CPU, which has no such limit, batches above one tile fail."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(share, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    real = model._forward

    def small(tiles: Any) -> Any:
        if len(tiles) > 1:
            raise torch.OutOfMemoryError("out of memory: a limit of the benchmark")
        return real(tiles)

    model._forward = small
    yield
    model._forward = real


def compiled(bench: Bench) -> None:
    """`torch.compile` and CUDA graphs for the small networks."""
    import torch

    from napari_biofm.events.physio_fm.weights import STOCK, load
    from napari_biofm.images.segment.embedded.model import EmbeddedModel
    from napari_biofm.models.device import memory_format

    side = 64 if bench.small else 512
    image = EmbeddedModel(device=bench.device).network
    planes = torch.randn(1, 3, side, side, device=bench.device).contiguous(
        memory_format=memory_format(bench.device)
    )
    physio_net = load(STOCK, bench.device)[0]
    from napari_biofm.events.physio_fm.input_encoding import N_INPUTS, N_TOKENS

    windows = torch.randn(1 if bench.small else 8, N_INPUTS, 1024, device=bench.device)
    tokens = torch.randn(len(windows), N_TOKENS, device=bench.device)
    for name, net, inputs in (
        ("embedded network", image, (planes,)), ("physio-FM", physio_net, (windows, tokens)),
    ):  # fmt: skip
        with torch.inference_mode():
            wanted = first_of(net(*inputs))
            eager = bench.timed(partial(net, *inputs), 20)
        bench.add("compile", f"{name}, as it is", "float32", len(inputs[0]), eager)
        for way in ("compile",) if bench.device == "cpu" else ("compile", "graph"):
            start = time.perf_counter()
            try:
                run = graph_of(net, inputs) if way == "graph" else compile_of(net, inputs, bench.small)
                took = time.perf_counter() - start
                with torch.inference_mode():
                    far = apart(first_of(run()).float().cpu(), wanted.float().cpu())
                    ms = bench.timed(run, 20)
            except Exception as error:  # noqa: BLE001 - compilers of all kinds are missing or fail
                bench.add(
                    "compile", f"{name}, {way}", note=f"cannot: {type(error).__name__}: {str(error)[:80]}"
                )
                continue
            pays = "pays" if eager > 1.15 * ms else "does not pay"
            bench.add(
                "compile", f"{name}, {way}", "float32", len(inputs[0]), ms, eager / ms, far, far < 5e-3,
                f"{pays}; start {took:.1f} s",
            )  # fmt: skip


def first_of(out: Any) -> Any:
    """Return the main output of a network."""
    return out["sample"] if isinstance(out, dict) else out[0]


def compile_of(net: Any, inputs: tuple[Any, ...], small: bool) -> Callable[[], Any]:
    """Return the network compiled for these inputs; it is run once."""
    import torch

    made = torch.compile(net, backend="eager" if small else "inductor")
    with torch.inference_mode():
        made(*inputs)
    return lambda: made(*inputs)


def graph_of(net: Any, inputs: tuple[Any, ...]) -> Callable[[], Any]:
    """Return a replay of the network as a CUDA graph on these inputs."""
    import torch

    side = torch.cuda.Stream()
    with torch.inference_mode():
        with torch.cuda.stream(side):
            for _ in range(3):
                net(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = net(*inputs)

    def replay() -> Any:
        graph.replay()
        return out

    return replay


PARTS: dict[str, Callable[[Bench], None]] = {
    "embedded": embedded,
    "physio": physio,
    "cellpose": cellpose,
    "sam": sam,
    "memory": memory,
    "compile": compiled,
}


def main() -> int:
    """Run the parts; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, mps or cpu")
    parser.add_argument("--small", action="store_true", help="tiny shapes, one block of each transformer")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), help="some parts")
    parser.add_argument(
        "--budget", type=float, default=450, help="seconds; parts that come later are left out"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    import torch

    from napari_biofm.models.device import pick_device
    from napari_biofm.types import EngineError

    try:
        device = pick_device(args.device)
    except EngineError as error:
        print(f"Nothing was measured: {error}.")
        return NO_DEVICE
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    started = time.monotonic()
    print(
        f"{name}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}{', tiny shapes' if args.small else ''}"
    )
    print(f"{'part':9} {'what':34} {'precision':9} {'batch':>5} {'ms':>10} {'x stock':>7} {'difference':>10}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(device, args.small, Path(folder), started + args.budget)
        for part in args.only or PARTS:
            if time.monotonic() > bench.end:
                bench.add(part, "left out", ok=False, note=f"the budget of {args.budget:.0f} s is spent")
                continue
            try:
                PARTS[part](bench)
            except ImportError as error:
                bench.add(part, "left out", note=f"needs {error.name or error}")
            except Exception as error:  # noqa: BLE001 - the other parts are still worth knowing
                bench.add(part, "failed", ok=False, note=f"{type(error).__name__}: {str(error)[:160]}")
    wrong = [row for row in bench.rows if not row.ok]
    seconds = time.monotonic() - started
    print(f"{len(bench.rows)} rows in {seconds:.0f} s, {len(wrong)} wrong")
    if args.json:
        rows = [{k: None if v != v else v for k, v in asdict(row).items()} for row in bench.rows]
        print(
            json.dumps(
                {
                    "device": name,
                    "torch": torch.__version__,
                    "seconds": round(seconds),
                    "wrong": len(wrong),
                    "rows": rows,
                }
            )
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
