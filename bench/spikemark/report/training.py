"""What training did: neurons that fell silent, classes that were missed, and epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

from spikemark.core.statistics import Interval, mean_interval
from spikemark.report.cells import Cells, neurons_of
from spikemark.report.charts import curve_chart
from spikemark.report.model import ABSENT, Chart, Entry, Table, share_entry
from spikemark.report.plots import Curves
from spikemark.suites.records import TrainingRecord

NOTE = """\
Means over seeds and layers, of the framework that is named, degenerate runs too. Silent: the share of spiking
neurons that never fired on test samples. Missed: classes of which not one test sample was recognised. Best epoch: whose
weights were measured, of all that were trained; where it is the last, training may not have settled."""
_FEWEST_EPOCHS = 3


def training_table(where: str, group: Cells) -> list[Table]:
    """Every system in the first framework that trained it."""
    rows = tuple(
        (Entry(system), Entry(framework), share_entry(_silent(trained)), _missed(trained), _best(trained),
         Entry(str(len(trained))))
        for framework, system, trained in _told(group)
    )  # fmt: skip
    if not rows:
        return []
    columns = ("system", "framework", "silent (%)", "missed", "best epoch", "n")
    return [Table(f"What training did: {where}", columns, rows, 2, NOTE, collapsed=True)]


def learning_chart(where: str, group: Cells) -> list[Chart]:
    """Accuracy on the validation set after every epoch; nothing where there are fewer than three epochs."""
    drawn: dict[str, dict[str, dict[str, dict[int, Interval]]]] = {}
    for framework, system, trained in _told(group):
        found: dict[int, dict[int, float]] = {}
        for number_, one in enumerate(trained):
            for epoch in one["curve"]:
                found.setdefault(epoch["epoch"], {})[number_] = epoch["validation_accuracy"]
        if len(found) >= _FEWEST_EPOCHS:
            points = {epoch: mean_interval(runs, bounds=(0, 1)) for epoch, runs in sorted(found.items())}
            drawn.setdefault(framework, {}).setdefault("validation set", {})[system] = points
    curves = Curves(where, drawn, neurons_of(group), "learning", "Learning curves", "epoch")
    return [curve_chart(curves)] if drawn else []


def _told(group: Cells) -> Iterator[tuple[str, str, list[TrainingRecord]]]:
    """Of every system, what training did in the first framework whose records say it: matched ones would say it again.

    Yields framework, system and what is told of each training.
    """
    for (system,) in group.names("system"):
        own = group.where(system=system)
        for (framework,) in own.names("framework"):
            trained = [record["trained"] for record in own.where(framework=framework) if "trained" in record]
            if trained:
                yield framework, system, trained
                break


def _silent(trained: list[TrainingRecord]) -> float:
    shares = [share for one in trained for share in one["silent"].values()]
    return fmean(shares) if shares else math.nan


def _missed(trained: list[TrainingRecord]) -> Entry:
    missed = sorted({number_ for one in trained for number_, share in enumerate(one["recall"]) if share == 0})
    if not any(one["recall"] for one in trained):
        return ABSENT
    return Entry(", ".join(map(str, missed)) or "none", float(len(missed)), tone="bad" if missed else "")


def _best(trained: list[TrainingRecord]) -> Entry:
    best, last = [one["best_epoch"] for one in trained], max(len(one["curve"]) for one in trained)
    ends = str(best[0]) if min(best) == max(best) else f"{min(best)} to {max(best)}"
    return Entry(f"{ends} of {last}", fmean(best))
