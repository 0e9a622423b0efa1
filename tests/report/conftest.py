"""Folders of synthetic records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spikemark.suites.records import Record, write_record


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """Writes records into a new results folder and returns it."""

    def write(records: list[Record], folder: str = "results") -> Path:
        for record in records:
            write_record(tmp_path / folder, record)
        return tmp_path / folder

    return write
