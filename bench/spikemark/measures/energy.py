"""Energy of a network: its exact operation counts times the prices of a named hardware profile.

The counts are those of `spikemark.measures.operations`; this module adds only prices and the rows of a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from spikemark.measures.operations import OperationCount, UncountableError, count_operations
from spikemark.results import Measurement

__all__ = [
    "PROFILES",
    "EnergyProfile",
    "OperationCount",
    "UncountableError",
    "count_operations",
    "energy",
    "energy_measurements",
]


@dataclass(frozen=True)
class EnergyProfile:
    """Prices of one kind of hardware, in pJ.

    Attributes:
        mac: a multiply-accumulate.
        ac: an accumulate.
        weight_read: a weight fetched from memory, once an operation.
        neuron_update: the arithmetic of one neuron and step.
        state_access: a membrane potential read or written.
        source: where the prices are published.
        assumptions: what is ours, not the source's.
    """

    mac: float
    ac: float
    weight_read: float
    neuron_update: float
    state_access: float
    source: str
    assumptions: str


_HOROWITZ = "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm, 0.9 V"

PROFILES: Mapping[str, EnergyProfile] = MappingProxyType(
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
    }
)


def energy(count: OperationCount, profile: EnergyProfile) -> float:
    """Energy of one sample in pJ."""
    return (
        profile.mac * count.macs
        + profile.ac * count.acs
        + profile.weight_read * count.weight_reads
        + profile.neuron_update * count.neuron_updates
        + profile.state_access * count.state_accesses
    )


def energy_measurements(model: nn.Module, inputs: Tensor) -> list[Measurement]:
    """Count a network's operations and put them in the rows of a record.

    Args:
        model: maps ``[T, B, ...]`` to anything; see `count_operations`.
        inputs: ``[T, B, ...]``.

    Returns:
        ``macs``, ``acs``, ``dense`` and ``neuron_updates`` per sample; ``macs`` and ``acs`` of every layer, under its
        name and the kind of its input, as in "fc1 (binary)"; ``energy`` under every profile of `PROFILES`, in the unit
        "pJ PROFILE"; ``firing_rate``, in all and of every spiking layer, where there are any.

    Raises:
        UncountableError: a layer cannot be counted.
        ValueError: the inputs have the wrong shape.
    """
    count = count_operations(model, inputs)
    rows = [
        _per_sample("macs", count.macs),
        _per_sample("acs", count.acs),
        _per_sample("dense", count.dense),
        _per_sample("neuron_updates", count.neuron_updates),
    ]
    for layer in count.layers:
        label = f"{layer.name} ({layer.kind})"
        rows += [_per_sample("macs", layer.macs, label), _per_sample("acs", layer.acs, label)]
    rows += [
        Measurement(metric="energy", value=energy(count, profile), unit=f"pJ {name}")
        for name, profile in PROFILES.items()
    ]
    if count.spiking:
        rows.append(Measurement(metric="firing_rate", value=count.firing_rate, unit="spikes/step"))
    rows += [
        Measurement(metric="firing_rate", value=layer.firing_rate, unit="spikes/step", layer=layer.name)
        for layer in count.spiking
    ]
    return rows


def _per_sample(metric: str, value: float, layer: str | None = None) -> Measurement:
    row = Measurement(metric=metric, value=value, unit="1/sample")
    if layer is not None:
        row["layer"] = layer
    return row
