"""Columns of text, which pandas holds as objects before version 3 and as a kind of their own since."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import Series


def is_text(column: Series) -> bool:
    """Return whether a column holds text, of which what is missing is shown as nothing.

    Parameters
    ----------
    column : of a table.
    """
    from pandas.api.types import is_string_dtype

    return bool(is_string_dtype(column.dtype))


def filled(column: Series) -> Series:
    """Return a column in which missing text is "", and other values as they are.

    Parameters
    ----------
    column : of a table.
    """
    return column.fillna("") if is_text(column) else column
