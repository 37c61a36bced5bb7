"""Pictures of every dock in small windows, and a list of what is cut in them.

    python benchmarks/windows.py --out DIR [--json] [--dock "Cell states" ...]

Opens each dock, and the usual pairs, at 1280 x 720 and 1366 x 768, dark and light, in an empty viewer and with the
sample (movie, masks, classes, recording, events). Of each it writes a picture, and it tells where the window grew
beyond its size, which texts are cut, and which tabs are out of sight. Exits with 1 where something was told.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", "off")
SIZES = ((1280, 720), (1366, 768))
THEMES = ("dark", "light")
SEGMENT, CLICK, CELLS, TRACES, TIMELINE, CONDITIONS = DOCKS = (
    "Segment cells",
    "Point and click",
    "Cell states",
    "Traces and events",
    "Timeline",
    "Conditions",
)
GROUPS = (
    *((name,) for name in DOCKS),
    (SEGMENT, CELLS),
    (CLICK, TRACES),
    (TRACES, TIMELINE),
    (CELLS, TRACES),
    (CELLS, CONDITIONS),
)
SETTLE_S = 0.4
SLACK = 2  # pixels that a style may take from a text's room without a letter being lost


def wait(seconds: float) -> None:
    """Let the window work."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def tabs_within(widget: Any) -> list[Any]:
    """Return the tab widgets of a dock that hold panels."""
    from qtpy.QtWidgets import QTabWidget

    return [tabs for tabs in widget.findChildren(QTabWidget) if tabs.count() > 1]


def cut_texts(widget: Any) -> Iterator[str]:
    """Yield what cannot be read in full of the parts of a widget that are shown."""
    from qtpy.QtWidgets import QAbstractButton, QLabel, QScrollArea, QTabBar

    for button in widget.findChildren(QAbstractButton):
        text = button.text().replace("&", "")
        if not (text and button.isVisible()) or is_folded(button):
            continue
        room, needs = button.size(), button.fontMetrics().size(0, text)
        if room.width() < needs.width() - SLACK or room.height() < needs.height() - SLACK:
            yield f"button '{text}': {room.width()} x {room.height()}, needs {needs.width()} x {needs.height()}"
    for label in widget.findChildren(QLabel):
        text = label.text()
        if (
            not (text and label.isVisible()) or label.minimumWidth() == 1 or is_folded(label)
        ):  # a job's line may be cut
            continue
        if label.wordWrap():
            needs_high, needs_wide = label.heightForWidth(label.width()), 0
        else:
            needs = label.fontMetrics().size(0, text)
            needs_high, needs_wide = needs.height(), needs.width()
        if label.height() < needs_high - SLACK or label.width() < needs_wide - SLACK:
            room = f"{label.width()} x {label.height()}"
            yield f"text '{text[:40]}': {room}, needs {needs_wide} x {needs_high}"
    for bar in widget.findChildren(QTabBar):
        last = bar.tabRect(bar.count() - 1)
        if bar.isVisible() and bar.count() > 1 and last.right() > bar.width() + SLACK:
            yield f"tabs end at {last.right()} in a bar of {bar.width()}: '{bar.tabText(bar.count() - 1)}'"
    for scroll in widget.findChildren(QScrollArea):
        panel = scroll.widget()
        if panel is None or not scroll.isVisible():
            continue
        wide, room = panel.minimumSizeHint().width(), scroll.viewport().width()
        if wide > room + SLACK and not scroll.horizontalScrollBar().isVisible():
            yield f"a panel of {wide} pixels in a scroll area of {room}: {type(panel).__name__}"


def is_folded(part: Any) -> bool:
    """Whether a part lies in a group that is folded away."""
    from superqt import QCollapsible

    while part is not None:
        if isinstance(part, QCollapsible) and not part.isExpanded():
            return True
        part, below = part.parentWidget(), part
        if isinstance(part, QCollapsible) and below is part.toggleButton():
            return False
    return False


def content_of(widget: Any) -> Any:
    """Return a dock itself, made now where only its frame stands."""
    return getattr(widget, "content", widget)


def fill(viewer: Any) -> None:
    """Walk the demo's path: movie, masks, classes, recordings, events, clock, link."""
    from napari_biofm.widgets.demo import Demo

    demo = Demo(viewer)
    demo.run()
    for dock in list(viewer.window.dock_widgets.values()):
        viewer.window.remove_dock_widget(dock)
    demo.labels.visible = True
    wait(SETTLE_S)


def look(viewer: Any, names: tuple[str, ...], stem: str, out: Path) -> Iterator[dict[str, Any]]:
    """Open docks, take their pictures at each size and theme, and close them again."""
    window = viewer.window._qt_window
    docks = []
    window.resize(*SIZES[0])
    wait(0.1)
    for name in names:
        _, widget = viewer.window.add_plugin_dock_widget("napari-biofm", name)
        content_of(widget)
        docks.append(widget)
        wait(SETTLE_S)
    for size in SIZES:
        window.resize(*size)
        wait(SETTLE_S)
        for theme in THEMES:
            viewer.theme = theme
            wait(0.1)
            for place, tab in shown_tabs(content_of(docks[-1])) if theme == THEMES[0] else [("", "")]:
                what = f"{stem}-{'+'.join(names)}{place}-{size[0]}-{theme}".replace(" ", "_").lower()
                wait(0.05)
                window.grab().save(str(out / f"{what}.png"))
                cut = [line for dock in docks for line in cut_texts(dock)]
                grown = [window.width() - size[0], window.height() - size[1]]
                least = window.minimumSizeHint()
                yield {
                    "picture": what,
                    "tab": tab,
                    "grown": grown,
                    "least": [least.width(), least.height()],
                    "cut": cut,
                }
    viewer.theme = THEMES[0]
    for dock in docks:
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
        wait(0.05)


def shown_tabs(dock: Any) -> Iterator[tuple[str, str]]:
    """Show every tab of a dock in turn."""
    tabs = tabs_within(dock)
    if not tabs:
        yield "", ""
        return
    first = tabs[0]
    for at in range(first.count()):
        first.setCurrentIndex(at)
        wait(SETTLE_S)
        yield (f"-{at}-{first.tabText(at)}" if at else ""), first.tabText(at)
    first.setCurrentIndex(0)


def main() -> int:
    """Take the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--dock", action="append", help="only groups with this dock; may be given again")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument("--without-data", action="store_true", help="only the empty viewer")
    options = parser.parse_args()
    from screen import ensure_screen

    ensure_screen()
    import napari

    options.out.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(show=True)
    found: list[dict[str, Any]] = []
    for stem in ("empty",) if options.without_data else ("empty", "data"):
        if stem == "data":
            fill(viewer)
        for names in GROUPS:
            if options.dock is None or set(names) & set(options.dock):
                found += look(viewer, names, stem, options.out)
    viewer.close()
    bad = [one for one in found if one["cut"] or any(one["grown"])]
    if options.json:
        print(json.dumps({"pictures": len(found), "bad": bad}, indent=1))
    else:
        for one in bad:
            print(f"{one['picture']}: grown by {one['grown']}, least {one['least']}")
            print("".join(f"    {line}\n" for line in one["cut"]), end="")
        print(f"{len(found)} pictures in {options.out}; {len(bad)} with something cut or grown")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
