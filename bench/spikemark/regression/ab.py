"""Two commits against each other on one machine: instruction counts, deterministic results, and interleaved visits.

Visits alternate base, head, head, base (ABBA), each in a fresh process, so that whatever the machine does meets
both sides. They end when every verdict is clear, or when the budget is used up.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikemark.core.measurement import Metric
from spikemark.errors import InputError
from spikemark.measures.measure import MEASURES
from spikemark.registry import registry
from spikemark.regression import counting, visit
from spikemark.regression.compare import Comparison, compare
from spikemark.regression.series import INSTRUCTIONS, TIME, Side, metrics
from spikemark.regression.sources import records_side
from spikemark.regression.verdicts import Finding, Limits
from spikemark.regression.worktrees import Checkout, checkouts
from spikemark.suites.records import load_records

if TYPE_CHECKING:
    from spikemark.suites.suite import Suite

VISIT_SECONDS = 1.0
FIRST_LOOK = 10
# Haybittle and Peto: looking early costs nothing when only overwhelming evidence may stop the trial.
EARLY_ALPHA = 0.001
_VISIT_TIMEOUT = 600.0
_COUNT_TIMEOUT = 3600.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        repository: a git repository that has both refs.
        base: what the head is judged against.
        head: the change.
        suite: whose frameworks, neurons and sizes are watched.
        limits: what passes.
        budget: seconds of measuring on each side.
        metrics: their names; the usual ones when empty.
        command: what a visit runs instead of `spikemark.regression.visit`; ``{python}``, ``{order}`` and ``{out}`` are
            replaced.
    """

    repository: Path
    base: str
    head: str
    suite: str
    limits: Limits
    budget: float = 60.0
    metrics: Sequence[str] = ()
    command: str | None = None

    def wants(self, *wanted: Metric) -> bool:
        """Whether any of the metrics is to be compared."""
        return any(metric.name in self.metrics if self.metrics else metric.watched for metric in wanted)


@dataclass
class Visits:
    """What the visits of both sides saw so far.

    Attributes:
        timed: by side, for every visit the values of each case.
        failed: by side, cases that a commit cannot run, and why.
        seconds: spent measuring on each side.
    """

    timed: tuple[list[dict[str, list[float]]], list[dict[str, list[float]]]] = field(default_factory=lambda: ([], []))
    failed: tuple[dict[str, str], dict[str, str]] = field(default_factory=lambda: ({}, {}))
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add_to(self, sides: tuple[Side, Side]) -> None:
        """Put the visits into the series "time" of both sides, one run per visit."""
        pace = self._pace()
        for side, timed, failed in zip(sides, self.timed, self.failed, strict=True):
            side.broken |= failed
            side.series = {key: series for key, series in side.series.items() if series.metric is not TIME}
            for seen in timed:
                for name, value in relative_to_yardstick(seen, pace).items():
                    side.place(name, TIME).runs.append((value,))

    def _pace(self) -> float:
        seen = [seconds for timed in self.timed for one in timed for seconds in one.get(visit.YARDSTICK, [])]
        return float(np.median(seen)) if seen else 1.0


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


def run_ab(plan: Plan, say: Say) -> Comparison:
    """Check out, install, measure and judge; see the module.

    Raises:
        InputError: the plan cannot be carried out.
        KeyboardInterrupt: Ctrl-C, after both worktrees are gone.
    """
    suite = _suite(plan)
    cases = layer_cases(suite) if suite else []
    counts = plan.command is None and plan.wants(INSTRUCTIONS) and counting.can_count()
    repeatable = [metric for metric in metrics().values() if metric.rule != "cost" and metric is not INSTRUCTIONS]
    records = suite is not None and plan.wants(*repeatable)
    with checkouts(plan.repository, plan.base, plan.head) as pair:
        sides = Side(f"{plan.base} ({pair[0].commit[:9]})"), Side(f"{plan.head} ({pair[1].commit[:9]})")
        for side, checkout in zip(sides, pair, strict=True):
            if records and suite is not None:
                say(f"deterministic results of {side.label}")
                _add_records(side, checkout, suite, _suite_file(plan.suite))
            side.machine = "this"
            if counts:
                say(f"instructions of {side.label}")
                _add_counts(side, checkout, cases)
        if not plan.wants(TIME):
            return _compare(plan, sides, plan.limits)
        return _take_turns(plan, pair, sides, cases, say)


def layer_cases(suite: Suite) -> list[dict[str, Any]]:
    """Forward, and forward with backward, of one layer of every neuron of the suite in every framework.

    Steps and batch are those of the suite's first part.
    """
    from spikemark.measures.throughput import Throughput
    from spikemark.training.system import specified_neurons

    neurons = specified_neurons(suite.contenders().values())
    first = suite.parts[0]
    batch = Throughput.model_validate(first.tables.get("throughput", {})).batch_size
    size = {"steps": first.encoding.steps, "batch": batch, "shape": [128]}
    return [
        {"name": f"{framework} {neuron} {phase}", "framework": framework, "neuron": neuron, "phase": phase} | size
        for framework in suite.values("frameworks")
        for neuron in neurons
        for phase in ("forward", "forward+backward")
    ]


def looks(pairs: int) -> bool:
    """Whether to look at the verdicts after so many pairs: at 10, and whenever there are half as many again."""
    look = FIRST_LOOK
    while look < pairs:
        look += max(1, look // 2)
    return look == pairs


def clear(comparison: Comparison) -> bool:
    """Whether every noisy verdict is in."""
    return not any(f.verdict == "undecided" for f in comparison.findings if f.kind == "cost")


def _suite(plan: Plan) -> Suite | None:
    if plan.command is not None:
        return None
    from spikemark.suites.suite import load_suite

    return load_suite(plan.suite)


def _suite_file(name_or_path: str) -> Path:
    """Of this harness, for both sides: what is measured must not change with the commit."""
    suites = registry("suite")
    found = suites.get(name_or_path, name_or_path)
    if not isinstance(found, str | Path):
        raise InputError(f"suite {name_or_path!r} is no file, which both sides could run; name the path of one")
    return Path(found).resolve()


def _compare(plan: Plan, sides: tuple[Side, Side], limits: Limits) -> Comparison:
    return compare(*sides, limits, metrics=plan.metrics, paired=True)


def _take_turns(
    plan: Plan, pair: tuple[Checkout, Checkout], sides: tuple[Side, Side], cases: list[dict[str, Any]], say: Say
) -> Comparison:
    visits, pairs = Visits(), 0
    while max(visits.seconds) < plan.budget:
        for index in (0, 1) if pairs % 2 == 0 else (1, 0):
            _visit(plan, pair[index], cases, index, visits)
        pairs += 1
        if looks(pairs):
            visits.add_to(sides)
            early = _compare(plan, sides, replace(plan.limits, alpha=EARLY_ALPHA))
            say(f"{pairs} visits a side, {max(visits.seconds):.0f} s: {_undecided(early.findings)}")
            if clear(early):
                return replace(early, limits=plan.limits)
    visits.add_to(sides)
    return _compare(plan, sides, plan.limits)


def _undecided(findings: list[Finding]) -> str:
    costs = [f for f in findings if f.kind == "cost"]
    return f"{sum(f.verdict == 'undecided' for f in costs)} of {len(costs)} undecided"


def _visit(plan: Plan, checkout: Checkout, cases: list[dict[str, Any]], index: int, visits: Visits) -> None:
    with tempfile.TemporaryDirectory(prefix="spikemark-visit-") as name:
        folder = Path(name)
        order, out = folder / "order.json", folder / "out.json"
        order.write_text(json.dumps({"cases": cases, "seconds": VISIT_SECONDS}), encoding="utf-8")
        words = {"python": str(checkout.python), "order": str(order), "out": str(out)}
        if plan.command is None:
            command = [words["python"], "-P", str(visit.__file__), words["order"], words["out"]]
        else:
            command = [part.format(**words) for part in shlex.split(plan.command)]
        run_quietly(command, folder, what=f"measuring {checkout.ref}", timeout=_VISIT_TIMEOUT)
        seen = _seen(out, checkout)
    visits.timed[index].append(seen["values"])
    visits.failed[index].update(seen.get("failed", {}))
    visits.seconds[index] += seen.get("measuring", VISIT_SECONDS)


def _seen(out: Path, checkout: Checkout) -> dict[str, Any]:
    try:
        seen: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        lists = seen["values"].values()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"measuring {checkout.ref} gave no result ({error})") from None
    if not lists or not all(isinstance(values, list) and values for values in lists):
        raise InputError(f"measuring {checkout.ref} gave no values")
    return seen


def _add_records(side: Side, checkout: Checkout, suite: Suite, file: Path) -> None:
    """Run the suite's jobs that are not about time, with the commit's own code."""
    measures = [name for name in suite.values("measures") if not MEASURES[name].exclusive]
    if not measures:
        return
    with tempfile.TemporaryDirectory(prefix="spikemark-run-") as name:
        folder = Path(name)
        start = "import sys; from spikemark.cli import main; sys.argv[0] = 'spikemark'; main()"
        only = f"measure={','.join(measures)}"
        options = ["--out", str(folder / "records"), "--only", only, "--workers", "0"]
        command = [str(checkout.python), "-P", "-c", start, "run", str(file), *options]
        # Status 1 means failed cells: they have their records.
        run_quietly(command, folder, what=f"running the suite with {checkout.ref}", timeout=_COUNT_TIMEOUT, fine=(0, 1))
        read = records_side(side.label, load_records(folder / "records"))
    side.series |= read.series
    side.broken |= read.broken
    side.cells |= read.cells
    side.unjudged |= read.unjudged
    side.notes += read.notes


def _add_counts(side: Side, checkout: Checkout, cases: list[dict[str, Any]]) -> None:
    run = partial(run_quietly, what=f"counting instructions of {checkout.ref}", timeout=_COUNT_TIMEOUT)
    counts, failed = counting.count_instructions(checkout.python, Path(str(visit.__file__)), cases, run)
    side.broken |= failed
    for name, count in counts.items():
        side.place(name, INSTRUCTIONS).exact[0, ""] = count


def run_quietly(command: list[str], folder: Path, *, what: str, timeout: float, fine: Sequence[int] = (0,)) -> str:
    """Run a command with one thread and a fixed hash seed; its standard error.

    Raises:
        InputError: it failed, took too long, or does not exist; the message ends with its last line.
    """
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{what} took more than {timeout:g} s") from None
    except OSError as error:
        raise InputError(f"{what}: cannot run {command[0]} ({error.strerror})") from None
    if done.returncode not in fine:
        last = next((line for line in reversed(done.stderr.strip().splitlines()) if line.strip()), "no message")
        raise InputError(f"{what} failed with status {done.returncode}: {last.strip()}")
    return done.stderr
