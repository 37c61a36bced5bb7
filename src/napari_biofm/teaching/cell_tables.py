"""Keeps the tables of cells of a session in step with their masks, whoever edits them.

The session tells of every change of masks (`labels_edited`). Changes are collected until a pause; then the touched
cells are measured again, on the pixels around them, and their rows replaced. Changes that arrive while a job runs
wait for its end, so that none is lost; a job brings rows only, and they are put into the table as it is then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.cells.embed.cell_vectors import (
    NewTable,
    Wanted,
    measure_again,
    measure_cutouts,
    measure_layer,
)
from napari_biofm.cells.table.quantities import MeasuredOn, distinct
from napari_biofm.cells.table.update import CellRows, Measured, cut_out, moved_away, replace_cells
from napari_biofm.images.edit.index import SLAB, Box
from napari_biofm.images.segment.catalogue import DEFAULT_MODEL
from napari_biofm.session import Session
from napari_biofm.teaching.pixels import (
    CellPixels,
    ImagesInUse,
    Plane,
    Region,
    in_plane,
    plane_of_table,
    write_plane,
)
from napari_biofm.teaching.touched import Touched
from napari_biofm.types import CellsError, FeatureMap

if TYPE_CHECKING:
    from anndata import AnnData

QUICK = 1 << 22  # pixels of cut-outs up to which a person may wait for their cells
LARGEST_MAP = 1 << 28  # bytes of a feature map that is kept beside the one the session has


class Run(Protocol):
    """Runs a job and shows it, as a dock does."""

    def __call__(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str,
        bound_to: str | None,
        on_done: Callable[[Any], None],
        on_end: Callable[[], None],
    ) -> Any: ...


class CellTables:
    """The tables of cells of one session, kept in step with their masks.

    Parameters
    ----------
    session : whose tables and edits these are.
    pixels : the layers.
    later : asks for `flush` after a pause; asked again, the pause begins anew.
    in_turns : runs steps of some milliseconds one after the other, while the window lives on.
    """

    updated = Signal(str)  # labels layer id: some of its cells were measured again
    failed = Signal(object)  # exception

    def __init__(
        self,
        session: Session,
        pixels: CellPixels,
        later: Callable[[], Any],
        in_turns: Callable[[Iterator[Any]], Any],
    ) -> None:
        self.session = session
        self.pixels = pixels
        self._later, self._in_turns = later, in_turns
        self._touched: dict[str, Touched] = {}
        self._running: dict[str, int] = {}  # jobs by layer
        self._maps: dict[str, tuple[Plane, FeatureMap]] = {}
        self._images: dict[str, tuple[str, ...]] = {}  # image layers each table was measured on
        session.labels_edited.connect(self._edited)
        session.cells_changed.connect(self._cells_changed)

    # ------------------------------------------------------------------ making a table

    def measure(
        self,
        uid: str,
        run: Run,
        on_end: Callable[[], None],
        images: Sequence[str] = (),
        plane_only: bool | None = None,
    ) -> None:
        """Make the table of the cells of a layer.

        Parameters
        ----------
        uid : of the labels layer. run : runs the job. on_end : called when it ended.
        images : ids of the image layers to measure on; the one in play, or the topmost that fits, when empty.
        plane_only : whether only the plane in view is measured; None does so for movies, and else takes all.
        """
        data = self.pixels.labels(uid)
        if data is None:
            raise CellsError("The labels were removed; choose another layer of cells.")
        plane = self.plane_to_measure(uid, plane_only)
        labels = Region(data, plane)
        chosen = self._choose_images(uid, plane, images or self._preferred(uid))
        image = None if chosen is None else chosen.whole()
        model, features = self.encoder_of(uid)
        name = self.pixels.name(uid)
        self._running[uid] = self._running.get(uid, 0) + 1

        def ended() -> None:
            self._ended(uid)
            on_end()

        run(
            measure_layer,
            labels.whole(),
            image,
            uid,
            name,
            model,
            features,
            None if chosen is None else chosen.encoded,
            name=f"Measure '{name}'",
            bound_to=uid,
            on_done=lambda made: self._measured(uid, plane, made, chosen),
            on_end=ended,
        )

    def plane_to_measure(self, uid: str, plane_only: bool | None = None) -> Plane:
        """Return which plane of a layer is measured: of movies the one in view, of stacks all, unless told."""
        if plane_only is None:
            segmentation = self.session.segmentation(uid)
            stack = None if segmentation is None else segmentation.provenance.get("stack")
            frames = isinstance(stack, Mapping) and stack.get("mode") == "time"
            plane_only = (
                frames or self.pixels.is_movie(uid) or bool(self.session.clock(self.session.image or ""))
            )
        data = self.pixels.labels(uid)
        if not plane_only and data is not None and len(data.shape) == 3:
            return ()
        return self.pixels.plane_in_view(uid)

    def images_for(self, uid: str, plane_only: bool | None = None) -> dict[str, str]:
        """Return the image layers that the cells of a layer can be measured on: names by id, the topmost first."""
        found = self.pixels.images(uid, self.plane_to_measure(uid, plane_only))
        return {image: self.pixels.name(image) for image in found}

    def images_in_use(self, uid: str) -> tuple[str, ...]:
        """Return the ids of the image layers a table is measured on, or would be."""
        here = self.images_for(uid)
        chosen = [i for i in self._preferred(uid) if i in here]
        return tuple(chosen or list(here)[:1])

    def _preferred(self, uid: str) -> tuple[str, ...]:
        """Return the image layers a table was measured on, or those of their names; else the image in play."""
        if uid in self._images:
            return self._images[uid]
        table = self.session.cells(uid)
        names = [] if table is None else [str(name) for name in table.uns.get("images", ())]
        if names:
            here = {name: image for image, name in self.images_for(uid).items()}
            return tuple(here[name] for name in names if name in here)
        return () if self.session.image is None else (self.session.image,)

    def _measured(self, uid: str, plane: Plane, made: NewTable, chosen: ImagesInUse | None) -> None:
        if self.pixels.labels(uid) is None:
            self.failed.emit(
                CellsError("The labels were removed while their cells were measured; the table was dropped.")
            )
            return
        write_plane(made.table, plane)
        made.table.uns["channels"] = [] if chosen is None else distinct(chosen.channels)
        made.table.uns["images"] = [] if chosen is None else list(chosen.names)
        self.session.set_cells(uid, made.table)
        self._keep_map(uid, plane, made.features)
        self.session.set_layers(labels=uid)

    def encoder_of(self, uid: str) -> tuple[str, FeatureMap | None]:
        """Return model and feature map of the pass that made the masks, so that nothing is encoded twice."""
        segmentation = self.session.segmentation(uid)
        if segmentation is None:
            return DEFAULT_MODEL, None
        return str(segmentation.provenance.get("model", DEFAULT_MODEL)), segmentation.features

    def plane_of(self, uid: str) -> Plane:
        """Return which plane of a layer its table is of; the one in view where there is no table yet."""
        table = self.session.cells(uid)
        plane = None if table is None else plane_of_table(table)
        return self.pixels.plane_in_view(uid) if plane is None else plane

    def pixels_of(self, uid: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return the labels that a table is of, and the image that encoders see, None where there is none."""
        labels, chosen = self._in_use(uid)
        return labels, None if chosen is None else chosen.parts[0].whole()

    def measured_on(self, uid: str) -> tuple[NDArray[Any], MeasuredOn]:
        """Return the labels that a table is of, and all it says of what they are measured on."""
        labels, chosen = self._in_use(uid)
        channels: dict[str, NDArray[Any]] = {}
        if chosen is not None:
            pixels = chosen.whole()
            stacked = pixels[..., None] if pixels.ndim == labels.ndim else pixels
            names = distinct(chosen.channels)
            channels = {name: stacked[..., i] for i, name in enumerate(names)}
        plane = self.plane_of(uid)
        words = f"plane {', '.join(map(str, plane))}" if plane else ""
        name = self.pixels.name(uid) if chosen is None else chosen.names[0]
        size = self.pixels.pixel_size(uid, labels.ndim)
        return labels, MeasuredOn(channels, name, size, words)

    def _in_use(self, uid: str) -> tuple[NDArray[Any], ImagesInUse | None]:
        data = self.pixels.labels(uid)
        if data is None:
            raise CellsError("The labels were removed; choose another layer of cells.")
        plane = self.plane_of(uid)
        chosen = self._choose_images(uid, plane, self._preferred(uid))
        return Region(data, plane).whole(), chosen

    # ------------------------------------------------------------------ following edits

    def flush(self) -> None:
        """Measure now what was touched."""
        for uid in [uid for uid in self._touched if not self._running.get(uid)]:
            touched = self._touched.pop(uid)
            table, data = self.session.cells(uid), self.pixels.labels(uid)
            if touched and table is not None and data is not None:
                self._update(uid, touched, table, data)

    @property
    def is_settled(self) -> bool:
        """Whether every table says what its masks are."""
        return not self._touched and not any(self._running.values())

    def close(self) -> None:
        """Follow the session no longer."""
        self.session.labels_edited.disconnect(self._edited)
        self.session.cells_changed.disconnect(self._cells_changed)

    def _edited(self, uid: str, ids: tuple[int, ...] | None) -> None:
        if self.session.cells(uid) is not None or self._running.get(uid):
            self._touched.setdefault(uid, Touched()).add(ids)
            self._later()

    def _cells_changed(self, uid: str) -> None:
        if self.session.cells(uid) is None:  # the layer was removed
            for kept in (self._touched, self._maps, self._images):
                kept.pop(uid, None)

    def _update(self, uid: str, touched: Touched, table: AnnData, data: Any) -> None:
        plane = self.plane_of(uid)
        labels = Region(data, plane)
        image = self._choose_images(uid, plane, self._preferred(uid)) if _has_intensity(table) else None
        features = self._map(uid, plane, labels.shape)
        wanted = self._wanted(uid, table, touched, labels.ndim, None if image is None else image.encoded)
        encodes = wanted.has_map and labels.ndim == 2 and image is not None and features is None
        ids = None if touched.everywhere else sorted(touched.ids)
        boxes = None if ids is None else self._boxes_of(uid, plane, ids)
        if boxes is None or encodes:
            arguments = (
                labels.whole(),
                None if image is None else image.whole(),
                ids,
                wanted,
                Measured.of(table),
                features,
            )
            self._submit(uid, touched, plane, measure_again, arguments, quick=False)
            return
        cutouts = cut_out(labels, image, boxes, wanted.margin)
        quick = sum(cutout.labels.size for cutout in cutouts) <= QUICK
        maps = None
        if features is not None and image is not None and wanted.has_map:
            maps = [features.cut(cutout.origin, cutout.stop) for cutout in cutouts]
        self._submit(uid, touched, plane, measure_cutouts, (cutouts, ids, wanted, maps), quick)

    def _submit(
        self, uid: str, touched: Touched, plane: Plane, job: Any, arguments: Any, quick: bool
    ) -> None:
        self._running[uid] = self._running.get(uid, 0) + 1

        def done(result: Any) -> None:
            rows, features = result if isinstance(result, tuple) else (result, None)
            self._keep_map(uid, plane, features)
            self._replace(uid, plane, rows, touched.everywhere)
            self._ended(uid)

        def not_done(error: BaseException | None = None) -> None:
            self._touched.setdefault(uid, Touched()).add(touched.ids, touched.everywhere)
            self._running[uid] -= 1  # the next edit tries again
            if self.session.cells(uid) is None:
                self._touched.pop(uid)
            elif error is not None:
                self.failed.emit(error)

        self.session.engine.submit(
            job,
            *arguments,
            name="Measure changed cells",
            lane="interactive" if quick else "bulk",
            bound_to=uid,
            on_done=done,
            on_error=not_done,
            on_cancel=not_done,
        )

    def _replace(self, uid: str, plane: Plane, rows: CellRows, replaced: bool) -> None:
        table = self.session.cells(uid)
        if table is None:
            return
        made = replace_cells(table, rows)
        write_plane(made, plane)
        self.session.set_cells(uid, made)
        if replaced:  # masks that are no edit of these masks: a label value may be another cell's now
            given = self.session.classes(uid).labels
            others = moved_away(table, made, given)
            self.session.label_cells(
                uid, others, np.full(len(others), -1, np.int16), "take labels from cells that were replaced"
            )
        self.updated.emit(uid)

    def _ended(self, uid: str) -> None:
        self._running[uid] -= 1
        if uid in self._touched:
            self._later()

    # ------------------------------------------------------------------ what a measurement needs

    def _wanted(self, uid: str, table: AnnData, touched: Touched, ndim: int, encoded: int | None) -> Wanted:
        labels = table.obs["label"].to_numpy(np.int64)
        others = ~np.isin(labels, list(touched.ids))
        areas = table.obs["area"].to_numpy(float)[others]
        return Wanted(uid, ndim, dict(table.uns["blocks"]), self.encoder_of(uid)[0], areas, encoded)

    def _boxes_of(self, uid: str, plane: Plane, ids: list[int]) -> dict[int, Box | None] | None:
        """Return a box that holds each cell as it is now (None: it is gone); None where that takes long to find."""
        if not self.session.has_labels(uid):
            return None
        index, data = self.session.label_index(uid), self.pixels.labels(uid)
        if not index.ready and data is not None and int(np.prod(data.shape, dtype=np.int64)) > SLAB:
            self._in_turns(index.build())  # for the edits that follow
            return None
        return {label: in_plane(index.box(label), plane) if label in index else None for label in ids}

    def _choose_images(self, uid: str, plane: Plane, preferred: Sequence[str]) -> ImagesInUse | None:
        images, data = self.pixels.images(uid, plane), self.pixels.labels(uid)
        chosen = tuple(i for i in preferred if i in images) or tuple(images)[:1]
        if not chosen or data is None:
            return None
        self._images[uid] = chosen
        names = tuple(self.pixels.name(i) for i in chosen)
        return ImagesInUse(tuple(images[i] for i in chosen), chosen, names, len(data.shape) - len(plane))

    def _keep_map(self, uid: str, plane: Plane, features: FeatureMap | None) -> None:
        if features is not None and features.data.nbytes <= LARGEST_MAP:
            self._maps[uid] = plane, features

    def _map(self, uid: str, plane: Plane, shape: tuple[int, ...]) -> FeatureMap | None:
        """Return the map of the pass over a plane, if it is at hand."""
        segmentation = self.session.segmentation(uid)
        candidates = [] if segmentation is None or plane else [segmentation.features]
        candidates += (
            [features for at, features in [self._maps[uid]] if at == plane] if uid in self._maps else []
        )
        return next((f for f in candidates if f is not None and tuple(f.shape) == shape), None)


def _has_intensity(table: AnnData) -> bool:
    """Tell whether a table was measured on an image, or on shapes alone."""
    columns = [str(name) for name in table.uns["blocks"]["regionprops"].get("columns", [])]
    return not columns or any(name.endswith("intensity_mean") for name in columns)
