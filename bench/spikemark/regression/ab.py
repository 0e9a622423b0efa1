"""Two commits against each other on one machine: traces, deterministic results, instructions, interleaved visits.

What is deterministic comes first, both sides at once, and gives a first verdict; the clock comes last.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from spikemark.core.frameworks import FRAMEWORKS, frameworks_of
from spikemark.core.measurement import Metric
from spikemark.core.neurons import NEURONS, FrameworkNeuron, own_neurons
from spikemark.errors import InputError
from spikemark.measures.measure import MEASURES
from spikemark.registry import registry
from spikemark.regression import counting, visit
from spikemark.regression.compare import Comparison, compare
from spikemark.regression.processes import in_parallel
from spikemark.regression.series import GOLDEN, INSTRUCTIONS, TIME, Side, metrics
from spikemark.regression.sources import records_side
from spikemark.regression.verdicts import Finding, Limits
from spikemark.regression.visits import HARNESS, Visits, take_turns
from spikemark.regression.worktrees import Checkout, checkouts, resolve
from spikemark.suites.records import load_records

if TYPE_CHECKING:
    from spikemark.suites.suite import Suite

# Haybittle and Peto: looking early costs nothing when only overwhelming evidence may stop the trial.
EARLY_ALPHA = 0.001
_TIMEOUT = 3600.0
_OURSELVES = "spikemark"
_START = "import sys; from spikemark.cli import main; sys.argv[0] = 'spikemark'; main()"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        repository: a git repository that has both refs.
        base: what the head is judged against.
        head: the change.
        suite: whose frameworks, neurons and sizes are watched; None where `command` alone is.
        limits: what passes.
        budget: seconds of measuring on each side.
        metrics: their names; the usual ones when empty.
        command: what a visit runs beside the suite's cases, in a shell's words; ``{python}``, ``{order}`` and ``{out}``
            are replaced.
        package: the distribution that the repository builds; whatever it installs when "".
        merge_base: whether the head is judged against the last commit that both refs have.
        fail_on: what else makes the comparison fail.
    """

    repository: Path
    base: str
    head: str
    suite: str | None
    limits: Limits
    budget: float = 60.0
    metrics: Sequence[str] = ()
    command: str | None = None
    package: str = ""
    merge_base: bool = True
    fail_on: Collection[str] = ()

    def wants(self, *wanted: Metric) -> bool:
        """Whether any of the metrics is to be compared."""
        return any(metric.name in self.metrics if self.metrics else metric.watched for metric in wanted)

    def judge(self, sides: tuple[Side, Side], alpha: float | None = None) -> Comparison:
        """Compare what is there of both sides."""
        limits = self.limits if alpha is None else replace(self.limits, alpha=alpha)
        judged = compare(*sides, limits, metrics=self.metrics, paired=True, fail_on=self.fail_on)
        return replace(judged, limits=self.limits)


def run_ab(plan: Plan, say: Say) -> Comparison:
    """Check out, install, measure and judge; see the module.

    Raises:
        InputError: the plan cannot be carried out.
        KeyboardInterrupt: Ctrl-C, after both worktrees are gone.
    """
    if plan.suite is None and plan.command is None:
        raise InputError("nothing to measure: name a suite, a command, or both")
    refs = resolve(plan.repository, plan.base, plan.head, merge_base=plan.merge_base)
    sides = Side(f"{refs.base_name} ({refs.base[:9]})"), Side(f"{plan.head} ({refs.head[:9]})")
    suite = _suite(plan.suite) if plan.suite else None
    subject = Subject.of(plan.package, suite, plan.suite) if plan.package else None
    if refs.same:
        return Comparison(sides[0].label, sides[1].label, plan.limits, [], identical=True)
    start = time.monotonic()
    with checkouts(plan.repository, refs) as pair:
        _require_package(pair, plan)
        say(f"{time.monotonic() - start:.0f} s: both commits are installed")
        if suite is not None:
            subject = subject or Subject.of(pair[0].package, suite, plan.suite)
            _deterministic(plan, suite, subject, pair, sides)
            if sides[0].series or sides[1].series:
                first = plan.judge(sides)
                say(f"{time.monotonic() - start:.0f} s: first verdict, without the clock: {_outcome(first)}")
        cases = layer_cases(suite, subject.frameworks) if suite is not None and subject is not None else []
        for side in sides:
            side.machines = {"this"}
        if cases and plan.wants(INSTRUCTIONS) and counting.can_count():
            say("counting instructions")
            in_parallel(*(partial(_add_counts, *one, cases) for one in zip(sides, pair, strict=True)))
        if not plan.wants(TIME):
            return plan.judge(sides)
        visits = [Visits(HARNESS, cases)] if cases else []
        if plan.command is not None:
            visits.append(Visits(plan.command, cases, Path.cwd()))
        return _timed(plan, visits, pair, sides, say)


@dataclass(frozen=True)
class Subject:
    """What the commits change.

    Attributes:
        package: the distribution that they install.
        frameworks: those of the suite that run on it.
    """

    package: str
    frameworks: tuple[str, ...]

    @classmethod
    def of(cls, package: str, suite: Suite | None, suite_name: str | None) -> Subject:
        """The part of a suite that runs on a package.

        Raises:
            InputError: no adapter knows the package, or none of the suite.
        """
        known = frameworks_of(package)
        if suite is None:
            return cls(package, known)
        if not known:
            others = ", ".join(name for name in FRAMEWORKS if name != "reference")
            raise InputError(
                f"no adapter knows the package {package!r} (there are adapters of: {others}); "
                "measure it with --command, or write an adapter"
            )
        narrowed = tuple(name for name in suite.values("frameworks") if name in known)
        if not narrowed:
            raise InputError(
                f"suite {suite_name!r} measures nothing of {package}: "
                f"its frameworks are {', '.join(suite.values('frameworks'))}"
            )
        return cls(package, narrowed)


def layer_cases(suite: Suite, frameworks: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Forward, and forward with backward, of one layer of every neuron of the suite in every framework.

    Steps and batch are those of the suite's first part. A single framework's own neurons are watched, too: its commits
    change them. Those with learned constants run the code of those without.

    Args:
        suite: whose neurons.
        frameworks: of the suite; all of them when None.
    """
    from spikemark.measures.throughput import Throughput
    from spikemark.training.system import specified_neurons

    neurons: list[str] = list(specified_neurons(suite.contenders().values()))
    first = suite.parts[0]
    batch = Throughput.model_validate(first.tables.get("throughput", {})).batch_size
    size = {"steps": first.encoding.steps, "batch": batch, "shape": [128]}
    chosen = suite.values("frameworks") if frameworks is None else frameworks
    return [
        {"name": f"{framework} {neuron} {phase}", "framework": framework, "neuron": neuron, "phase": phase} | size
        for framework in chosen
        for neuron in [*neurons, *(_own(framework) if len(chosen) == 1 else ())]
        for phase in ("forward", "forward+backward")
    ]


def _own(framework: str) -> list[str]:
    found = {name: NEURONS[name] for name in own_neurons([framework])}
    return [
        name
        for name, neuron in found.items()
        if isinstance(neuron, FrameworkNeuron) and not neuron.lacks and "-learned" not in name
    ]


def clear(comparison: Comparison) -> bool:
    """Whether every noisy verdict is in."""
    return not any(f.verdict == "undecided" for f in comparison.findings if f.kind == "cost")


def _suite(name_or_path: str) -> Suite:
    from spikemark.suites.suite import load_suite

    return load_suite(name_or_path)


def _suite_file(name_or_path: str) -> Path:
    """Of this harness, for both sides: what is measured must not change with the commit."""
    suites = registry("suite")
    found = suites.get(name_or_path, name_or_path)
    if not isinstance(found, str | Path):
        raise InputError(f"suite {name_or_path!r} is no file, which both sides could run; name the path of one")
    return Path(found).resolve()


def _require_package(pair: tuple[Checkout, Checkout], plan: Plan) -> None:
    """That both sides install the same package, and the plan's where it names one.

    Raises:
        InputError: they do not.
    """
    base, head = pair
    if base.package != head.package:
        raise InputError(f"{base.ref} installs {base.package}, {head.ref} installs {head.package}: nothing to compare")
    if plan.package and canonicalize_name(plan.package) != canonicalize_name(head.package):
        raise InputError(f"{head.ref} installs {head.package}, not {plan.package}")


def _outcome(comparison: Comparison) -> str:
    from spikemark.regression.render import verdict_line

    return verdict_line(comparison)


def _deterministic(
    plan: Plan, suite: Suite, subject: Subject, pair: tuple[Checkout, Checkout], sides: tuple[Side, Side]
) -> None:
    """Golden traces and the suite's jobs that are not about time, so that both sides are busy all the time."""
    repeatable = [metric for metric in metrics().values() if metric.rule != "cost" and metric is not INSTRUCTIONS]
    run: list[Callable[[], None]] = [lambda: None, lambda: None]
    if plan.wants(*(metric for metric in repeatable if metric is not GOLDEN)) and plan.suite is not None:
        file = _suite_file(plan.suite)
        run = [
            partial(_add_records, side, checkout, suite, subject, file)
            for side, checkout in zip(sides, pair, strict=True)
        ]
    # Of Spikemark's own commits, golden traces would show the frameworks alone, which do not change.
    own = tuple(name for name in subject.frameworks if own_neurons([name]))
    if plan.wants(GOLDEN) and own and subject.package != _OURSELVES:
        subject = replace(subject, frameworks=own)
        with tempfile.TemporaryDirectory(prefix="spikemark-golden-") as name:
            file = Path(name) / "golden.safetensors"
            in_parallel(partial(_golden, pair[0], "record", file, subject), run[1])
            in_parallel(partial(_add_golden, pair[1], file, subject, sides), run[0])
    else:
        in_parallel(*run)


def _golden(checkout: Checkout, action: str, file: Path, subject: Subject, *options: str) -> str:
    frameworks = [word for name in subject.frameworks for word in ("--framework", name)]
    command = [str(checkout.python), "-P", "-c", _START, "golden", action, str(file), *frameworks, *options]
    what = f"golden {action} with {checkout.ref}"
    return checkout.run(command, file.parent, what=what, timeout=_TIMEOUT, fine=(0, 1))


def _add_golden(checkout: Checkout, file: Path, subject: Subject, sides: tuple[Side, Side]) -> None:
    found = json.loads(_golden(checkout, "check", file, subject, "--format", "json"))
    differing: dict[str, list[str]] = {}
    for difference in found["differences"]:
        differing.setdefault(difference["layer"], []).append(difference["said"])
    for layer in found["layers"]:
        base, head = (side.place(layer, GOLDEN) for side in sides)
        base.exact[0, ""] = 0.0
        head.exact[0, ""] = float(len(differing.get(layer, ())))
        head.said = "; ".join(differing.get(layer, ()))


def _timed(
    plan: Plan, visits: list[Visits], pair: tuple[Checkout, Checkout], sides: tuple[Side, Side], say: Say
) -> Comparison:
    early: list[Comparison] = []

    def judged(alpha: float | None = None) -> Comparison:
        for one in visits:
            one.add_to(sides)
        return plan.judge(sides, alpha)

    def enough(pairs: int, seconds: float) -> bool:
        early[:] = [judged(EARLY_ALPHA)]
        say(f"{pairs} visits a side, {seconds:.0f} s: {_undecided(early[0].findings)}")
        return clear(early[0])

    take_turns(visits, pair, plan.budget, enough)
    return early[0] if early and clear(early[0]) else judged()


def _undecided(findings: list[Finding]) -> str:
    costs = [f for f in findings if f.kind == "cost"]
    return f"{sum(f.verdict == 'undecided' for f in costs)} of {len(costs)} undecided"


def _add_records(side: Side, checkout: Checkout, suite: Suite, subject: Subject, file: Path) -> None:
    """Run the suite's jobs that are not about time, with the commit's own code."""
    measures = [name for name in suite.values("measures") if not MEASURES[name].exclusive]
    if not measures:
        return
    with tempfile.TemporaryDirectory(prefix="spikemark-run-") as name:
        folder = Path(name)
        only = [f"measure={','.join(measures)}", f"framework={','.join(subject.frameworks)}"]
        options = ["--out", str(folder / "records"), "--workers", "0", *(w for o in only for w in ("--only", o))]
        command = [str(checkout.python), "-P", "-c", _START, "run", str(file), *options]
        # Status 1 means failed cells: they have their records.
        checkout.run(command, folder, what=f"running the suite with {checkout.ref}", timeout=_TIMEOUT, fine=(0, 1))
        read = records_side(side.label, load_records(folder / "records"))
    side.take_in(read)


def _add_counts(side: Side, checkout: Checkout, cases: list[dict[str, Any]]) -> None:
    run = partial(checkout.run, what=f"counting instructions of {checkout.ref}", timeout=_TIMEOUT)
    counts, failed = counting.count_instructions(checkout.python, Path(str(visit.__file__)), cases, run)
    side.broken |= failed
    for name, count in counts.items():
        side.place(name, INSTRUCTIONS).exact[0, ""] = count
