"""Link panel: which recorded channel is which cell."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
)

from napari_biofm.controllers.common.movie_layers import movie_frames, stated_dark
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import frame_rate
from napari_biofm.session import CellKey, Link
from napari_biofm.signals.calcium import TraceSettings
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.timeline.cell_traces import measure_cells
from napari_biofm.timeline.metadata import chosen_rate
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.panel import Host, Panel


class LinkPanel(Panel):
    """Tie a channel to a cell: click the cell, press Link.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    """

    def __init__(self, host: Host, controller: TimelineController) -> None:
        super().__init__(host, controller)
        self.channel = Chooser("no recording", "The recorded channel that belongs to a cell.")
        self.pick = QCheckBox("Click a cell on the image to choose it")
        self.pick.setToolTip("A click chooses the cell under the mouse, Shift adds; Alt and drag is a lasso.")
        self.pick.setChecked(True)
        self.cell = note()
        self.button = push_button("Link", "This channel was recorded from this cell. Can be undone.")
        self.links = QListWidget()
        self.links.setToolTip("Choose a link to choose its cell.")
        self.links.setMinimumHeight(60)
        self.unlink_button = push_button("Unlink", "Take the chosen link away. Can be undone.")
        self.measure_button = push_button(
            "Measure traces and events of all cells",
            "dF/F of every cell from the movie, and its calcium events.",
        )
        form = QFormLayout()
        form.addRow("Channel", self.channel)
        form.addRow("Cell", self.cell)
        buttons = QHBoxLayout()
        buttons.addWidget(self.button)
        buttons.addWidget(self.unlink_button)
        self.column.addLayout(form)
        self.column.addWidget(self.pick)
        self.column.addLayout(buttons)
        self.column.addWidget(self.links)
        self.column.addWidget(self.measure_button)
        self.button.clicked.connect(lambda: self.link())
        self.unlink_button.clicked.connect(lambda: self.unlink())
        self.measure_button.clicked.connect(lambda: self.measure())
        self.links.itemClicked.connect(self._choose_cell_of)
        self.links.itemSelectionChanged.connect(self._enable)
        session = controller.session
        host.listen(controller.chosen, self.things_chosen)
        host.listen(session.links_changed, self.show_links)
        host.listen(session.recordings_changed, self.show_links)
        host.listen(controller.cells_moved, self.show_links)
        host.listen(session.selection_changed, lambda _: self.show_cell())
        self.things_chosen()

    def candidate(self) -> CellKey | None:
        """Return the cell that Link would take: the one selected cell, else the layer's selected label."""
        chosen = self.controller.selected_labels()
        if len(chosen) == 1:
            return CellKey(str(self.controller.labels_uid), chosen[0])
        layer = self.controller.labels
        if not chosen and layer is not None and int(layer.selected_label) in self.controller.centres():
            return CellKey(layer_id(layer), int(layer.selected_label))
        return None

    def link(self) -> None:
        """Tie the chosen channel to the chosen cell."""
        channel, cell = self.channel.key, self.candidate()
        if not isinstance(channel, int):
            self.host.tell("Open a recording first.")
            return
        if cell is None:
            self.host.tell("Choose one cell: click it on the image.")
            return
        try:
            self.controller.session.link(Link(str(self.controller.recording_uid), channel, cell))
        except BiofmError as error:
            self.host.tell_error(error)

    def unlink(self) -> None:
        """Take away the links chosen in the list."""
        for item in self.links.selectedItems():
            self.controller.session.unlink(item.data(Qt.ItemDataRole.UserRole))

    def measure(self) -> None:
        """Measure dF/F and calcium events of all cells of the labels layer from the movie."""
        movie = self.controller.movie
        if movie is None or self.controller.labels is None:
            self.host.tell("Open a movie and its cells first.")
            return
        rate, said = chosen_rate(None, self.controller.clock, frame_rate(movie))
        if rate is None:
            self.host.tell("The frame rate is not known: type it under 'Align' and press Align.")
            return
        uid, part = str(self.controller.movie_uid), self.controller.movie_part()
        name = f"{movie.name}{f' [{part}]' if part else ''} traces"
        dark = stated_dark(movie, part)
        settings = TraceSettings(
            dark_level=dark, dark_source="of the movie's file" if dark is not None else ""
        )
        enable(self.measure_button, False)
        self.host.run(
            measure_cells,
            movie_frames(movie, part),
            self.controller.label_plane(),
            rate,
            name,
            settings,
            MeasuredOn(uid, str(self.controller.labels_uid), part),
            name=f"Measure cells of '{movie.name}'",
            bound_to=uid,
            on_done=lambda found: self._measured(name, found, said),
            on_end=lambda: enable(self.measure_button, True),
        )

    def _measured(self, name: str, found: Any, said: str) -> None:
        recording, events, warnings = found
        self.controller.session.put_traces(
            recording, name, events, {"detector": "default", "kind": "calcium"}
        )
        counts = f"{recording.n_channels} cells, {len(events)} events."
        self.host.tell(" ".join(one for one in (counts, said, *warnings) if one))

    def things_chosen(self) -> None:
        """Offer the channels of the recording in play."""
        recording = self.controller.recording
        channels = () if recording is None else recording.channels
        self.channel.set_choices([(f"{i}: {c.name} ({c.unit})", i) for i, c in enumerate(channels)])
        self.show_cell()
        self.show_links()

    def show_cell(self) -> None:
        """Say which cell Link would take."""
        cell, layer = self.candidate(), self.controller.labels
        if layer is None:
            self.cell.setText("No labels layer: segment the image first.")
        elif cell is None:
            self.cell.setText("none or several: click one cell on the image")
        else:
            self.cell.setText(f"cell {cell.label} of '{layer.name}'")
        self._enable()

    def show_links(self) -> None:
        """List all links, those whose cell or recording is gone included: nothing is lost silently."""
        self.links.clear()
        recordings = self.controller.recordings
        for link in sorted(self.controller.session.links):
            layer = self.controller.layers.layer(link.cell.layer)
            recording = recordings.get(link.recording)
            channel = recording.channels[link.channel].name if recording else f"channel {link.channel}"
            words = f"{link.recording}, {channel}  -  cell {link.cell.label}"
            if layer is None:
                words += " (its labels layer was removed)"
            elif (
                link.cell.layer == self.controller.labels_uid
                and link.cell.label not in self.controller.centres()
            ):
                words += f" (no longer in '{layer.name}')"
            if recording is None:
                words += " (the recording was closed)"
            item = QListWidgetItem(words)
            item.setData(Qt.ItemDataRole.UserRole, link)
            self.links.addItem(item)
        self._enable()

    def _choose_cell_of(self, item: QListWidgetItem) -> None:
        self.controller.session.select([item.data(Qt.ItemDataRole.UserRole).cell])

    def _enable(self, *_: Any) -> None:
        ready = isinstance(self.channel.key, int) and self.candidate() is not None
        enable(self.button, ready, "Off: choose a channel and a cell first.")
        enable(self.unlink_button, bool(self.links.selectedItems()), "Off: choose a link in the list first.")
