"""Teaching Cellpose-SAM with corrected masks, through Cellpose's own training, as a job.

`train_seg` of cellpose knows neither progress nor a way to stop. It runs in a thread of the worker here;
a hook on the network tells every step and is where a cancelled run leaves. The weights are written as
safetensors every ten epochs and when it is stopped, so that the same call goes on from there.

Pachitariu and Stringer, Cellpose 2.0: how to train your own model, Nature Methods 2022.
"""

from __future__ import annotations

import copy
import hashlib
import json
import queue
import shutil
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.files import atomic_write, write_text
from napari_biofm.images.segment import cellpose_api as cellpose
from napari_biofm.images.segment.cellpose_sam import CellposeSAM
from napari_biofm.images.train.examples import (
    Example,
    check_examples,
    cut_single,
    hold_back,
    share_origin,
    verdict_of,
)
from napari_biofm.models import device as devices
from napari_biofm.models import store
from napari_biofm.models.checkpoints import open_checkpoint
from napari_biofm.types import (
    EngineError,
    ModelError,
    Progress,
    SegmentationParameters,
    Segmenter,
    Task,
    relay,
)

WARM_UP = 10  # epochs in which train_seg raises the learning rate from zero; fewer teach nothing
SAVE_EVERY = 10  # epochs
THRESHOLDS = tuple(np.arange(0.5, 1.0, 0.05).round(2))  # of intersection over union
_POLL_S = 0.2


@dataclass(frozen=True)
class TuningSettings:
    """How to teach.

    Attributes
    ----------
    epochs : rounds through the examples, at least 10.
    learning_rate, weight_decay : of AdamW; Cellpose's own defaults.
    batch : crops of 256 x 256 pixels at once; halved when memory runs out.
    fraction : of the examples that is kept back for the score where none is marked.
    """

    epochs: int = 100
    learning_rate: float = 1e-5
    weight_decay: float = 0.1
    batch: int = 1
    fraction: float = 0.25


@dataclass(frozen=True)
class Tuned:
    """The taught model: its name, its file, and the report that lies beside it."""

    name: str
    path: Path
    report: dict[str, Any]

    def describe(self) -> str:
        """Return one sentence for a person."""
        before, after = self.report["before"]["ap50"], self.report["after"]["ap50"]
        count = len(self.report["held_back"])
        verdict = verdict_of(after > before, self.report["same_image"])
        return (
            f"{self.name}: AP at IoU 0.5 on {count} held-back image(s) {before:.2f} before, {after:.2f} "
            f"after, {verdict}."
        )


def tune_job(
    examples: Sequence[Example],
    name: str,
    base: str = "cpsam_v2",
    settings: TuningSettings | None = None,
    device: str = "auto",
    folder: Path | str | None = None,
) -> Task[Tuned]:
    """Teach a copy of a Cellpose-SAM model and keep it as the user's own model `name`.

    Parameters
    ----------
    examples : images with every cell outlined; some may be marked as kept back.
    name : what to call the new model.
    base : registered or own Cellpose-SAM weights, or a file.
    settings : how to teach.
    device : "auto", "cpu", "cuda" or "mps".
    folder : of models.

    Raises
    ------
    ModelError
        When the name is taken, or the base is not here or not Cellpose-SAM.
    ImageError
        When the examples cannot be used.
    EngineError
        When there is not enough memory for a single crop.
    """
    settings = settings or TuningSettings()
    if settings.epochs < WARM_UP:
        raise ModelError(f"{settings.epochs} epochs were asked for; give at least {WARM_UP}")
    store.refuse_taken_name(name, folder)
    pairs = cut_single(hold_back(check_examples(examples), settings.fraction))
    held = [pair for pair in pairs if pair.held_back]
    taught = [pair for pair in pairs if not pair.held_back]
    if not taught or not held:
        raise ModelError("all examples are on one side; learn from some and keep at least one back")
    weights = store.resolve(base, folder)
    work = _Work(store.models_folder(folder) / "tuning", _key(weights.sha256, pairs, settings))

    if "before" not in work.state:
        before = yield from score(CellposeSAM(weights.path, device, keep_features=False), held, "before")
        work.write(before=before)
    yield from _train(work, weights.path, taught, settings, device)
    after = yield from score(CellposeSAM(work.weights, device, keep_features=False), held, "after")
    licence = weights.entry.licence if weights.entry else weights.about.get("licence", "not known here")
    report = {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "base": weights.name,
        "base_sha256": weights.sha256,
        "licence": licence,
        "before": work.state["before"],
        "after": after,
        "learnt_from": [pair.name for pair in taught],
        "held_back": [pair.name for pair in held],
        "same_image": share_origin(pairs),
        "settings": asdict(settings),
        "loss": work.state["loss"],
        "notes": work.state.get("notes", []),
    }
    own = store.import_model(work.weights, name, folder, report)
    work.remove()
    return Tuned(name, own.path, report)


def score(model: Segmenter, examples: Sequence[Example], when: str) -> Task[dict[str, float]]:
    """Return the mean average precision of a model, "ap50" at IoU 0.5 and "ap" over 0.5 to 0.95.

    Precision of an image is TP / (TP + FP + FN), as Cellpose counts it.
    """
    rows = []
    for number, example in enumerate(examples, 1):
        task = model.segment(example.image, SegmentationParameters())
        message = f"score {when}: image {number} of {len(examples)}"
        found = (yield from relay(task, number - 1, len(examples), message)).masks
        counts = cellpose.average_precision(np.pad(example.masks, 1), np.pad(found, 1), THRESHOLDS)
        rows.append(counts[0] / counts.sum(0))
    mean = np.mean(rows, axis=0)
    return {"ap50": float(mean[0]), "ap": float(mean.mean())}


# ---------------------------------------------------------------------- training


def _train(
    work: _Work, base: Path, examples: Sequence[Example], settings: TuningSettings, device: str
) -> Task[None]:
    """Bring the weights of `work` to the number of epochs asked for, whatever memory there is."""
    place, batch = devices.pick_device(device), settings.batch
    if place != "cpu":
        from napari_biofm.engine.warm import forget

        forget()  # models kept for segmentation hold the memory that is needed now
        devices.release(place)
    while work.state["epochs"] < settings.epochs:
        run = _Run(work, base, examples, settings, place, batch)
        yield from run.steps()
        if run.error is None:
            continue
        if not devices.is_out_of_memory(run.error):
            raise run.error
        del run
        devices.release(place)
        if batch > 1:
            batch //= 2
            note = f"out of memory: {batch} crop(s) at once from here on"
        elif place != "cpu":
            note = f"out of memory on {place}: going on on the CPU, which takes much longer"
            place = "cpu"
        else:
            raise EngineError("not enough memory to teach this model; close other programs, or use a GPU")
        work.write(notes=[*work.state.get("notes", []), note])
        yield Progress(work.state["epochs"], settings.epochs, note)


class _StoppedError(Exception):
    """Raised inside `train_seg` to leave it."""


class _Run:
    """One call of `train_seg`, in a thread."""

    def __init__(
        self,
        work: _Work,
        base: Path,
        examples: Sequence[Example],
        settings: TuningSettings,
        device: str,
        batch: int,
    ) -> None:
        self._work, self._settings, self._device, self._batch = work, settings, device, batch
        self._base, self._examples = base, examples
        self._first = int(work.state["epochs"])
        self._epochs = max(WARM_UP, settings.epochs - self._first)
        self._per_epoch = -(-max(len(examples), batch) // batch)
        self._done = 0  # steps
        self._saved = -1
        self._stop = threading.Event()
        self._said: queue.SimpleQueue[Progress] = queue.SimpleQueue()
        self.error: BaseException | None = None

    def steps(self) -> Task[None]:
        """Run, yielding every step; leaving early stops the thread and keeps what was learnt."""
        thread = threading.Thread(target=self._learn, name="biofm-tuning", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                try:
                    yield self._said.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
        finally:
            self._stop.set()
            thread.join()

    def _learn(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # autocast in float32 on a CPU says that it does nothing
                self._call()
        except _StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 (raised by the thread that waits)
            self.error = error

    def _call(self) -> None:
        import torch

        source = self._work.weights if self._work.weights.is_file() else self._base
        torch.manual_seed(self._first)
        # a copy: the tensors of a checkpoint are a view of the file, which is written anew on the way
        net = copy.deepcopy(cellpose.build(open_checkpoint(source, "cellpose-sam"))).to(self._device)
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name not in ("W2", "diam_mean", "diam_labels"))
        self._warn_of_memory(net)
        begun = time.perf_counter()

        def before_step(module: Any, _inputs: Any) -> None:
            if self._stop.is_set():
                self._save(module)
                raise _StoppedError
            total = self._epochs * self._per_epoch
            spent = time.perf_counter() - begun
            left = f", about {_span(spent / self._done * (total - self._done))} left" if self._done else ""
            epoch = self._first + self._done // self._per_epoch
            message = f"epoch {epoch + 1} of {self._first + self._epochs} on {self._device}{left}"
            self._said.put(Progress(self._done, total, message))
            self._done += 1

        net.register_forward_pre_hook(before_step)
        images = [  # (3, Y, X); train_seg normalises them
            np.pad(e.image.transpose(2, 0, 1), ((0, 3 - e.image.shape[-1]), (0, 0), (0, 0)))
            for e in self._examples
        ]
        s = self._settings
        losses = cellpose.train(
            net,
            images,
            [e.masks for e in self._examples],
            self._epochs,
            s.learning_rate,
            s.weight_decay,
            self._batch,
            self._work.folder,
            self._save,
            SAVE_EVERY,
        )
        self._save(net, losses)

    def _warn_of_memory(self, net: Any) -> None:
        """Say what will be needed where more is needed than there is."""
        free = devices.free_memory(self._device)
        weights = sum(p.numel() for p in net.parameters())
        heads, tokens = net.encoder.blocks[0].attn.num_heads, net.encoder.pos_embed[0, ..., 0].numel()
        attention = len(net.encoder.blocks) * heads * tokens**2 * 3
        needed = 4 * (4 * weights + self._batch * attention)  # weights, gradients, two moments; float32
        if free is not None and needed > free:
            text = (
                f"needs about {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are free; it may run out of memory"
            )
            self._said.put(Progress(0, 0, text))

    def _save(self, net: Any, losses: Any = None) -> None:
        """Keep the weights with the number of epochs behind them."""
        from safetensors.torch import save_file

        epochs = self._first + self._done // self._per_epoch
        if epochs != self._saved:
            state = {
                key: value.detach().float().cpu().contiguous() for key, value in net.state_dict().items()
            }
            with atomic_write(self._work.weights) as part:
                save_file(state, part)
            self._saved = epochs
        loss = self._work.state["loss"]
        if losses is not None:
            loss = [*loss, *(float(value) for value in losses)]
        self._work.write(epochs=epochs, loss=loss)


class _Work:
    """The folder of a run that is not finished: its weights so far, and how far it is."""

    def __init__(self, parent: Path, key: str) -> None:
        self.folder = parent / key
        self.weights = self.folder / "weights.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state: dict[str, Any] = {"epochs": 0, "loss": []}
        try:
            self.state.update(json.loads((self.folder / "state.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            self.weights.unlink(missing_ok=True)
        if not self.weights.is_file():
            self.state.update(epochs=0, loss=[])

    def write(self, **changes: Any) -> None:
        self.state.update(changes)
        write_text(self.folder / "state.json", json.dumps(self.state))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _key(sha256: str, examples: Sequence[Example], settings: TuningSettings) -> str:
    """Return the name of a run: other weights, examples or settings have another."""
    digest = hashlib.sha256(f"{sha256} {json.dumps(asdict(settings), sort_keys=True)}".encode())
    for example in examples:
        digest.update(f"{example.name} {example.held_back} {example.image.shape}".encode())
        digest.update(np.ascontiguousarray(example.image).data)
        digest.update(np.ascontiguousarray(example.masks).data)
    return digest.hexdigest()[:32]


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
