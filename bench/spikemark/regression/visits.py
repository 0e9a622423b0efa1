"""Interleaved visits of two commits: who is timed when, what a visit gives, and when it is enough.

Visits alternate base, head, head, base (ABBA), each in a fresh process, so that whatever the machine does meets
both sides. They end when every verdict is clear, or when the budget is used up.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from spikemark.errors import InputError, explain
from spikemark.regression import visit
from spikemark.regression.ratios import FEWEST_VALUES
from spikemark.regression.series import TIME, Side
from spikemark.regression.worktrees import Checkout

VISIT_SECONDS = 1.0
FIRST_LOOK = 10
_VISIT_TIMEOUT = 600.0
HARNESS = f"{{python}} -P {shlex.quote(str(visit.__file__))} {{order}} {{out}}"
"""The command of a visit that times cases of a suite."""


@dataclass
class Visits:
    """What the visits of both sides by one command saw so far.

    Attributes:
        command: what a visit runs, in a shell's words; ``{python}``, ``{order}`` and ``{out}`` are replaced in it.
        cases: what the order asks for.
        folder: where it runs; one of its own, which is empty, when None.
        timed: by side, for every visit the values of each case.
        failed: by side, cases that a commit cannot run, and why.
        seconds: spent measuring on each side.
    """

    command: str
    cases: Sequence[Mapping[str, Any]] = ()
    folder: Path | None = None
    timed: tuple[list[dict[str, list[float]]], list[dict[str, list[float]]]] = field(default_factory=lambda: ([], []))
    failed: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def take(self, checkout: Checkout, index: int) -> None:
        """Visit a side once.

        Raises:
            InputError: the command fails, or gives no values.
        """
        with tempfile.TemporaryDirectory(prefix="spikemark-visit-") as name:
            order, out = Path(name) / "order.json", Path(name) / "out.json"
            order.write_text(json.dumps({"cases": list(self.cases), "seconds": VISIT_SECONDS}), encoding="utf-8")
            told = {"{python}": str(checkout.python), "{order}": str(order), "{out}": str(out)}
            command = [_filled(word, told) for word in shlex.split(self.command)]
            checkout.run(command, self.folder or Path(name), what=f"measuring {checkout.ref}", timeout=_VISIT_TIMEOUT)
            seen = _seen(out, checkout)
        self.timed[index].append(seen["values"])
        self.failed[index].update(seen.get("failed", {}))
        self.seconds[index] += seen.get("measuring", VISIT_SECONDS)

    def add_to(self, sides: tuple[Side, Side]) -> None:
        """Put the visits into the series "time" of both sides, one run per visit."""
        pace = self._pace()
        for side, timed, failed in zip(sides, self.timed, self.failed, strict=True):
            side.broken |= failed
            runs: dict[str, list[tuple[float, ...]]] = {}
            for seen in timed:
                for name, value in relative_to_yardstick(seen, pace).items():
                    runs.setdefault(name, []).append((value,))
            for name, values in runs.items():
                side.place(name, TIME).runs = values

    def _pace(self) -> float:
        seen = [seconds for timed in self.timed for one in timed for seconds in one.get(visit.YARDSTICK, [])]
        return float(np.median(seen)) if seen else 1.0


def _filled(word: str, told: Mapping[str, str]) -> str:
    """The word with what is told in place of the names; other braces stay as they are."""
    for name, value in told.items():
        word = word.replace(name, value)
    return word


def relative_to_yardstick(seen: dict[str, list[float]], pace: float) -> dict[str, float]:
    """One value for each case of a visit: the median over rounds of its time relative to the yardstick's, times `pace`.

    Without a yardstick among the cases, the median of the times themselves.
    """
    yardstick = seen.get(visit.YARDSTICK)
    if yardstick is None:
        return {name: float(np.median(values)) for name, values in seen.items()}
    return {
        name: pace * float(np.median(np.divide(values, yardstick)))
        for name, values in seen.items()
        if name != visit.YARDSTICK
    }


def looks(pairs: int) -> bool:
    """Whether to look at the verdicts after so many pairs: at 10, and whenever there are half as many again."""
    look = FIRST_LOOK
    while look < pairs:
        look += max(1, look // 2)
    return look == pairs


def take_turns(
    visits: Sequence[Visits], pair: tuple[Checkout, Checkout], budget: float, enough: Callable[[int, float], bool]
) -> None:
    """Visit both sides alternately.

    Args:
        visits: the commands to run, one after the other, in every visit.
        pair: both sides.
        budget: seconds of measuring on each side; fewer visits than make a verdict are not worth taking.
        enough: asked now and then with the number of pairs and the seconds so far; whether to stop.
    """
    pairs = 0
    while (seconds := max(sum(v.seconds[index] for v in visits) for index in (0, 1))) < budget or pairs < FEWEST_VALUES:
        if pairs and looks(pairs) and enough(pairs, seconds):
            return
        for index in (0, 1) if pairs % 2 == 0 else (1, 0):
            for one in visits:
                one.take(pair[index], index)
        pairs += 1


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
class Seen(TypedDict):
    """What a visit writes.

    Attributes:
        values: by case, positive numbers: seconds of one call each. A case "yardstick" is work that no commit
            changes; the others' values are then taken relative to its, round by round.
        failed: cases that the commit cannot run, and why.
        measuring: seconds that the visit measured for, of the budget.
    """

    values: Annotated[
        dict[str, Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]], Field(min_length=1)
    ]
    failed: NotRequired[dict[str, str]]
    measuring: NotRequired[Annotated[float, Field(gt=0)]]


@cache
def _reader() -> TypeAdapter[Seen]:
    return TypeAdapter(Seen)


def _seen(out: Path, checkout: Checkout) -> Seen:
    try:
        seen = _reader().validate_json(out.read_bytes())
    except OSError:
        raise InputError(f"measuring {checkout.ref} wrote nothing to {{out}}") from None
    except ValidationError as error:
        raise InputError(f"measuring {checkout.ref} wrote no result to {{out}}: {explain(error)}") from None
    rounds = {len(values) for values in seen["values"].values()}
    if visit.YARDSTICK in seen["values"] and len(rounds) > 1:
        raise InputError(
            f"measuring {checkout.ref}: every case must have as many values as the case {visit.YARDSTICK!r}"
        )
    return seen
