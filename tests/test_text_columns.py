"""Text in tables, as pandas 2 and pandas 3 hold it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_biofm.text_columns import filled, is_text


@pytest.mark.parametrize("kind", ["object", "string", "str"])
def test_missing_text_is_empty_whatever_pandas_calls_it(kind):
    column = pd.Series(["a", None], dtype=kind)
    assert is_text(column)
    assert filled(column).tolist() == ["a", ""]


@pytest.mark.parametrize("values", [[1.0, np.nan], [True, False], pd.Categorical(["a", None])])
def test_other_columns_stay_as_they_are(values):
    column = pd.Series(values)
    assert not is_text(column)
    pd.testing.assert_series_equal(filled(column), column)
