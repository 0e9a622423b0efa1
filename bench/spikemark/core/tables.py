"""Tables as text that a spreadsheet shows and does not run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(frame: pd.DataFrame, float_format: str | None = None) -> str:
    """A table as CSV. Text that a spreadsheet would take for a formula stands behind an apostrophe; numbers stay so.

    Args:
        frame: columns become the header, the index is left out.
        float_format: such as ``"%.6g"``.
    """
    safe = frame.rename(columns=_harmless)
    for position, kind in enumerate(frame.dtypes):
        if kind.kind not in "biuf":
            safe.isetitem(position, frame.iloc[:, position].map(_harmless).array)
    return safe.to_csv(index=False, float_format=float_format, lineterminator="\n")


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.startswith(_FORMULA) or len(cell) == 1:
        return cell
    with suppress(ValueError):
        float(cell)
        return cell
    return f"'{cell}"
