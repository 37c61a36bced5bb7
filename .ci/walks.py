"""How many source files of napari-biofm the three walks of docs/architecture.md enter; counted while they run.

    python .ci/walks.py            the counts
    python .ci/walks.py --list     every file, in the order in which it is entered first
    python .ci/walks.py --check    exits with 1 where a walk enters more files than docs/architecture.md says

Counted are the distinct files of the package in which a function is called between the call and its result, in all
threads. Code that runs while a module is imported is left out, and so is what numba has compiled. Jobs run inline: the
engine's processes add files of `engine/` only. Everything is cold: the first call in a fresh process.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = str(ROOT / "src" / "napari_biofm")


@contextmanager
def entered() -> Iterator[list[str]]:
    """Collect the files of the package that are entered, in order; code of imports is left out."""
    found: dict[str, None] = {}
    imports = threading.local()

    def hear(frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if code.co_name == "<module>":
            imports.depth = getattr(imports, "depth", 0) + (1 if event == "call" else -1)
        elif event == "call" and code.co_filename.startswith(SOURCE) and not getattr(imports, "depth", 0):
            found.setdefault(code.co_filename[len(SOURCE) + 1 :])

    names: list[str] = []
    threading.setprofile(hear)
    sys.setprofile(hear)
    try:
        yield names
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # None ends it
        names += found


def image_to_masks() -> list[str]:
    """`biofm.segment` on a simulated image with the model that is built in."""
    import napari_biofm as biofm
    from napari_biofm.simulate import simulate_field

    image = simulate_field((256, 256), 20, seed=3).image
    with entered() as files:
        result = biofm.segment(image, model="biofm-image", device="cpu")
    assert result.masks.max() > 0, "no cell was found"
    return files


def file_to_events() -> list[str]:
    """`biofm.read_recording` and `biofm.detect_events` on the voltage clamp (ABF) of the samples, with physio-FM."""
    import napari_biofm as biofm
    from napari_biofm.simulate.sample_files import corecording_files

    path = corecording_files()["voltage_clamp"]
    with entered() as files:
        events = biofm.detect_events(biofm.read_recording(path), detector="physio-fm")
    assert len(events), "no event was found"
    return files


class _Layers:
    """One labels layer and one image, as a viewer hands them to the tables of cells."""

    def __init__(self, masks: Any, image: Any) -> None:
        self.masks, self.image = masks, image

    def labels(self, _: str) -> Any:
        return self.masks

    def images(self, _: str, __: Any) -> dict[str, Any]:
        from napari_biofm.teaching.pixels import Region

        return {"image": Region(self.image, ())}

    def name(self, uid: str) -> str:
        return uid

    def plane_in_view(self, _: str) -> tuple[int, ...]:
        return ()

    def is_movie(self, _: str) -> bool:
        return False

    def pixel_size(self, _: str, __: int) -> None:
        return None


def click_to_class() -> list[str]:
    """A click that labels a cell in the controller of the Cells dock, until the predictions of all cells are there."""
    from napari_biofm.controllers.cells.controller import CellsController
    from napari_biofm.engine import InlineEngine
    from napari_biofm.images.edit.labels_edit import ArrayTarget
    from napari_biofm.session import Session
    from napari_biofm.simulate import simulate_field
    from napari_biofm.teaching.cell_tables import CellTables

    field = simulate_field((256, 256), 30, seed=3)
    session = Session(InlineEngine())
    session.attach_labels(ArrayTarget(field.masks, "cells"))
    tables = CellTables(session, _Layers(field.masks, field.image), lambda: None, lambda steps: list(steps))

    def run(
        function: Callable[..., Any],
        *args: Any,
        name: str,
        on_end: Callable[[], Any] | None = None,
        **more: Any,
    ) -> Any:
        job = session.engine.submit(function, *args, name=name, **more)
        if on_end is not None:
            on_end()
        return job

    def at_once(work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Any], None]) -> None:
        try:
            result = work()
        except Exception as error:
            failed(error)
            raise
        done(result)

    controller = CellsController(session, tables, run, at_once, at_once)
    controller.use_layer("cells")
    tables.measure("cells", run, lambda: None)
    controller.cells_changed("cells")
    states = controller.states
    states.add_class("round")
    states.add_class("long")
    for row in range(8):
        states.assign([row], row % 2)
    controller.labels_by_clicking, controller.code = True, 0
    told: list[None] = []
    states.predictions_changed.connect(lambda: told.append(None))
    with entered() as files:
        controller.click(int(states.values[9]), ())
    assert told and states.prediction is not None, "no prediction came"
    return files


def _walks() -> Iterator[tuple[str, Callable[[], list[str]]]]:
    yield "image to masks", image_to_masks
    yield "file to events", file_to_events
    yield "click to class", click_to_class


def main() -> int:
    """Count each walk in a process of its own, and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--list", action="store_true", help="every file, in the order in which it is entered first"
    )
    parser.add_argument(
        "--walk", choices=[name for name, _ in _walks()], help="one walk only, here in this process"
    )
    parser.add_argument("--check", action="store_true", help="compare with the table in docs/architecture.md")
    args = parser.parse_args()
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8") if args.check else ""
    more = 0
    if args.walk:
        print("\n".join(dict(_walks())[args.walk]()))
        return 0
    for name, _ in _walks():
        command = [sys.executable, __file__, "--walk", name]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(run.stderr, file=sys.stderr)
            return 1
        files = run.stdout.split()
        folders = len({str(Path(file).parent) for file in files})
        print(f"{name}: {len(files)} files in {folders} folders")
        told = re.search(rf"(?m)^\| {name} \| (\d+) \|", table)
        if args.check and (told is None or len(files) > int(told[1])):
            more = 1
            print(f"    docs/architecture.md says {told[1] if told else 'nothing'}")
        if args.list:
            print("".join(f"    {file}\n" for file in files))
    return more


if __name__ == "__main__":
    raise SystemExit(main())
