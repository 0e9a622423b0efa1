"""Exact counts as the table that papers print: by layer and in total, under every profile, beside a dense network."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spikemark.core.counts import ACCUMULATING, LayerCount, OperationCount, SpikingCount
from spikemark.core.tables import to_csv
from spikemark.errors import needs
from spikemark.measures.energy import EnergyProfile, priced

TOTAL, ONCE, HIDDEN, DENSE = "total", "total, constant input once", "without the first layer", "dense network, one pass"


@dataclass(frozen=True)
class Work:
    """What a row of the table adds up, per sample.

    Attributes:
        dense: pairs of an input and a weight, zeros of both included.
        macs, acs, neuron_updates, weight_reads, state_accesses: see `OperationCount`.
    """

    dense: float = 0.0
    macs: float = 0.0
    acs: float = 0.0
    neuron_updates: float = 0.0
    weight_reads: float = 0.0
    state_accesses: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(one + two for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, share: float) -> Work:
        return Work(*(share * value for value in vars(self).values()))


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
        dense = self._dense
        return pd.DataFrame(
            {
                "layer": layer,
                "input": kind,
                "rate (%)": 100 * rate,
                "dense": work.dense,
                "MACs": work.macs,
                "ACs": work.acs,
                "neuron updates": work.neuron_updates,
                "memory accesses": work.weight_reads + work.state_accesses,
                **self._energies(work, dense),
            }
            for layer, kind, rate, work in self._rows(dense)
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

        The operations of those layers grow with the rate; all else stays as it is, a constant input being counted once.
        Below 0 the network costs more even if it never spikes; NaN where no layer gets spikes or a price is missing.
        """
        spiking = [_synapses(layer) for layer in self.count.layers if layer.kind in ACCUMULATING]
        driven = sum(spiking, Work())
        if not driven.dense:
            return dict.fromkeys(self.profiles, math.nan)
        totals = {layer: work for layer, _, _, work in self._rows(self._dense)}
        rest = totals.get(ONCE, totals[TOTAL]) + driven * -1
        every = Work(acs=driven.dense, weight_reads=driven.dense)
        return {
            name: _percent(_energy(profile, self._dense) - _energy(profile, rest), _energy(profile, every))
            for name, profile in self.profiles.items()
        }

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
            even = ", ".join(f"{name} {_shown(rate)} %" for name, rate in self.break_even.items())
            grid = shown.to_markdown(index=False, disable_numparse=True)
            return f"{grid}\n\nRate of spiking inputs at which both cost the same: {even}.\n\n{self.sentence}\n"

    @property
    def _dense(self) -> Work:
        pairs = self.count.dense / self.steps
        return Work(dense=pairs, macs=pairs, weight_reads=pairs)

    def _energies(self, work: Work, dense: Work) -> dict[str, float]:
        columns = {}
        for name, profile in self.profiles.items():
            own, other = _energy(profile, work), _energy(profile, dense)
            columns[f"{name} (nJ)"] = own / 1_000
            columns[f"{name}, of dense (%)"] = _percent(own, other)
        return columns

    def _rows(self, dense: Work) -> Iterator[tuple[str, str, float, Work]]:
        count = self.count
        layers = [(_short(layer.name), layer.kind, _density(layer), _synapses(layer)) for layer in count.layers]
        neurons = [
            (_short(n.name), "neurons", n.firing_rate, _neurons(n)) for n in (*count.spiking, *count.integrating)
        ]
        yield from layers
        yield from neurons
        total = sum((work for *_, work in (*layers, *neurons)), Work())
        yield TOTAL, "", count.firing_rate, total
        if layers:
            first = layers[0][-1]
            if self.constant and self.steps > 1:
                yield ONCE, "", count.firing_rate, total + first * (1 / self.steps - 1)
            yield HIDDEN, "", count.firing_rate, total + first * -1
        yield DENSE, "", math.nan, dense


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else math.nan


def _short(name: str) -> str:
    """Without the module that is put around a model to be measured."""
    return name.removeprefix("module.")


def _energy(profile: EnergyProfile, work: Work) -> float:
    return priced(profile, work.macs, work.acs, work.weight_reads, work.neuron_updates, work.state_accesses)


def _density(layer: LayerCount) -> float:
    return (layer.macs + layer.acs) / layer.dense if layer.dense else math.nan


def _synapses(layer: LayerCount) -> Work:
    return Work(layer.dense, layer.macs, layer.acs, weight_reads=layer.macs + layer.acs)


def _neurons(layer: SpikingCount) -> Work:
    return Work(neuron_updates=layer.neuron_updates, state_accesses=2 * layer.words * layer.neuron_updates)


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "-" if math.isnan(value) else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
