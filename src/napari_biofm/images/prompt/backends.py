"""Click backends by name, and the two jobs behind them: prepare an image once, answer prompts many times.

What a network prepares stays in the process that made it (a few images, latest used first) and on disk beside
the passes, so that no image is encoded twice, in this session or the next; only prompts and cropped masks
travel. Lookups and the level sets need no worker: windows call them directly.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_biofm.images.prompt.correction import Answer
from napari_biofm.images.prompt.level_sets import LevelSets
from napari_biofm.images.prompt.prepared_store import is_kept, prepare_kept, prepared_key
from napari_biofm.images.segment.catalogue import FAMILIES, make_promptable, models_here
from napari_biofm.models import registry
from napari_biofm.types import BiofmError, Capabilities, Image, Progress, Prompt, Promptable, Task, run_task

LEVEL_SETS = "level-sets"
FLOW_BASINS = "flow-basins"
EMBEDDED = "biofm-image"
BLANK = 64  # pixels of the image that our click model is tried on when it is loaded
KEPT = 6  # prepared images per process
_PREPARED: OrderedDict[tuple[str, str], Any] = OrderedDict()
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Backend:
    """One way of answering clicks.

    Attributes
    ----------
    name : word of the command line and the log.
    title : as shown in the menu.
    """

    name: str
    title: str


LOCAL = (
    Backend(LEVEL_SETS, "Level sets (no model)"),
    Backend(FLOW_BASINS, "Flow basins (no network; needs a segmentation with flows)"),
)


def click_models() -> list[Backend]:
    """Return the networks that answer clicks and whose weights are here, best first; imports no torch."""
    from napari_biofm.images.segment.embedded.weights import shipped

    try:
        names = models_here(_answers_clicks)
    except BiofmError:  # an own file was changed: the Segment dock and `models list` tell which
        names = models_here(_answers_clicks, own=False)
    there = [name for name in names if name != EMBEDDED or shipped().exists()]
    return [Backend(name, _title(name)) for name in there]


def _answers_clicks(model: Capabilities) -> bool:
    return model.clicks


def _title(name: str) -> str:
    if name in FAMILIES:
        return FAMILIES[name].title
    return registry.get(name).title if name in registry.names() else f"{name} (your own)"


def backends() -> list[Backend]:
    """Return every backend that can be used here."""
    return [*click_models(), *LOCAL]


def best_backend() -> str:
    """Return the backend used when none is named: the first network that is here, else the level sets."""
    models = click_models()
    return models[0].name if models else LEVEL_SETS


def promptable(name: str = "auto", device: str = "auto") -> Promptable[Any]:
    """Return what answers clicks.

    Parameters
    ----------
    name : "level-sets", a click model of the catalogue, or "auto" for the best that is here.
    device : "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    ModelError
        If there is no such model, or it answers no clicks; names those that do.
    """
    chosen = best_backend() if name == "auto" else name
    return LevelSets() if chosen == LEVEL_SETS else make_promptable(chosen, device)


def prepare_image(key: str, model: str, image: Image, device: str = "auto") -> Task[str]:
    """Run a model's encoder on an image and keep the result in this process under `key`.

    Parameters
    ----------
    key : names the image (layer, plane, window, version); asked for again, nothing is computed.
    model : name in the catalogue.
    image : (Y, X) or (Y, X, C).

    Returns
    -------
    The key.
    """
    if _look_up(model, key) is not None:
        return key
    yield Progress(0, 1, f"{model}: loading")
    tool = make_promptable(model, device)
    prepared = yield from prepare_kept(tool, np.asarray(image))
    with _LOCK:
        _PREPARED[(model, key)] = prepared
        while len(_PREPARED) > KEPT:
            _PREPARED.popitem(last=False)
    return key


def load_click_model(model: str, device: str = "auto") -> None:
    """Load a click model into this process, ahead of the first image.

    Our own also answers a click on a blank image, so that what is imported or compiled at the first use has been.
    An encoder of Segment Anything takes as long for a blank image as for any other: those are loaded only.
    """
    tool = make_promptable(model, device)
    if model == EMBEDDED:
        prepared = run_task(tool.prepare(np.zeros((BLANK, BLANK), np.uint8)))
        tool.predict(prepared, Prompt(np.full((1, 2), BLANK / 2), np.ones(1, bool)))


def answer_prompt(key: str, model: str, prompt: Prompt, device: str = "auto") -> Answer | None:
    """Answer a prompt on an image prepared before; None where this process has not prepared it (any more)."""
    prepared = _look_up(model, key)
    if prepared is None:
        return None
    masks, scores = make_promptable(model, device).predict(prepared, prompt)
    return Answer.of(masks, [float(s) for s in scores])


def precompute_file(path: str, model: str, device: str = "auto") -> Task[str]:
    """Prepare one image of a series ahead and keep it on disk; what is kept already is left as it is.

    Returns
    -------
    The path.

    Raises
    ------
    ImageError : if the image cannot be read.
    """
    from napari_biofm.images.io.series import read_image

    image = read_image(path)
    yield Progress(0, 1, f"preparing {path}")
    kept_as = prepared_key(image, make_promptable(model, device))
    if kept_as is None or not is_kept(kept_as):
        yield from prepare_image(path, model, image, device)
    return path


def forget_prepared() -> None:
    """Let go of everything prepared in this process."""
    with _LOCK:
        _PREPARED.clear()


def _look_up(model: str, key: str) -> Any:
    with _LOCK:
        found = _PREPARED.get((model, key))
        if found is not None:
            _PREPARED.move_to_end((model, key))
        return found
