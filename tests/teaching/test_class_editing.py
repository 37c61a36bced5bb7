"""Classes are removed and merged as one edit that undo takes back exactly, wherever they stand in the list."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.session import Session
from napari_biofm.teaching.cell_states import CellStates
from tests.teaching.test_kept_predictions import UID, at_once, cells

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def states() -> CellStates:
    session = Session()
    masks, image = cells()
    session.set_cells(UID, make_table(masks, image=image, layer=UID))
    made = CellStates(session, at_once)
    made.use(UID, session.cells(UID))
    for code, name in enumerate(NAMES):
        made.assign(np.arange(code * 3, code * 3 + 3), made.add_class(name))
    return made


def given(states: CellStates) -> list[str]:
    names = [name for name, _ in states.classes]
    return ["" if code < 0 else names[code] for code in states.by_hand[:12]]


WAYS = [(code, into) for code in range(4) for into in (None, 0, 1, 2, 3) if into != code]


@pytest.mark.parametrize(("code", "into"), WAYS)
def test_a_class_goes_and_its_cells_go_where_told(states: CellStates, code: int, into: int | None) -> None:
    before, classes, n_log = given(states), states.classes, len(states.session.log)
    states.remove_class(code, into)
    kept = "" if into is None else NAMES[into]
    assert given(states) == [kept if name == NAMES[code] else name for name in before]
    assert states.classes == [pair for pair in classes if pair[0] != NAMES[code]]
    assert len(states.session.log) == n_log + 1
    assert states.prediction is not None and set(states.prediction.code) <= {-1, 0, 1, 2}
    states.session.undo()
    assert given(states) == before and states.classes == classes
    states.session.redo()
    assert NAMES[code] not in given(states)


def test_the_table_written_by_the_program_is_read_back_as_labels(states: CellStates, tmp_path) -> None:
    from napari_biofm.cells.table.export import read_classes, write_csv
    from napari_biofm.cells.table.quantities import MeasuredOn, quantities, with_quantities
    from napari_biofm.types import run_task

    states.rename(0, "=a")
    table = states.measured().copy()
    found = run_task(quantities(cells()[0], MeasuredOn({}, "field")))
    write_csv(with_quantities(table, found), tmp_path / "t.csv")
    assert "'=a" in (tmp_path / "t.csv").read_text()
    before = given(states)
    states.assign(np.arange(12), -1)
    states.assign_names(read_classes(states.measured(), tmp_path / "t.csv"))
    assert given(states) == before and before[0] == "=a"
