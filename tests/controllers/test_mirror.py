"""Columns of other plugins in the features of a layer."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_biofm.controllers.cells.mirror import with_columns_of_others


def ours() -> pd.DataFrame:
    return pd.DataFrame({"label": [2, 5], "index": [2, 5], "prediction": ["a", "b"], "area": [4.0, 9.0]})


@pytest.mark.parametrize("key", ["index", "label"])
def test_columns_of_others_stay_with_their_cells_in_any_order(key: str) -> None:
    former = pd.DataFrame({key: [5, 2], "theirs": ["five", "two"]})
    made = with_columns_of_others(ours(), former)
    assert made["theirs"].tolist() == ["two", "five"] and made["label"].tolist() == [2, 5]


def test_rows_without_a_name_are_labels_by_their_number() -> None:
    former = pd.DataFrame({"cluster": [0, 10, 20, 30, 40, 50]})
    made = with_columns_of_others(ours(), former)
    assert made.set_index("label")["cluster"].to_dict() == {1: 10, 2: 20, 3: 30, 4: 40, 5: 50}


def test_cells_that_were_not_measured_keep_what_others_know_of_them() -> None:
    former = pd.DataFrame({"index": [2, 7], "root": [1, 3]})
    made = with_columns_of_others(ours(), former)
    assert made["label"].tolist() == made["index"].tolist() == [2, 5, 7]
    assert made["root"].dropna().tolist() == [1, 3] and made["prediction"].tolist() == ["a", "b", ""]


def test_a_table_without_others_is_ours() -> None:
    assert with_columns_of_others(ours(), ours()).equals(ours())
