"""Hears of every change of the masks in a viewer, whoever makes it and whichever docks are open.

Every Labels layer that can be written and is no helper layer is made known to the session as a target of edits.
napari's own brush, fill bucket, eraser, polygon and `data_setitem` become edits of the session's history. Changes that
napari does not tell of (`layer.data = ...`, an array changed in place and refreshed, napari's own undo, another
plugin) are found by comparing hashes, see `images.edit.fingerprint`, and told with the ids of the cells that changed.

What a comparison costs: it begins when the layer was quiet for `PAUSE_MS`, takes about 10 ms per million pixels, and
is done in turns of the event loop of 15 ms. Arrays in memory are compared whole up to `IN_TURNS` pixels, beyond that
in the part on the screen. Of arrays that are read from disk (Zarr) only the part on the screen is read, and only up to
`MOST_BLOCKS` blocks of 256 x 256 pixels; a change elsewhere is found when it comes to the screen. Until a block was
looked at once (the layer was added a moment ago) a change in it cannot be told; measuring the cells of a layer looks
at all of it first.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QApplication

from napari_biofm.actions import EditLabels
from napari_biofm.canvas.labels_target import LayerTarget
from napari_biofm.canvas.napari_compat import painted_parts
from napari_biofm.controllers.common.layers import full_data, is_helper, layer_id, shown_box
from napari_biofm.images.edit.fingerprint import BlockChange, LabelsFingerprint
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.edit.strokes import stroke_patches
from napari_biofm.session import Session
from napari_biofm.types import SessionError
from napari_biofm.widgets.common.event_loop import SLICE_S, EventLoopTask
from napari_biofm.widgets.common.qt_parts import timer

PAUSE_MS = 150  # a layer must be quiet before it is looked at: a movie that plays costs nothing
AT_ONCE = 1 << 22  # pixels of new data that are compared before `layer.data = ...` returns
IN_TURNS = 1 << 26  # pixels of an array in memory up to which all of it is compared
MOST_BLOCKS = 64  # blocks of the part on the screen up to which it is read from disk


class WatchedLayer:
    """One labels layer: its target, its strokes, and what changes it from outside.

    Parameters
    ----------
    layer : Labels layer in a viewer.
    session : is told.
    look_later : asks for a look at what is in reach when the layer is quiet.
    """

    def __init__(self, layer: Any, session: Session, look_later: Callable[[WatchedLayer], None]) -> None:
        self.uid = layer_id(layer)
        self._layer = weakref.ref(layer)
        self._session = session
        self._look_later = look_later
        self.target: LayerTarget | None = None
        self.fingerprint: LabelsFingerprint | None = None
        self.is_due = False  # a look was asked for
        layer.events.data.connect(self._data_replaced)
        layer.events.paint.connect(self._painted)
        layer.events.set_data.connect(self._drawn)
        self._attach(layer)

    def _attach(self, layer: Any) -> None:
        try:
            self.target = LayerTarget(layer)
        except SessionError:
            return  # data that cannot be written: shown, but never edited
        self.fingerprint = LabelsFingerprint(self.target)
        self.target.writing_begins.connect(self._writing_begins)
        self.target.written.connect(self._written)
        self._session.attach_labels(self.target)
        self._look_later(self)

    def stop(self, *, removed: bool = False) -> None:
        """Listen no longer."""
        layer = self._layer()
        if layer is None:
            return
        for emitter, callback in (
            (layer.events.data, self._data_replaced),
            (layer.events.paint, self._painted),
            (layer.events.set_data, self._drawn),
        ):
            emitter.disconnect(callback)
        if self.target is not None:
            self.target.stop(removed=removed)

    # ------------------------------------------------------------------ edits

    def _painted(self, event: Any) -> None:
        target, fingerprint = self.target, self.fingerprint
        if target is None or fingerprint is None or target.is_writing:
            return
        edit = LabelsEdit(self.uid, "brush", tuple(stroke_patches(target, painted_parts(event.value))))
        for patch in edit.patches:
            box = patch.start, tuple(a + n for a, n in zip(patch.start, patch.shape, strict=True))
            fingerprint.accept(box, patch)  # napari tells of `data_setitem` before it writes
        if edit:
            self._session.do(EditLabels(edit), applied=True)

    def _writing_begins(self, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
        fingerprint = self.fingerprint
        if self.is_due and fingerprint is not None and fingerprint.n_blocks(start, stop) <= MOST_BLOCKS:
            self._tell([change for change in fingerprint.look((start, stop)) if change is not None])

    def _written(self, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
        if self.fingerprint is not None:
            self.fingerprint.accept((start, stop))

    # ------------------------------------------------------------------ changes from outside

    def _drawn(self, _event: Any) -> None:
        if self.target is not None and not self.target.is_writing:
            self._look_later(self)

    def _data_replaced(self, event: Any) -> None:
        fingerprint = self.fingerprint
        if fingerprint is None:
            self._attach(event.source)
            self._session.labels_changed_outside(self.uid)
        elif fingerprint.is_complete and fingerprint.n_pixels <= AT_ONCE:
            changes = [change for change in fingerprint.look() if change is not None]
            ids = sorted({label for change in changes for label in change.ids})
            self._session.labels_changed_outside(self.uid, ids)  # no places: ids begin anew with new masks
        else:
            fingerprint.reset()
            self._session.labels_changed_outside(self.uid)
            self._look_later(self)

    def look(self, viewer: Any) -> Iterator[None]:
        """Look at what is in reach, and tell what changed; a step per block."""
        fingerprint, layer = self.fingerprint, self._layer()
        self.is_due = False
        if fingerprint is None or layer is None:
            return
        box = None if self._in_reach else shown_box(viewer, layer)
        if box is not None and self._is_on_disk and fingerprint.n_blocks(*box) > MOST_BLOCKS:
            return
        if box is None and not self._in_reach:
            return  # it is not on the screen
        changes: list[BlockChange] = []
        try:
            for change in fingerprint.look(box):
                if change is not None:
                    changes.append(change)
                yield
        except (SessionError, OSError):
            return  # the layer was removed, or its file is gone
        self._tell(changes)

    def look_now(self) -> None:
        """Look at all of it once, where that was not done and it is in memory."""
        if self.fingerprint is not None and self._in_reach and not self.fingerprint.is_complete:
            self._tell([change for change in self.fingerprint.look() if change is not None])

    @property
    def _is_on_disk(self) -> bool:
        return not isinstance(full_data(self._layer()), np.ndarray)

    @property
    def _in_reach(self) -> bool:
        """Whether all of the labels can be compared."""
        fingerprint = self.fingerprint
        return fingerprint is not None and not self._is_on_disk and fingerprint.n_pixels <= IN_TURNS

    def _tell(self, changes: list[BlockChange]) -> None:
        if changes:
            ids = sorted({label for change in changes for label in change.ids})
            places = [((change.start, change.stop), change.ids) for change in changes]
            self._session.labels_changed_outside(self.uid, ids, places)


class LabelsWatch(QObject):
    """Watches the Labels layers of a viewer for its session, from the moment both belong together.

    Parameters
    ----------
    viewer : the viewer itself, no proxy.
    session : of this viewer.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._watched: dict[str, WatchedLayer] = {}
        self._due: dict[str, WatchedLayer] = {}
        self._task = EventLoopTask(self, slice_s=SLICE_S)
        self._pause = timer(self, PAUSE_MS, self._quiet)
        for layer in viewer.layers:
            self.add(layer)
        session.cells_changed.connect(self._measured)

    def add(self, layer: Any) -> None:
        """Watch a layer, if it is one with masks of the user."""
        if isinstance(layer, Labels) and not is_helper(layer) and layer_id(layer) not in self._watched:
            watched = WatchedLayer(layer, self._session, self._look_later)
            self._watched[watched.uid] = watched

    def remove(self, layer: Any) -> None:
        """Forget a layer that was removed, and what was derived from it."""
        uid = layer_id(layer)
        watched = self._watched.pop(uid, None)
        self._due.pop(uid, None)
        if watched is not None:
            watched.stop(removed=True)
        self._session.forget_layer(uid)

    def stop(self) -> None:
        """Listen no longer."""
        with suppress(RuntimeError):  # the viewer went first, and took the timers along
            self._pause.stop()
            self._task.stop()
        for watched in self._watched.values():
            watched.stop()
        self._watched.clear()
        self._due.clear()

    def _look_later(self, watched: WatchedLayer) -> None:
        watched.is_due = True
        self._due[watched.uid] = watched
        self._pause.start()

    def _quiet(self) -> None:
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton or self._task.is_busy:
            self._pause.start()  # a stroke under way is told when the button is released
        else:
            self._task.start(self._looks())

    def _looks(self) -> Iterator[None]:
        while self._due:
            watched = self._due.pop(next(iter(self._due)))
            viewer = self._viewer()
            if viewer is not None:
                yield from watched.look(viewer)

    def _measured(self, uid: str) -> None:
        """The cells of a layer were measured: from now on every change of its masks counts."""
        if uid in self._watched:
            self._watched[uid].look_now()
