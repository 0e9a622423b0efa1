"""Energy of a trained network: its exact operation counts times the prices of named hardware profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from spikemark.core.counts import OperationCount
from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import each_once
from spikemark.errors import InputError
from spikemark.measures.measure import Measure
from spikemark.registry import Registry, known, registry

if TYPE_CHECKING:
    from spikemark.data.card import Card
    from spikemark.measures.subject import Subject

PROFILES: Registry[EnergyProfile]


@dataclass(frozen=True)
class EnergyProfile:
    """Prices of one kind of hardware, in pJ.

    Attributes:
        mac: a multiply-accumulate; None for hardware that has none.
        ac: an accumulate.
        weight_read: a weight fetched from memory, once per operation.
        neuron_update: the arithmetic of one neuron and step.
        state_access: a state variable of a neuron read or written.
        source: where the prices are published.
        assumptions: what is ours, not the source's.
    """

    mac: float | None
    ac: float
    weight_read: float
    neuron_update: float
    state_access: float
    source: str
    assumptions: str

    def __post_init__(self) -> None:
        for name, price in vars(self).items():
            if isinstance(price, float | int) and not 0 <= price < math.inf:
                raise InputError(f"profile: {name} is {price}; prices are numbers from 0")


_HOROWITZ = "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm, 0.9 V"

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
    }
)


def energy(count: OperationCount, profile: EnergyProfile) -> float:
    """Energy of one sample in pJ; NaN if there are MACs and the profile has no price for them."""
    return priced(profile, count.macs, count.acs, count.weight_reads, count.neuron_updates, count.state_accesses)


def priced(
    profile: EnergyProfile, macs: float, acs: float, weight_reads: float, neuron_updates: float, state_accesses: float
) -> float:
    """Counts times prices, in pJ; NaN if there are MACs and the profile has no price for them."""
    if profile.mac is None and macs:
        return math.nan
    return (
        (profile.mac or 0.0) * macs
        + profile.ac * acs
        + profile.weight_read * weight_reads
        + profile.neuron_update * neuron_updates
        + profile.state_access * state_accesses
    )


class Energy(Measure):
    """On how many test samples operations are counted, and under which hardware profiles they are priced."""

    name = "energy"
    metrics = (
        Metric("macs", "1/sample", "exact"),
        Metric("acs", "1/sample", "exact"),
        Metric("dense", "1/sample", "exact", watched=False),
        Metric("neuron_updates", "1/sample", "exact"),
        Metric("energy", "pJ/sample", "exact"),
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
        profiles = {name: PROFILES[name] for name in self.profiles}
        for name, profile in profiles.items():
            if profile.mac is None and count.macs:
                where = ", ".join(layer.name for layer in count.layers if layer.macs)
                raise InputError(f"profile {name!r} has no price for multiply-accumulates, such as those of {where}")
        return energy_rows(count, profiles)

    def check(self, card: Card) -> None:
        """See `Measure.check`."""
        self.check_samples(self.samples, card)

    def uses(self) -> list[tuple[str, str]]:
        """See `Measure.uses`."""
        return [*super().uses(), *(("profile", name) for name in self.profiles)]

    def determines(self) -> dict[str, Any]:
        """The prices of every profile."""
        prices = {name: asdict(PROFILES[name]) for name in self.profiles}
        words = ("source", "assumptions")
        return {"profiles": {name: {k: v for k, v in p.items() if k not in words} for name, p in prices.items()}}


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


def _per_sample(metric: str, value: float) -> Measurement:
    return {"metric": metric, "value": value, "unit": "1/sample"}


PROFILES = registry("profile")
