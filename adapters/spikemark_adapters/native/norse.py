"""Norse's own neurons over time, with their parameters where optimisers and state dicts find them."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import OwnNeurons

with warnings.catch_warnings():
    # Norse scripts functions while it is imported, and recent torch warns about every one.
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch import LIF, LSNN, LIFBoxCell, LIFParameters
    from norse.torch.functional.lif_box import LIFBoxParameters

    from spikemark_adapters.known.norse import constants


class _Parametrised(OwnNeurons):
    """A module of Norse, lent the parameters of this one in every call.

    Norse holds a tuple of tensors, which is no module: what is put there gets gradients, and neither
    ``parameters()`` nor ``state_dict()`` nor ``to(device)`` finds it. This module registers every tensor of the tuple.

    Args:
        neuron: over time, or one step where `stepwise`.
        learn: fields of its tuple that become parameters.
        stepwise: whether the loop over time is ours.
    """

    neuron: Any

    def __init__(self, neuron: Any, learn: tuple[str, ...], *, stepwise: bool = False) -> None:
        super().__init__(constants(neuron.p._fields, float(neuron.dt)))
        self.neuron, self.stepwise = neuron, stepwise
        self._fields = [name for name, value in neuron.p._asdict().items() if isinstance(value, Tensor)]
        for name in self._fields:
            value = getattr(neuron.p, name).clone()  # the defaults are one tensor for all of Norse's modules
            if name in learn:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        before = self.neuron.p
        self.neuron.p = before._replace(**{name: getattr(self, name) for name in self._fields})
        try:
            if not self.stepwise:
                spikes: Tensor = self.neuron(currents)[0]
                return spikes
            state, out = None, []
            for x in currents.unbind():
                spikes, state = self.neuron(x, state)
                out.append(spikes)
            return torch.stack(out)
        finally:
            self.neuron.p = before


def lif(shape: tuple[int, ...], *, learn: tuple[str, ...] = ()) -> OwnNeurons:
    """`LIF`, which also has a synaptic current."""
    return _Parametrised(LIF(), learn)


def lif_with(shape: tuple[int, ...], *, method: str) -> OwnNeurons:
    """`LIF` with the surrogate of that name, its alpha as it is by default."""
    return _Parametrised(LIF(LIFParameters(method=method)), ())


def lif_box(shape: tuple[int, ...], *, learn: tuple[str, ...] = ()) -> OwnNeurons:
    """`LIFBoxCell`, whose currents act on the membrane at once."""
    return _Parametrised(LIFBoxCell(), learn, stepwise=True)


def lif_box_with(shape: tuple[int, ...], *, subtract: bool = False, **fields: Any) -> OwnNeurons:
    """`LIFBoxCell` with other fields of its tuple, tensors and others."""
    given = {name: torch.as_tensor(value) if isinstance(value, float) else value for name, value in fields.items()}
    if subtract:
        from norse.torch.functional.reset import reset_subtract

        given["reset_method"] = reset_subtract
    return _Parametrised(LIFBoxCell(LIFBoxParameters(**given)), (), stepwise=True)


def lsnn(shape: tuple[int, ...], *, learn: tuple[str, ...] = ()) -> OwnNeurons:
    """`LSNN`, whose threshold follows the spikes from one value for the layer."""
    return _Parametrised(LSNN(), learn)
