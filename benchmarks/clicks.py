"""Click -> mask: how long each backend takes, on 512, 1024, 2048 px and 20,000 x 20,000 px.

    python benchmarks/clicks.py [--quick] [--json] [--sam-weights FILE] [--window]

Times are of the answer to a prompt, cropped and ready to be drawn, after the image was prepared. SAM's
decoder costs the same whatever the weights hold; without --sam-weights its true architecture with random
weights is timed (and said so). The p95 of a backend is that of its worst size. --window opens napari, adds
the time until the preview is written, and times edits of the largest labels until they are shown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.engine.threads import wait_asleep
from napari_biofm.images.prompt.correction import Answer
from napari_biofm.images.prompt.flow_basins import Basins, lookup
from napari_biofm.images.prompt.level_sets import LevelSets, Plane
from napari_biofm.types import ModelError, Prompt, run_task

LARGEST_FOR_NETWORKS = 2048
SPACING = 32  # pixels between cells of the picture


def block(size: int = 512) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a picture of round cells, their basins and logits; it can be repeated in both directions."""
    y, x = np.indices((size, size))
    cy, cx = y // SPACING * SPACING + SPACING // 2, x // SPACING * SPACING + SPACING // 2
    far = np.hypot(y - cy, x - cx)
    rng = np.random.default_rng(0)
    image = (200 / (1 + np.exp(far - 11)) + rng.normal(20, 5, far.shape)).clip(0, 255).astype(np.uint8)
    basins = (y // SPACING) * (size // SPACING) + x // SPACING + 1
    basins[far > 15] = 0
    return image, basins.astype(np.int32), (8 - 0.7 * far).astype(np.float32)


def field(size: int) -> tuple[np.ndarray, Basins]:
    """Return a picture of any size and its basins, by repeating the block with fresh ids."""
    image, basins, prob = block()
    n = -(-size // len(image))
    whole = np.tile(basins, (n, n))
    step = int(basins.max())
    for i in range(n):
        for j in range(n):
            part = whole[i * 512 : (i + 1) * 512, j * 512 : (j + 1) * 512]
            part[part > 0] += step * (i * n + j)
    cut = slice(0, size)
    return np.tile(image, (n, n))[cut, cut], Basins.from_arrays(
        whole[cut, cut], np.tile(prob, (n, n))[cut, cut]
    )


def prompts(size: int, n: int) -> list[Prompt]:
    """Return clicks near the centres of random cells; every third has a second, negative click."""
    rng = np.random.default_rng(1)
    found = []
    for k in range(n):
        centre = rng.integers(0, size // SPACING, 2) * SPACING + SPACING // 2
        asked = [centre + rng.normal(0, 3, 2)]
        if k % 3 == 2:
            asked.append(centre + np.array([0.0, SPACING]))
        points = np.clip(np.array(asked), 0, size - 1)
        found.append(Prompt(points, np.arange(len(points)) == 0))
    return found


def timed(
    answer: Callable[[Prompt], Any], asked: list[Prompt], shown: Callable[[Any], None] | None
) -> list[float]:
    """Return milliseconds per prompt; the first three are not counted."""
    times = []
    for prompt in asked:
        begin = time.perf_counter()
        got = answer(prompt)
        if shown is not None:
            shown(got)
        times.append(1e3 * (time.perf_counter() - begin))
    return times[3:]


def previewer(size: int) -> tuple[Any, Callable[[Any], None]]:
    """Open napari with labels of this size; return the viewer and a call that previews an answer."""
    import napari

    from napari_biofm.canvas.click_preview import Preview
    from napari_biofm.images.edit import View

    viewer: Any = napari.Viewer(show=True)  # it gets add_labels at run time
    labels = viewer.add_labels(np.zeros((size, size), np.int32))
    preview, view = Preview(viewer), View.last(2)

    def show(answer: Answer) -> None:
        preview.show(labels, view, answer.pieces[0] if answer.pieces else None)

    return viewer, show


class Networks:
    """SAM (ours and stock) and the embedded model, loaded once; what is absent is noted.

    Parameters
    ----------
    weights : SAM checkpoint, or None for random weights of the true decoder behind a single encoder block.
    folder : for the random weights. with_sam : False leaves Segment Anything out.
    """

    def __init__(self, weights: Path | None, folder: Path, with_sam: bool = True) -> None:
        import torch

        torch.set_num_threads(2)
        self.notes: dict[str, str] = {}
        self.sam: Any = None
        self.embedded: Any = None
        try:
            if not with_sam:  # its torchvision and a software OpenGL do not go together in one process
                raise ImportError("not timed beside a window; run without --window")
            from napari_biofm.images.prompt.sam import SAM
            from sam_vs_stock import random_weights, stock_predictor

            depth = 12 if weights is not None else 1
            path = weights or random_weights(folder, depth)
            self.sam, self.stock = SAM(path, "cpu"), stock_predictor(path, "cpu", depth)
            self.notes["sam"] = path.name if weights else "random weights, true decoder"
        except ImportError as error:
            self.notes["sam"] = f"not timed: {error}"
        try:
            from napari_biofm.images.segment.embedded.model import EmbeddedModel

            self.embedded = EmbeddedModel(threads=2)
        except ModelError as error:
            self.notes["embedded"] = str(error)

    def on(self, image: np.ndarray) -> Iterator[tuple[str, Callable[[Prompt], Answer]]]:
        """Yield the backends after they have prepared an image."""
        if self.sam is not None:
            yield "sam", _promptable(self.sam, image)
            self.stock.set_image(np.repeat(image[..., None], 3, axis=2))
            yield "stock_sam", self._stock
        if self.embedded is not None:
            yield "embedded", _promptable(self.embedded, image)

    def products(self) -> Callable[[Prompt], Any] | None:
        """Return what is to be timed as the least a click can cost; None without Segment Anything."""
        return None if self.sam is None else decoder_products()

    def _stock(self, prompt: Prompt) -> Answer:
        masks, scores, _ = self.stock.predict(prompt.points[:, ::-1], prompt.positive.astype(int))
        return Answer.of(masks, list(scores))


def _promptable(model: Any, image: np.ndarray) -> Callable[[Prompt], Answer]:
    prepared = run_task(model.prepare(image))

    def answer(prompt: Prompt) -> Answer:
        masks, scores = model.predict(prepared, prompt)
        return Answer.of(masks, list(scores))

    return answer


def decoder_products() -> Callable[[Prompt], None]:
    """Return the matrix products of a click in the rewritten decoder, and nothing else."""
    import torch

    places, tokens, by_head = 4096, 7, 8  # of the image, of a prompt with one point; attention heads
    image, asked = torch.randn(places, 256), torch.randn(tokens * by_head, 256)
    weights = torch.randn(tokens * by_head, places)
    grow, grown, grow_again = torch.randn(256, 256), torch.randn(4 * places, 64), torch.randn(64, 128)
    fine, filters = torch.randn(16 * places, 32), torch.randn(32, 4)

    def run(_prompt: Prompt) -> None:
        with torch.inference_mode():
            for _ in range(3):  # tokens read the image
                asked @ image.T
                weights @ image
            for _ in range(2):  # the image reads the tokens
                asked @ image.T
                weights.T @ asked
            image @ grow
            grown @ grow_again
            fine @ filters

    return run


def edit_times(size: int, n: int = 5) -> dict[str, float]:
    """Return milliseconds from an edit of a cell to its picture, drawn by napari and by us (medians of n)."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_biofm.canvas.large_labels import LargeLabels

    viewer: Any = napari.Viewer(show=True)  # it gets add_labels at run time
    layer = viewer.add_labels(np.zeros((size, size), np.int32))
    rows, columns = (a.ravel() + size // 2 for a in np.indices((40, 40)))
    found, label = {}, 0
    for name in ("napari", "ours"):
        ours = LargeLabels(layer) if name == "ours" else None
        times = []
        for _ in range(n):
            label += 1
            begin = time.perf_counter()
            layer.data_setitem((rows, columns), np.full(len(rows), label, np.int32))
            QApplication.processEvents()
            times.append(1e3 * (time.perf_counter() - begin))
        found[name] = round(float(np.median(times)), 1)
        if ours is not None:
            ours.stop(layer)
    viewer.close()
    return found


def main() -> int:
    wait_asleep()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="accepted; the last line is always JSON")
    parser.add_argument("--quick", action="store_true", help="512 and 1024 px, 40 clicks")
    parser.add_argument("--window", action="store_true", help="add the time until the preview is written")
    parser.add_argument("--sam-weights", type=Path)
    args = parser.parse_args()
    if args.window:
        from screen import ensure_screen

        ensure_screen()
    sizes, n = ([512, 1024], 40) if args.quick else ([512, 1024, 2048, 20000], 200)
    worst: dict[str, float] = {}
    every: dict[str, list[float]] = {}
    begin = time.monotonic()
    print(f"{'backend':24}{'size':>8}{'p50 ms':>9}{'p95 ms':>9}")

    def row(name: str, size: int, times: list[float]) -> None:
        middle, high = np.percentile(times, [50, 95])
        worst[name] = max(worst.get(name, 0.0), float(high))
        every.setdefault(name, []).extend(times)
        print(f"{name:24}{size:>8}{middle:>9.2f}{high:>9.2f}", flush=True)

    folder = tempfile.TemporaryDirectory()
    networks = Networks(args.sam_weights, Path(folder.name), not args.window)
    least = networks.products()
    if least is not None:
        row("sam_products", 1024, timed(least, prompts(1024, n + 3), None))
    for size in sizes:
        image, table = field(size)
        asked = prompts(size, n + 3)
        viewer, show = previewer(size) if args.window and size <= 4096 else (None, None)
        row("flow_basin", size, timed(partial(lookup, table), asked, show))
        plane, tool = Plane(image), LevelSets()
        row("level_sets", size, timed(partial(tool.answer, plane), asked, show))
        if size <= LARGEST_FOR_NETWORKS:  # larger images are given to a network by windows of this size
            for name, answer in networks.on(image):
                row(name, size, timed(answer, asked, show))
        if viewer is not None:
            viewer.close()
        del image, table
    folder.cleanup()
    edits = edit_times(max(sizes)) if args.window else None
    if edits is not None:
        print(
            f"an edit of {max(sizes)} px labels, shown: {edits['ours']} ms (napari alone {edits['napari']} ms)"
        )
    result: dict[str, Any] = {
        f"{name}_p95_ms": round(worst[name], 2) if name in worst else None
        for name in ("sam", "embedded", "flow_basin", "level_sets", "stock_sam", "sam_products")
    }
    medians = {name: round(float(np.median(times)), 2) for name, times in every.items()}
    print(
        json.dumps(
            {
                **result,
                "p50_ms": medians,
                "edit_shown_ms": edits,
                "window": args.window,
                "clicks": n,
                "seconds": round(time.monotonic() - begin, 1),
                "notes": networks.notes,
            }
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
