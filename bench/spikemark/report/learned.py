"""What learned thresholds and decays became, layer by layer, and how often the neurons behind them fire."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from spikemark.report.cells import Cells
from spikemark.report.effects import Effect, Plot, Scale, effects_chart, effects_figure
from spikemark.report.model import ABSENT, Entry, Section, Table, number, share_entry, slug, titled
from spikemark.report.plots import PALETTE
from spikemark.suites.records import ParameterChange

READING = """\
What training did to the thresholds and decays of each layer: median [5 %, 95 %] of its values before the first step
and after the last one, means over seeds, of the framework that is named. Moved: values that ended more than 10 % away
from where they began. At most 0: thresholds that any input exceeds, so that the neuron fires at every step. Late: how
far the values went in the last fifth of the epochs, as a share of all the way; a learning rate that falls to 0 brings
everything to rest, so a small share does not prove that the values arrived. Fires: share of steps at which the layer's
neurons fire on test samples. Rows whose values are fixed stand beside them for comparison."""
_LOW, _MEDIAN, _HIGH = 1, 3, 5
"""Places of the 5 %, 50 % and 95 % quantiles among those of a record."""
_STYLES = {"before": (PALETTE[7], "D", "diamond"), "after": (PALETTE[0], "o", "circle")}
_VALUES = Scale(
    "learned",
    "",
    "Learned values, 5 % to 95 % of a layer",
    math.asinh,  # Few thresholds of a layer may lie far from all others.
    (0, 0.5, *(sign * size for size in (1, 2, 5, 10, 20, 50, 100) for sign in (-1, 1))),
    lambda value: f"{value:g}",
)


@dataclass(frozen=True)
class _Layer:
    """One kind of parameter of one layer of one system, from all seeds."""

    system: str
    framework: str
    changes: list[ParameterChange]
    rate: float

    def mean(self, name: str) -> float:
        return fmean(change[name] for change in self.changes if name in change)  # type: ignore[literal-required]

    def quantile(self, when: str, place: int) -> float:
        return fmean(change[when][place] for change in self.changes)  # type: ignore[literal-required]

    @property
    def fixed(self) -> bool:
        return all(change["first"] == change["last"] for change in self.changes)


def learned_section(cells: Cells) -> Section:
    """Tables and plots for every data set, network and variant where a neuron learned something."""
    section = Section("Learned thresholds and decays", READING)
    for where, group in cells.by_measure("accuracy", "energy").groups():
        layers = list(_layers(group))
        if all(layer.fixed for layer in layers):
            continue
        section.tables.append(_table(where, layers))
        plot = Plot(_VALUES, list(_ranges([layer for layer in layers if not layer.fixed])), _STYLES)
        name = f"learned-{slug(where)}"
        section.charts.append(effects_chart(plot, name, titled("Learned values", where)))
        section.figures.append(effects_figure(plot, name, titled("Learned values", where)))
    return section


def _layers(group: Cells) -> Iterator[_Layer]:
    """Of every system in the first framework whose records say it; matched ones would say it again."""
    trained = group.where(measure="accuracy").ok
    for (system,) in trained.names("system"):
        own = trained.where(system=system)
        for (framework,) in own.names("framework"):
            found: dict[tuple[str, str], list[ParameterChange]] = {}
            for record in own.where(framework=framework):
                for change in record["trained"]["parameters"] if "trained" in record else ():
                    found.setdefault((change["layer"], change["parameter"]), []).append(change)
            counted = group.where(measure="energy", system=system, framework=framework)
            for (layer, _), changes in found.items():
                rates = counted.runs("firing_rate", layer=layer)
                yield _Layer(system, framework, changes, fmean(rates.values()) if rates else math.nan)
            if found:
                break


def _table(where: str, layers: list[_Layer]) -> Table:
    rows = tuple(
        (
            Entry(layer.system),
            Entry(layer.changes[0]["layer"]),
            Entry(layer.changes[0]["parameter"]),
            Entry(layer.framework),
            _spread(layer, "first"),
            Entry("fixed", tone="muted") if layer.fixed else _spread(layer, "last"),
            *([ABSENT] * 3 if layer.fixed else _moves(layer)),
            share_entry(layer.rate),
            Entry(str(len(layer.changes))),
        )
        for layer in layers
    )
    columns = (
        "system", "layer", "parameter", "framework", "before", "after", "moved (%)", "at most 0 (%)", "late (%)",
        "fires (%)", "n",
    )  # fmt: skip
    return Table(titled("Thresholds and decays, layer by layer", where), columns, rows, 4)


def _spread(layer: _Layer, when: str) -> Entry:
    low, median, high = (layer.quantile(when, place) for place in (_LOW, _MEDIAN, _HIGH))
    return Entry(f"{number(median, 3)} [{number(low, 3)}, {number(high, 3)}]", median)


def _moves(layer: _Layer) -> list[Entry]:
    low = layer.mean("share_not_positive")
    bad = layer.changes[0]["parameter"] == "threshold" and low > 0
    late = layer.mean("late") if any("late" in change for change in layer.changes) else math.nan
    return [share_entry(layer.mean("share_moved")), share_entry(low, bad=bad), share_entry(late)]


def _ranges(layers: list[_Layer]) -> Iterator[Effect]:
    """Each layer before and after, as lines from the 5 % to the 95 % quantile."""
    names: Mapping[str, str] = {"before": "first", "after": "last"}
    for layer in layers:
        for word, when in names.items():
            median, low, high = (layer.quantile(when, place) for place in (_MEDIAN, _LOW, _HIGH))
            what = f"{layer.changes[0]['layer']}, {layer.changes[0]['parameter']}, {word}"
            shown = f"{number(median, 3)} [{number(low, 3)}, {number(high, 3)}]"
            yield Effect(layer.system, what, median, low, high, shown, word)
