"""snnTorch's own neurons, in the loop over time that its tutorials write."""

from __future__ import annotations

from typing import Any

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from spikemark.core.adapter import Held, OwnNeurons, held_inside
from spikemark_adapters.known.snntorch import NEURONS, forget


class _Loop(OwnNeurons):
    """A loop over one of the stepwise classes, whose states begin at 0 in every call.

    Args:
        neuron: takes ``(x, *states)`` and gives ``(spikes, *states)``.
        states: how many.
    """

    def __init__(self, neuron: Any, states: int = 1) -> None:
        super().__init__(held_inside("neuron", NEURONS[type(neuron)].constants_of(neuron)))
        self.neuron = unlisted(neuron)
        self.states = states

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        state: list[Tensor] = [torch.zeros_like(currents[0])] * self.states
        out = []
        for x in currents.unbind():
            spikes, *state = self.neuron(x, *state)
            out.append(spikes)
        forget(self.neuron)  # what it keeps belongs to this pass's graph
        return torch.stack(out)


class _Convolved(OwnNeurons):
    """`StateLeaky`, which computes all steps at once and takes flat layers alone."""

    def __init__(self, shape: tuple[int, ...], beta: float, **options: Any) -> None:
        neuron = snntorch.StateLeaky(beta, channels=torch.Size(shape).numel(), **options)
        super().__init__(held_inside("neuron", NEURONS[type(neuron)].constants_of(neuron)))
        self.neuron = unlisted(neuron)
        # With `learn_beta` it makes two parameters; of these it uses `tau` alone.
        self.neuron._parameters.pop("beta", None)

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        spikes: Tensor = self.neuron(currents.flatten(2))[0]
        forget(self.neuron)
        return spikes.view_as(currents)


class _Parallel(OwnNeurons):
    """`LeakyParallel` whose own weights pass the currents on; made in every call, since beta counts only then."""

    decay: Tensor

    def __init__(self, beta: float) -> None:
        super().__init__({"decay": Held("decay")})
        self.register_buffer("decay", torch.tensor(beta))

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        size = currents[0, 0].numel()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of weights that beta does not set
            beta = self.decay if self.decay.dim() else float(self.decay)
            neuron = snntorch.LeakyParallel(size, size, beta=beta, bias=False)
        nn.init.eye_(neuron.rnn.weight_ih_l0)
        spikes: Tensor = neuron(currents.flatten(2))
        return spikes.view_as(currents)


def unlisted(neuron: Any) -> Any:
    """`neuron`, taken out of snnTorch's list of all instances, which would keep it alive forever."""
    snntorch.SpikingNeuron.instances.remove(neuron)
    return neuron


def leaky(shape: tuple[int, ...], *, beta: float = 0.95, slope: float | None = None, **options: Any) -> OwnNeurons:
    """`Leaky`, with the fast sigmoid of that slope where one is given."""
    gradient = None if slope is None else surrogate.fast_sigmoid(slope=slope)
    return _Loop(snntorch.Leaky(beta, spike_grad=gradient, **options))


def leaky_with(shape: tuple[int, ...], *, gradient: str) -> OwnNeurons:
    """`Leaky` with the surrogate of that name, as it is by default."""
    return _Loop(snntorch.Leaky(0.5, spike_grad=getattr(surrogate, gradient)()))


def synaptic(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`Synaptic`, which also has a synaptic current."""
    return _Loop(snntorch.Synaptic(**options), 2)


def lapicque(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`Lapicque`, an RC circuit."""
    return _Loop(snntorch.Lapicque(**options))


def alpha(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`Alpha`, whose membrane is the difference of two currents."""
    return _Loop(snntorch.Alpha(**options), 3)


def leaky_parallel(shape: tuple[int, ...], *, beta: float) -> OwnNeurons:
    """`LeakyParallel`, which has no reset and whose membrane is never below 0."""
    return _Parallel(beta)


def state_leaky(shape: tuple[int, ...], *, beta: float = 0.9, **options: Any) -> OwnNeurons:
    """`StateLeaky`, which has no reset."""
    return _Convolved(shape, beta, **options)
