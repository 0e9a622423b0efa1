"""Norse's neurons: cells called by step, and their lifted forms for all steps; states are passed, never kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import norse.torch as norse
from norse.torch.module.snn import SNN, SNNCell, SNNRecurrent, SNNRecurrentCell
from torch import nn

from spikemark.core.adapter import Held, held_inside
from spikemark.core.neuron_class import NeuronClass


def _decay(field: str, dt: float) -> Held:
    """The factor of one Euler step, which Norse holds as an inverse time constant in 1/s."""
    return Held(field, lambda inverse: 1 - dt * inverse, lambda decay: (1 - decay) / dt)


def constants(fields: Any, dt: float) -> Mapping[str, Held]:
    """Where a tuple of Norse's holds constants: the names of its fields.

    Args:
        fields: names of the tuple's.
        dt: length of a step in seconds.
    """
    found = {
        "threshold": Held("v_th"),
        "decay": _decay("tau_mem_inv", dt),
        "synaptic_decay": _decay("tau_syn_inv", dt),
        "adaptation_decay": _decay("tau_adapt_inv", dt),
        "adaptation_strength": Held("beta"),
    }
    if "tau_adapt_inv" in fields:  # its threshold follows the spikes from one value for the layer
        found["threshold"] = Held("v_th", held=None)
    return {name: held for name, held in found.items() if held.place in fields}


def _constants_of(module: Any) -> Mapping[str, Held]:
    """Those of a cell or layer; the tuple of one with a refractory period holds another tuple."""
    parameters, place = module.p, "p"
    for name in ("lif", "lif_adex"):
        if name in parameters._fields:
            parameters, place = getattr(parameters, name), f"p.{name}"
    return held_inside(place, constants(parameters._fields, float(module.dt)))


_ENCODER = NeuronClass(0, None, counted=False)

# The spikes that recurrent cells feed back are a state as well.
_CLASSES = {
    "IAFCell": NeuronClass(1),
    "IAF": NeuronClass(1, "TB"),
    "LIFBoxCell": NeuronClass(1),
    "LSNNCell": NeuronClass(3),
    "LSNN": NeuronClass(3, "TB"),
    "LSNNRecurrentCell": NeuronClass(4, weights=True),
    "LSNNRecurrent": NeuronClass(4, "TB", weights=True),
    "LIFRefracCell": NeuronClass(3),
    "LIFRefracRecurrentCell": NeuronClass(4, weights=True),
    "LIFRefracRecurrent": NeuronClass(4, "TB", weights=True),
    "LIFAdExCell": NeuronClass(3),
    "LIFAdEx": NeuronClass(3, "TB"),
    "LIFAdExRecurrentCell": NeuronClass(4, weights=True),
    "LIFAdExRecurrent": NeuronClass(4, "TB", weights=True),
    "LIFAdExRefracCell": NeuronClass(4),
    "LIFAdExRefracRecurrentCell": NeuronClass(5, weights=True),
    "LIFAdExRefracRecurrent": NeuronClass(5, "TB", weights=True),
    "CobaLIFCell": NeuronClass(4, weights=True),
    "LICell": NeuronClass(2, spiking=False),
    "LI": NeuronClass(2, "TB", spiking=False),
    "LIBoxCell": NeuronClass(1, spiking=False),
    "LILinearCell": NeuronClass(2, weights=True, spiking=False),
    "ConstantCurrentLIFEncoder": _ENCODER,
    "PoissonEncoder": _ENCODER,
    "PopulationEncoder": _ENCODER,
    "SignedPoissonEncoder": _ENCODER,
    "SpikeLatencyEncoder": _ENCODER,
    "SpikeLatencyLIFEncoder": _ENCODER,
}
# Versions differ in the classes that they have.
_KNOWN = {
    SNNCell: NeuronClass(2),
    SNN: NeuronClass(2, "TB"),
    SNNRecurrentCell: NeuronClass(3, weights=True),
    SNNRecurrent: NeuronClass(3, "TB", weights=True),
} | {getattr(norse, name): known for name, known in _CLASSES.items() if hasattr(norse, name)}
NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    kind: replace(known, constants=_constants_of) if known.counted and known.spiking else known
    for kind, known in _KNOWN.items()
}
