"""Instruction counts, the quiet clock: callgrind counts one call of each case, many cases in one process."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikemark.errors import InputError

REPEATS = 8

Runner = Callable[[list[str], Path], str]
"""Runs a command in a folder and returns its standard error; raises when it fails."""


def can_count() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


def count_instructions(
    python: Path, visit: Path, cases: Sequence[Mapping[str, Any]], run: Runner
) -> tuple[dict[str, float], dict[str, str]]:
    """Instructions of one call of each case, and why cases failed.

    The allocator and address-keyed caches make single calls differ by some 0.3 %, and processes too; the median of
    `REPEATS` calls is taken.

    Raises:
        InputError: callgrind wrote other dumps than were asked for.
    """
    with tempfile.TemporaryDirectory(prefix="spikemark-count-") as name:
        folder = Path(name)
        order, out = folder / "order.json", folder / "out.json"
        order.write_text(json.dumps({"cases": list(cases), "repeats": REPEATS}), encoding="utf-8")
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no"]
        dumps = f"--callgrind-out-file={folder / 'callgrind'}"
        run([*tool, dumps, str(python), "-P", str(visit), str(order), str(out)], folder)
        seen = json.loads(out.read_text(encoding="utf-8"))
        names = list(seen["values"])
        totals = [_total(folder / f"callgrind.{number}") for number in range(1, REPEATS * len(names) + 1)]
        if len(list(folder.glob("callgrind.*"))) != len(totals):
            raise InputError(f"callgrind wrote other dumps than the {len(totals)} asked for")
    return {name: statistics.median(totals[i :: len(names)]) for i, name in enumerate(names)}, seen["failed"]


def _total(dump: Path) -> float:
    found = re.search(r"^totals: (\d+)$", dump.read_text(encoding="utf-8"), re.MULTILINE) if dump.exists() else None
    if found is None:
        raise InputError(f"callgrind wrote no {dump.name}; is this valgrind supported?")
    return float(found[1])
