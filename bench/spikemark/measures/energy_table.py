"""Exact counts as the table that papers print: by layer and in total, under every profile, beside dense networks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spikemark.core.counts import FULL_BITS, LayerCount, OperationCount
from spikemark.core.tables import to_csv
from spikemark.errors import needs
from spikemark.measures.energy import EnergyProfile, break_even, energy

TOTAL, ONCE, HIDDEN, DENSE = "total", "total, constant input once", "without the first layer", "dense network, one pass"
ADDITIONS, PRODUCTS = "total, averages as additions", "total, sums as products"


def dense_title(bits: int) -> str:
    """Of the row of a dense network with weights of so many bits."""
    return DENSE if bits == FULL_BITS else f"{DENSE}, {bits} bits"


@dataclass(frozen=True)
class EnergyTable:
    """The table of one model.

    Attributes:
        name: of the model.
        data: name of the data set.
        count: what was counted.
        profiles: by name.
        samples: that were counted, whose mean is shown.
        steps: T.
        constant: whether all steps saw the same input, so that hardware may compute the first layer once.
        version: of Spikemark.
    """

    name: str
    data: str
    count: OperationCount
    profiles: Mapping[str, EnergyProfile]
    samples: int
    steps: int
    constant: bool
    version: str

    @property
    def frame(self) -> pd.DataFrame:
        """One row per layer of synapses and of neurons, then totals.

        Columns: ``layer``, ``input`` (its kind; "neurons" for neurons), ``rate`` (%; of synapses the pairs of nonzeros
        among all, of neurons spikes per neuron and step), counts per sample, and for each profile energy in nJ and
        relative to the dense network (%). NaN stands where a profile has no price for what a row does.
        """
        rows = list(self._rows())
        dense = next(count for title, _, _, count in rows if title == DENSE)
        return pd.DataFrame(
            {
                "layer": layer,
                "input": kind,
                "rate (%)": 100 * rate,
                "dense": count.dense,
                "MACs": count.macs,
                "ACs": count.acs,
                "neuron updates": count.neuron_updates,
                "memory accesses": count.weight_reads + count.state_accesses,
                **self._energies(count, dense),
            }
            for layer, kind, rate, count in rows
        )

    @property
    def sentence(self) -> str:
        """One sentence on the method, to be cited."""
        sources = "; ".join(f"{name}: {profile.source}" for name, profile in self.profiles.items())
        return (
            f"Operations were counted exactly by Spikemark {self.version}, as pairs of a nonzero input and a nonzero "
            f"weight without padding, on average over {self.samples} samples of {self.data} in {self.steps} steps; "
            f"energies are these counts times published prices ({sources}), not measurements; the dense network makes "
            "one pass over the same layers with every weight used."
        )

    @property
    def break_even(self) -> dict[str, float]:
        """By profile, the rate (%) of spiking inputs at which the network costs as much as the dense one.

        See `spikemark.measures.energy.break_even`; a constant input is counted once.
        """
        return {name: rates[FULL_BITS] for name, rates in self.break_evens.items()}

    @property
    def break_evens(self) -> dict[str, dict[int, float]]:
        """The same by profile and bits: with weights of so many bits in both networks, where a profile prices them."""
        once, dense = self._once, self._dense
        return {
            name: {
                bits: 100 * break_even(once.with_bits(bits), dense.with_bits(bits), profile)
                for bits in (FULL_BITS, *sorted(profile.narrow, reverse=True))
            }
            for name, profile in self.profiles.items()
        }

    @property
    def flips(self) -> tuple[list[str], list[str]]:
        """The profiles under which the network costs less than the dense one, and those under which it costs more."""
        once, dense = self._once, self._dense
        costs = {name: (energy(once, profile), energy(dense, profile)) for name, profile in self.profiles.items()}
        return (
            [name for name, (own, other) in costs.items() if own < other],
            [name for name, (own, other) in costs.items() if own > other],
        )

    def text(self, form: str) -> str:
        """The table as "markdown", "csv" or "latex".

        Raises:
            InputError: a package that the form needs is missing.
        """
        if form == "csv":
            return to_csv(self.frame)
        shown = self.frame.map(_shown)
        with needs("report", f"a table as {form}"):
            if form == "latex":
                import jinja2  # noqa: F401 (what pandas writes LaTeX with)

                caption = re.sub(r"([%_&#$])", r"\\\1", self.sentence)
                columns = "ll" + "r" * (len(shown.columns) - 2)
                latex: str = shown.to_latex(index=False, escape=True, caption=caption, column_format=columns)
                return latex
            grid = shown.to_markdown(index=False, disable_numparse=True)
            return f"{grid}\n\n{self._told()}\n\n{self.sentence}\n"

    def _told(self) -> str:
        """What the table says, in words."""
        evens = "; ".join(
            f"{name}: "
            + ", ".join(
                f"{_shown(rate)} %" if bits == FULL_BITS else f"{_shown(rate)} % ({bits} bits)"
                for bits, rate in rates.items()
            )
            for name, rates in self.break_evens.items()
        )
        less, more = self.flips
        lines = [f"Rate of spiking inputs at which both cost the same: {evens}."]
        if less and more:
            lines.append(
                f"The ranking flips: a constant input counted once, the network costs less than the dense one under "
                f"{', '.join(less)}, and more under {', '.join(more)}."
            )
        if self.count.spiking and not self.count.firing_rate:
            lines.append("The network never spikes: what it costs is its first layer and the updates of its neurons.")
        return "\n\n".join(lines)

    @property
    def _dense(self) -> OperationCount:
        return self.count.dense_pass(self.steps)

    @property
    def _once(self) -> OperationCount:
        return self.count.once(self.steps if self.constant else 1)

    def _energies(self, count: OperationCount, dense: OperationCount) -> dict[str, float]:
        columns = {}
        for name, profile in self.profiles.items():
            own, other = energy(count, profile), energy(dense, profile)
            columns[f"{name} (nJ)"] = own / 1_000
            columns[f"{name}, of dense (%)"] = _percent(own, other)
        return columns

    def _rows(self) -> Iterator[tuple[str, str, float, OperationCount]]:
        count = self.count
        for layer in count.layers:
            yield _short(layer.name), layer.kind, _density(layer), OperationCount((layer,), ())
        for neurons in (*count.spiking, *count.integrating):
            yield _short(neurons.name), "neurons", neurons.firing_rate, OperationCount((), (neurons,))
        yield TOTAL, "", count.firing_rate, count
        if count.as_additions() != count:
            yield ADDITIONS, "", count.firing_rate, count.as_additions()
        if count.as_products() != count:
            yield PRODUCTS, "", count.firing_rate, count.as_products()
        if count.layers:
            if self.constant and self.steps > 1:
                yield ONCE, "", count.firing_rate, self._once
            yield HIDDEN, "", count.firing_rate, count.with_layers(count.layers[1:])
        widths = {bits for profile in self.profiles.values() for bits in profile.narrow}
        for bits in (FULL_BITS, *sorted(widths, reverse=True)):
            yield dense_title(bits), "", math.nan, self._dense.with_bits(bits)


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else math.nan


def _short(name: str) -> str:
    """Without the module that is put around a model to be measured."""
    return name.removeprefix("module.")


def _density(layer: LayerCount) -> float:
    return (layer.macs + layer.acs) / layer.dense if layer.dense else math.nan


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "-" if math.isnan(value) else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
