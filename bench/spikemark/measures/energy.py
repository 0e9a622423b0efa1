"""Energy of a trained network: its exact operation counts times the prices of named hardware profiles."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, field
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from spikemark.core.counts import OperationCount
from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import checked, each_once
from spikemark.errors import InputError
from spikemark.measures.measure import Measure
from spikemark.registry import Registry, known, registry

if TYPE_CHECKING:
    from torch import Tensor

    from spikemark.data.card import Card
    from spikemark.measures.subject import Subject

PROFILES: Registry[EnergyProfile]


Price = Annotated[float, Field(ge=0)]


@checked
class OperationPrices:
    """Prices of the operations of a layer, in pJ.

    Attributes:
        mac: a multiply-accumulate; None for hardware that has none.
        ac: an accumulate.
        weight_read: a weight fetched from memory, once per operation.
    """

    mac: Price | None
    ac: Price
    weight_read: Price


@checked
class EnergyProfile(OperationPrices):
    """Prices of one kind of hardware, in pJ.

    Attributes:
        neuron_update: the arithmetic of one neuron and step.
        state_access: a state variable of a neuron read or written.
        source: where the prices are published.
        assumptions: what is ours, not the source's.
        narrow: prices of operations by bits of the weight, for layers with no more bits than that; without, what is
            above holds whatever the weights.

    Raises:
        InputError: a price is missing, negative or no number.
    """

    neuron_update: Price
    state_access: Price
    source: str
    assumptions: str = ""
    narrow: dict[int, OperationPrices] = field(default_factory=dict)

    def prices(self, bits: int) -> OperationPrices:
        """Those of the operations of a layer with weights of so many bits."""
        return next((self.narrow[width] for width in sorted(self.narrow) if bits <= width), self)


def read_profiles(path: Path) -> dict[str, EnergyProfile]:
    """Profiles of one's own from a TOML file: a table for each, with the fields of `EnergyProfile`.

    A price for hardware that has no multiply-accumulates is ``mac = "none"``.

    Raises:
        InputError: no such file, not TOML, or a profile lacks a price or has a wrong one; one line names it.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"profiles: {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"profiles: {path} is not TOML: {error}") from None
    if not tables:
        raise InputError(f"profiles: {path} holds no tables, one for each profile")
    return {name: as_profile(name, table) for name, table in tables.items()}


def named_profiles(given: Iterable[str] | Mapping[str, object]) -> dict[str, EnergyProfile]:
    """Profiles by registered name, from TOML files (names that end in ``.toml``), or given by name; all when empty.

    Raises:
        InputError: no such profile or file, or one has a wrong price.
    """
    if isinstance(given, Mapping):
        return {name: as_profile(name, value) for name, value in given.items()}
    found: dict[str, EnergyProfile] = {}
    for name in each_once(tuple(given)) or tuple(PROFILES):
        found |= read_profiles(Path(name)) if name.endswith(".toml") else {name: PROFILES[name]}
    return {name: as_profile(name, profile) for name, profile in found.items()}


def as_profile(name: str, given: object) -> EnergyProfile:
    """A profile from its fields.

    Raises:
        InputError: it is none.
    """
    if isinstance(given, EnergyProfile):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"profile {name!r}: is a {type(given).__name__}; expected prices by name")
    table: dict[str, Any] = {key: None if key == "mac" and value == "none" else value for key, value in given.items()}
    try:
        narrow = table.get("narrow", {})
        if narrow:
            table["narrow"] = {int(bits): OperationPrices(**prices) for bits, prices in narrow.items()}
        return EnergyProfile(**table)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"profile {name!r}: {error}") from None


_HOROWITZ = "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm, 0.9 V"

_WIDTHS = (
    "of 8 and 4 bits with sums of 32 bits: multiplication 0.2 and 0.05 pJ (quadratic from 8 bits, ours), addition 0.1"
)
_ACCESS = f"{_HOROWITZ}: 10 pJ for 64 bits of an 8 KB SRAM"


def _by_width(
    per_bit: float, neuron_update: float, state_access: float, source: str, assumptions: str
) -> EnergyProfile:
    """45 nm: prices that follow the width of the weights, which are packed in memory."""
    return EnergyProfile(
        mac=4.6,
        ac=0.9,
        weight_read=32 * per_bit,
        neuron_update=neuron_update,
        state_access=state_access,
        source=source,
        assumptions=assumptions,
        narrow={
            8: OperationPrices(mac=0.3, ac=0.1, weight_read=8 * per_bit),
            4: OperationPrices(mac=0.15, ac=0.1, weight_read=4 * per_bit),
        },
    )


OUR_PROFILES: Mapping[str, EnergyProfile] = MappingProxyType(
    {
        "45nm-fp32": EnergyProfile(
            mac=4.6,
            ac=0.9,
            weight_read=0.0,
            neuron_update=0.0,
            state_access=0.0,
            source=f"{_HOROWITZ}: 32-bit floating-point multiplication 3.7 pJ, addition 0.9 pJ",
            assumptions="synaptic arithmetic only, as most publications on spiking networks count",
        ),
        "45nm-int8": EnergyProfile(
            mac=0.23,
            ac=0.03,
            weight_read=0.0,
            neuron_update=0.0,
            state_access=0.0,
            source=f"{_HOROWITZ}: 8-bit integer multiplication 0.2 pJ, addition 0.03 pJ",
            assumptions="synaptic arithmetic only; weights, inputs and sums of 8 bits, which the network was not "
            "trained for",
        ),
        "45nm-fp32-sram": EnergyProfile(
            mac=4.6,
            ac=0.9,
            weight_read=5.0,
            neuron_update=4.6,
            state_access=5.0,
            source=f"{_HOROWITZ}; access to a 32-bit word of SRAM 5 pJ: Han, Pool, Tran and Dally, Learning both "
            "weights and connections for efficient neural networks, NeurIPS 2015, table 1",
            assumptions="every operation fetches its own weight, nothing is reused; a neuron update costs one "
            "multiply-accumulate, one read and one write of its membrane potential; sums and spikes are free",
        ),
        "45nm-fp32-dram": EnergyProfile(
            mac=4.6,
            ac=0.9,
            weight_read=640.0,
            neuron_update=4.6,
            state_access=5.0,
            source=f"{_HOROWITZ}; access to a 32-bit word of DRAM 640 pJ, of SRAM 5 pJ: Han, Pool, Tran and Dally, "
            "NeurIPS 2015, table 1",
            assumptions="weights do not fit on the chip: every operation fetches its own from DRAM; states are in SRAM",
        ),
        "loihi-2018-simulated": EnergyProfile(
            mac=None,
            ac=23.6,
            weight_read=0.0,
            neuron_update=81.0,
            state_access=0.0,
            source="Davies et al., Loihi: a neuromorphic manycore processor with on-chip learning, IEEE Micro 38(1), "
            "2018, table 2: synaptic operation 23.6 pJ (minimum), update of an active neuron 81 pJ; 14 nm",
            assumptions="figures of a simulation before silicon, a lower bound; every neuron is active; memory is in "
            "the prices; spikes on the mesh are free; inputs must be spikes",
        ),
        "spinnaker2-prototype": EnergyProfile(
            mac=None,
            ac=450.0,
            weight_read=0.0,
            neuron_update=2190.0,
            state_access=0.0,
            source="Hoeppner et al., Dynamic power management for neuromorphic many-core systems, arXiv 1903.08941, "
            "2019: synaptic operation 450 pJ, neuron update 2.19 nJ; 28 nm test chip, measured",
            assumptions="memory is in the prices; static power is left out; inputs must be spikes",
        ),
        "45nm-by-width": _by_width(
            0.0,
            0.0,
            0.0,
            f"{_HOROWITZ}: floating-point and integer multiplications and additions",
            f"synaptic arithmetic only; weights of 32 bits in floating point, {_WIDTHS}",
        ),
        "45nm-by-width-sram": _by_width(
            10 / 64,
            4.6,
            5.0,
            f"{_ACCESS}, so 5 pJ for a 32-bit word and 1.25 for 8 bits",
            f"weights of 32 bits in floating point, {_WIDTHS}; weights are packed, every operation fetches its own; "
            "states of 32 bits, whose update costs one floating-point multiply-accumulate; sums, spikes and "
            "activations travel for free",
        ),
        "45nm-by-width-dram": _by_width(
            20.0,
            4.6,
            5.0,
            f"{_ACCESS}; DRAM 640 pJ for 32 bits: Han, Pool, Tran and Dally, NeurIPS 2015, table 1, so 20 pJ for a bit",
            "as 45nm-by-width-sram, with weights in DRAM",
        ),
    }
)


def energy(count: OperationCount, profile: EnergyProfile) -> float:
    """Energy of one sample in pJ; NaN if there are MACs and the profile has no price for them."""
    total = profile.neuron_update * count.neuron_updates + profile.state_access * count.state_accesses
    for layer in count.layers:
        prices = profile.prices(layer.bits)
        if prices.mac is None and layer.macs:
            return math.nan
        total += (prices.mac or 0.0) * layer.macs + prices.ac * layer.acs
        total += prices.weight_read * (layer.macs + layer.acs)
    return total


def break_even(count: OperationCount, twin: OperationCount, profile: EnergyProfile) -> float:
    """The share of spiking inputs that fire, at which a network costs as much as its twin.

    The operations of layers that get spikes grow with that share; all else stays as it is. Below 0 the network costs
    more even if no neuron fires; NaN where no layer gets spikes, or a price is missing.
    """
    each = energy(count.driven(), profile)
    return (energy(twin, profile) - energy(count.silent(), profile)) / each if each else math.nan


def flips(energies: Mapping[str, Sequence[Mapping[int, float]]]) -> dict[tuple[int, int], tuple[str, str]]:
    """Pairs of contenders whose order depends on the profile: every seed that both have says the one, and the other.

    Args:
        energies: by profile, the runs of every contender.

    Returns:
        By the places of a pair, a profile under which the first costs less, and one under which the second does.
    """
    found = {}
    for i, j in combinations(range(len(next(iter(energies.values()), ()))), 2):
        orders = {profile: _order(runs[i], runs[j]) for profile, runs in energies.items()}
        less, more = (next((profile for profile, o in orders.items() if o == sign), None) for sign in (-1, 1))
        if less is not None and more is not None:
            found[i, j] = (less, more)
    return found


def _order(first: Mapping[int, float], second: Mapping[int, float]) -> int:
    """-1 where the first is below the second in every seed that both have, 1 where it is above, else 0."""
    signs = {(first[seed] > second[seed]) - (first[seed] < second[seed]) for seed in first.keys() & second.keys()}
    return signs.pop() if len(signs) == 1 else 0


class Energy(Measure):
    """On how many test samples operations are counted, and under which hardware profiles they are priced."""

    name = "energy"
    metrics = (
        Metric("macs", "1/sample", "exact"),
        Metric("acs", "1/sample", "exact"),
        Metric("dense", "1/sample", "exact", watched=False),
        Metric("neuron_updates", "1/sample", "exact"),
        Metric("energy", "pJ/sample", "exact"),
        Metric("energy_once", "pJ/sample", "exact", watched=False),
        Metric("energy_silent", "pJ/sample", "exact", watched=False),
        Metric("energy_driven", "pJ/sample", "exact", watched=False),
        Metric("energy_dense", "pJ/sample", "exact", watched=False),
        Metric("firing_rate", "spikes/step", "exact", watched=False),
    )
    section = "spikemark.report.energy:energy_section"

    samples: Annotated[int, Field(ge=1)] = 128
    profiles: Annotated[tuple[str, ...], Field(min_length=1)] = ("45nm-fp32", "45nm-int8", "45nm-fp32-sram")

    @field_validator("profiles")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known("profile", each_once(names))

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`.

        Raises:
            spikemark.measures.counting.tracing.UncountableError: a layer cannot be counted.
        """
        from spikemark.core.streams import generator
        from spikemark.data.encoders import encode
        from spikemark.measures.counting.operations import count_operations

        dataset, protocol = subject.dataset, subject.protocol
        inputs = dataset.test.inputs[: self.samples]
        random = generator("encoding", dataset.name, "energy")
        encoded = encode(protocol.encoder, inputs, protocol.steps, random)
        count = count_operations(subject.model, encoded.to(subject.device), layout="TB")
        profiles = named_profiles(self.profiles)
        for name, profile in profiles.items():
            if math.isnan(energy(count, profile)):
                where = ", ".join(layer.name for layer in count.layers if layer.macs)
                raise InputError(f"profile {name!r} has no price for multiply-accumulates, such as those of {where}")
        single = getattr(subject.model, "single_pass", False)
        steps, held = (1, 1) if single else (len(encoded), held_steps(encoded))
        return [*energy_rows(count, profiles), *reading_rows(count, profiles, steps, held)]

    def check(self, card: Card) -> None:
        """See `Measure.check`."""
        self.check_samples(self.samples, card)

    def uses(self) -> list[tuple[str, str]]:
        """See `Measure.uses`."""
        return [*super().uses(), *(("profile", name) for name in self.profiles)]

    def determines(self) -> dict[str, Any]:
        """The prices of every profile."""
        prices = {name: asdict(profile) for name, profile in named_profiles(self.profiles).items()}
        words = ("source", "assumptions")
        told = {name: {k: v for k, v in p.items() if k not in words} for name, p in prices.items()}
        for prices_of in told.values():
            if not prices_of["narrow"]:
                del prices_of["narrow"]
        return {"profiles": told}


def energy_rows(count: OperationCount, profiles: Mapping[str, EnergyProfile]) -> list[Measurement]:
    """Counts as the rows of a record.

    Returns:
        ``macs``, ``acs``, ``dense`` and ``neuron_updates`` per sample; ``macs`` and ``acs`` of every layer with the
        kind of its input; ``energy`` under every profile; ``firing_rate``, in all and of every spiking layer, where
        there are any.
    """
    rows = [
        _per_sample("macs", count.macs),
        _per_sample("acs", count.acs),
        _per_sample("dense", count.dense),
        _per_sample("neuron_updates", count.neuron_updates),
    ]
    for layer in count.layers:
        for metric, value in (("macs", layer.macs), ("acs", layer.acs)):
            rows.append(_per_sample(metric, value) | {"layer": layer.name, "input_kind": layer.kind})
    rows += [
        Measurement(metric="energy", value=energy(count, profile), unit="pJ/sample", profile=name)
        for name, profile in profiles.items()
    ]
    if count.spiking:
        rows.append(Measurement(metric="firing_rate", value=count.firing_rate, unit="spikes/step"))
    rows += [
        Measurement(metric="firing_rate", value=layer.firing_rate, unit="spikes/step", layer=layer.name)
        for layer in count.spiking
    ]
    return rows


def held_steps(encoded: Tensor) -> int:
    """How many steps of ``[T, B, ...]`` show one and the same input: all of them, or 1."""
    return len(encoded) if bool((encoded == encoded[:1]).all()) else 1


def reading_rows(
    count: OperationCount, profiles: Mapping[str, EnergyProfile], steps: int, held: int
) -> list[Measurement]:
    """What tells at which rate of spikes a network costs as much as another, under every profile that has a price.

    Args:
        count: of one sample, with an input that is held counted at every step.
        profiles: by name.
        steps: T.
        held: for how many of them the input is held.

    Returns:
        ``energy_once``, with the first layer computed once if its input is held; of that ``energy_silent``, which is
        spent even if no neuron fires; and ``energy_driven``, which comes to that if every spiking input fires at every
        step; ``energy_dense``, of a dense network of the same layers in one pass, every pair a multiply-accumulate.
    """
    once = count.once(held)
    counts = {
        "energy_once": once,
        "energy_silent": once.silent(),
        "energy_driven": count.driven(),
        "energy_dense": count.dense_pass(steps),
    }
    return [
        Measurement(metric=metric, value=value, unit="pJ/sample", profile=name)
        for name, profile in profiles.items()
        for metric, part in counts.items()
        if not math.isnan(value := energy(part, profile))
    ]


def _per_sample(metric: str, value: float) -> Measurement:
    return {"metric": metric, "value": value, "unit": "1/sample"}


PROFILES = registry("profile")
