"""Keys of the annotator: bound to the viewer and to the layer in play, shown and changed in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_biofm.controllers.annotate.tools import check_keys, titles
from napari_biofm.types import SessionError
from napari_biofm.widgets.common.qt_parts import there

PAN_KEY = "Space"


class KeyBinder:
    """Binds keys to calls on a viewer and on its labels layer; napari's own keys of the layer give way to
    ours only while the annotator is open.

    Parameters
    ----------
    viewer : the viewer.
    call : called with the name of the tool or action.
    pause : called with True while the space bar is held: the mouse pans.
    """

    def __init__(self, viewer: Any, call: Callable[[str], None], pause: Callable[[bool], None]) -> None:
        self._viewer = viewer
        self._call = call
        self._pause = pause
        self._bound: list[tuple[Any, Any]] = []

    def bind(self, keys: Mapping[str, str], layer: Any = None) -> None:
        """Bind keys (name -> key) on the viewer and on a layer; what was bound before is given back."""
        self.release()
        for provider in (self._viewer, layer):
            if provider is None:
                continue
            for name, key in keys.items():
                provider.bind_key(key, self._presser(name), overwrite=True)
                self._bound.append((provider, key))
        if layer is not None:
            layer.bind_key(PAN_KEY, self._hold, overwrite=True)
            self._bound.append((layer, PAN_KEY))

    def release(self) -> None:
        """Give all keys back."""
        for provider, key in self._bound:
            provider.bind_key(key, None, overwrite=True)
        self._bound.clear()

    def _presser(self, name: str) -> Callable[[Any], None]:
        def pressed(_provider: Any) -> None:
            self._call(name)

        pressed.__doc__ = titles()[name]  # shown in napari's list of keys
        return pressed

    def _hold(self, _layer: Any) -> Any:
        self._pause(True)
        yield
        self._pause(False)


class KeyTable(QTableWidget):
    """What every key does; a key is changed by typing another one into its cell."""

    changed = Signal(dict)
    refused = Signal(str)

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__(len(keys), 2)
        self._keys = dict(keys)
        self.setHorizontalHeaderLabels(["Action", "Key"])
        there(self.verticalHeader()).hide()
        there(self.horizontalHeader()).setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        self.setToolTip("Double-click a key to change it, e.g. to 'F' or 'Control-F'.")
        for row, (name, key) in enumerate(self._keys.items()):
            what = QTableWidgetItem(titles()[name])
            what.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.setItem(row, 0, what)
            self.setItem(row, 1, QTableWidgetItem(key))
        self.itemChanged.connect(self._edited)

    def _edited(self, item: QTableWidgetItem) -> None:
        name = list(self._keys)[item.row()]
        new = {**self._keys, name: item.text().strip()}
        if new == self._keys:
            return
        try:
            check_keys(new)
            _check_word(new[name])
        except SessionError as error:
            item.setText(self._keys[name])
            self.refused.emit(str(error))
            return
        self._keys = new
        self.changed.emit(dict(new))


def _check_word(key: str) -> None:
    from napari.utils.key_bindings import coerce_keybinding

    try:
        coerce_keybinding(key)
    except (ValueError, TypeError, KeyError) as error:
        raise SessionError(f"'{key}' is no key; write for example F, Shift-F or Control-F.") from error
