"""Asks the chosen backend for a mask: lookups here and now, networks in the engine, large images by
window.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.controllers.common.layers import layer_id, layer_shape
from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.images.edit import Piece, View
from napari_biofm.images.prompt.backends import (
    FLOW_BASINS,
    LEVEL_SETS,
    answer_prompt,
    load_click_model,
    prepare_image,
)
from napari_biofm.images.prompt.correction import Answer
from napari_biofm.session import Session
from napari_biofm.types import ImageError, Prompt, Segmentation, run_task

if TYPE_CHECKING:
    from napari_biofm.images.prompt.flow_basins import Basins

WHOLE = 1536  # pixels; larger planes are given to a network window by window
WINDOW = 1024
BASINS_KEPT = 8  # planes
Listener = Callable[[Answer], None]
Asked = tuple[Any, View, Prompt, "Piece | None"]  # image layer, plane, prompt, mask to correct


def _warm_up() -> None:
    from napari_biofm.images.prompt.level_sets import warm_up

    warm_up()


class LazyPlane:
    """A plane of an image layer, read from its array only where it is asked for.

    Parameters
    ----------
    layer : Image layer.
    view : the plane.
    """

    def __init__(self, layer: Any, view: View) -> None:
        self._data = layer.data[0] if layer.multiscale else layer.data
        self._view = view
        self._extra = (slice(None),) if layer.rgb else ()
        self.shape = (*view.shape(layer_shape(layer)), *((int(self._data.shape[-1]),) if layer.rgb else ()))
        self.ndim = len(self.shape)

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = (s.indices(n)[:2] for s, n in zip(key, self.shape, strict=False))
        origin = (rows[0], columns[0])
        size = (max(0, rows[1] - rows[0]), max(0, columns[1] - columns[0]))
        block = np.asarray(self._data[(*self._view.region(origin, size), *self._extra)])
        if not self._extra:
            return self._view.take(block)
        planes = [self._view.take(block[..., c]) for c in range(block.shape[-1])]
        return np.stack(planes, axis=-1)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.asarray(self[slice(None), slice(None)], dtype)


class MaskPredictor:
    """One backend on one image layer.

    Parameters
    ----------
    viewer, session : whose layers are clicked on.
    run : carries the jobs.
    """

    asked = Signal()  # the user waits for a network

    def __init__(self, viewer: Any, session: Session, run: RunJob) -> None:
        self._viewer = viewer
        self._session = session
        self._run = run
        self.backend = LEVEL_SETS
        self.threshold = 0.0
        self.device = "auto"
        self._number = 0
        self._version = 0
        self.known_as: dict[str, str] = {}  # image layer -> key under which a series prepared it
        self._ready: set[str] = set()
        self._preparing: str | None = None
        self._loaded: str | None = None  # the network that was asked to be loaded last
        self._waiting: tuple[int, Asked, Listener] | None = None
        self._basins: OrderedDict[int, Basins] = OrderedDict()  # by plane
        self._flows_of: Segmentation | None = None  # whose basins they are
        threading.Thread(target=_warm_up, name="biofm-warm-up", daemon=True).start()

    def image_changed(self) -> None:
        """Forget what was prepared: the pixels are others now."""
        self._version += 1
        self._ready.clear()

    def cancel(self) -> None:
        """Drop answers that are still under way."""
        self._number += 1
        self._waiting = None

    @property
    def is_local(self) -> bool:
        return self.backend in (LEVEL_SETS, FLOW_BASINS)

    def get_ready(self) -> None:
        """Have the network loaded beside the window, before the first click needs it."""
        engine = self._session.engine
        if self.is_local or engine.name == "inline" or self._loaded == self.backend:
            return
        self._loaded = self.backend
        engine.submit(
            load_click_model, self.backend, self.device, name=f"Loading {self.backend}", lane="interactive"
        )

    def prepare_ahead(self, layer: Any, view: View) -> None:
        """Have a plane of an image layer prepared before the first click on it.

        Large planes wait for the click, which says which window of them is meant.
        """
        if self.is_local or self._session.engine.name == "inline" or len(view.axes) != 2:
            return
        plane = LazyPlane(layer, view)
        height, width = plane.shape[:2]
        key = self._key(layer, view, (0, 0), (height, width), True)
        if max(height, width) <= WHOLE and key not in self._ready:
            self._prepare(key, np.asarray(plane), layer)

    def _key(
        self, layer: Any, view: View, origin: tuple[int, int], size: tuple[int, int], whole: bool
    ) -> str:
        """Return the name under which the worker keeps a part of a plane."""
        key = f"{layer_id(layer)}|{view.position}|{view.axes}|{origin}|{size}|{self._version}"
        return self.known_as.get(layer_id(layer), key) if whole else key

    # ------------------------------------------------------------------ asking

    def ask(self, asked: Asked, listener: Listener) -> None:
        """Answer a prompt in pixels of the image plane; only the last asked for is delivered.

        Parameters
        ----------
        asked : image layer, its view, the prompt, and the mask to correct (cropped) or None.
        listener : called with the answer, later where a network is asked.

        Raises
        ------
        ImageError : if the prompt or the backend cannot be used on this image.
        """
        self._number += 1
        if self.is_local:
            listener(self.answer_now(asked))
            return
        self.asked.emit()
        self._ask_network(self._number, asked, listener)

    def answer_now(self, asked: Asked) -> Answer:
        """Answer with a backend that needs no worker."""
        layer, view, prompt, start = asked
        if self.backend == FLOW_BASINS:
            from napari_biofm.images.prompt.flow_basins import lookup

            return lookup(self.basins(layer, view), prompt, self.threshold, start)
        from napari_biofm.images.prompt.level_sets import LevelSets, Plane

        return LevelSets().answer(Plane(LazyPlane(layer, view)), prompt, start)

    def _ask_network(self, number: int, asked: Asked, listener: Listener) -> None:
        layer, view, prompt, start = asked
        plane = LazyPlane(layer, view)
        origin, size = window_for(prompt, plane.shape, start)
        key = self._key(layer, view, origin, size, size == plane.shape[:2])
        if key not in self._ready:
            self._waiting = (number, asked, listener)
            rows = slice(origin[0], origin[0] + size[0])
            self._prepare(key, plane[rows, slice(origin[1], origin[1] + size[1])], layer)
            return

        def arrived(answer: Answer | None) -> None:
            if answer is None:  # the worker was restarted: prepare again
                self._ready.discard(key)
                if number == self._number:
                    self._ask_network(number, asked, listener)
            elif number == self._number:
                listener(shifted(answer, origin))

        self._run(
            answer_prompt,
            key,
            self.backend,
            into_window(prompt, origin, size, start),
            self.device,
            name="Click",
            lane="interactive",
            bound_to=layer_id(layer),
            on_done=arrived,
        )

    def _prepare(self, key: str, pixels: NDArray[Any], layer: Any) -> None:
        if self._preparing == key:
            return
        self._preparing = key

        def ready(_: Any) -> None:
            self._ready.add(key)
            waiting, self._waiting = self._waiting, None
            self._preparing = None
            if waiting is not None and waiting[0] == self._number:
                self._ask_network(*waiting)

        def ended() -> None:
            self._preparing = None

        self._run(
            prepare_image,
            key,
            self.backend,
            np.ascontiguousarray(pixels),
            self.device,
            name=f"Preparing clicks ({self.backend})",
            lane="interactive",
            bound_to=layer_id(layer),
            on_done=ready,
            on_end=ended,
        )

    # ------------------------------------------------------------------ flow basins

    def segmentation(self) -> Segmentation | None:
        """Return the segmentation of the labels layer in play that has flows, else that of any other
        layer.
        """
        session = self._session
        uids = [session.labels, *(layer_id(layer) for layer in self._viewer.layers)]
        for uid in uids:
            found = session.segmentation(uid) if uid else None
            if found is not None and found.flows is not None and found.cell_prob is not None:
                return found
        return None

    def basins(self, layer: Any, view: View) -> Basins:
        """Return the basins of the image plane; made at first use, kept for the planes seen last."""
        from napari_biofm.images.prompt.flow_basins import FlowBasins, plane_of

        found = self.segmentation()
        if found is None:
            raise ImageError(
                "No flows are there yet: segment this image first, or choose another click tool."
            )
        if self._flows_of is not found:
            self._basins.clear()
            self._flows_of = found
        index = plane_index(found, view)
        if index not in self._basins:
            blank = np.broadcast_to(np.zeros(1, np.uint8), LazyPlane(layer, view).shape[:2])
            self._basins[index] = run_task(FlowBasins(plane_of(found, index)).prepare(blank))
            while len(self._basins) > BASINS_KEPT:
                self._basins.popitem(last=False)
        self._basins.move_to_end(index)
        return self._basins[index]


def plane_index(found: Segmentation, view: View) -> int:
    """Return which plane of a segmentation's flows a view shows; 0 where there is only one.

    Raises
    ------
    ImageError : if the view cuts the stack another way than it was segmented.
    """
    if found.cell_prob is None or found.cell_prob.ndim == 2:
        return 0
    n = len(view.position)
    if view.axes != (n - 2, n - 1) or any(view.position[: n - 3]):
        raise ImageError("The flows belong to planes of the last two axes; turn the view back to them.")
    return view.position[n - 3]


def window_for(
    prompt: Prompt, shape: tuple[int, ...], start: Piece | None = None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return origin and size of the part of a plane that is given to a network; windows lie on a grid, so
    that clicks near each other share one.
    """
    height, width = shape[:2]
    if max(height, width) <= WHOLE:
        return (0, 0), (height, width)
    anchors = [np.asarray(prompt.points, float).reshape(-1, 2)[:1]]
    if prompt.box is not None:
        anchors = [np.array([[(prompt.box[0] + prompt.box[2]) / 2, (prompt.box[1] + prompt.box[3]) / 2]])]
    if start:
        anchors = [np.array([start.centre()])]
    centre = np.concatenate(anchors)[0]
    step = WINDOW // 2
    origin = [
        int(np.clip(round((c - WINDOW / 2) / step) * step, 0, max(0, n - WINDOW)))
        for c, n in zip(centre, (height, width), strict=True)
    ]
    return (origin[0], origin[1]), (min(WINDOW, height), min(WINDOW, width))


def into_window(
    prompt: Prompt, origin: tuple[int, int], size: tuple[int, int], start: Piece | None = None
) -> Prompt:
    """Return the prompt in pixels of a window."""
    shift = np.array(origin, float)
    mask = start.within(origin, size).mask if start else None
    box = prompt.box
    if box is not None:
        box = (box[0] - shift[0], box[1] - shift[1], box[2] - shift[0], box[3] - shift[1])
    points = np.asarray(prompt.points, float).reshape(-1, 2) - shift
    inside = ((points >= -0.5) & (points <= np.array(size) - 0.5)).all(axis=1)
    return replace(
        prompt, points=points[inside], positive=np.asarray(prompt.positive, bool)[inside], box=box, mask=mask
    )


def shifted(answer: Answer, origin: tuple[int, int]) -> Answer:
    """Return an answer of a window in pixels of the plane."""
    pieces = tuple(Piece((p.origin[0] + origin[0], p.origin[1] + origin[1]), p.mask) for p in answer.pieces)
    return Answer(pieces, answer.scores)
