"""Traces of a framework's own layers: spikes, states and gradients on inputs that are kept with them.

A conformance check lends a framework our spike and our reset. A trace lends it nothing: surrogates, resets, learned
parameters and defaults are its own, so what a trace shows changes when any of them does. There is no right answer, only
the one of another commit or version (`spikemark.regression.golden`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from spikemark.core.adapter import FrameworkLayer, OwnNeurons, Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, FrameworkNeuron, own_neurons
from spikemark.core.streams import generator

SHAPE = (4,)
STEPS = 16
_BATCH = 3
_IMPULSE_STEPS = 4
_LARGEST = 2.0**10
SPIKES, GRADIENT, FIRST = "spikes", "gradient of ", "first value of "
Setting = str
Case = str
Trace = dict[str, Tensor]

# What a call into a framework may raise. That a layer raises is part of its trace.
FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip

_SPREAD = torch.tensor([0.5, 0.75, 0.875, 1.0])  # no decay leaves [0, 1]
_OUTSIDE = torch.tensor([1.25, -0.25, 1.0, 0.5])


def traced_neurons(framework: str) -> dict[str, FrameworkNeuron]:
    """The layers of a framework that are traced: its registered neurons, then other surrogates and resets.

    Raises:
        MissingFramework: it is not installed.
    """
    registered = {name: NEURONS[name] for name in own_neurons([framework])}
    own = {name: found for name, found in registered.items() if isinstance(found, FrameworkNeuron) and not found.lacks}
    return own | {f"{framework}:{name}": found for name, found in get_adapter(framework).variants().items()}


def settings(name: str, neuron: FrameworkNeuron) -> Iterator[Setting]:
    """What a layer is traced with: "default"; "each NAME", every neuron with a constant of its own; "outside NAME".

    Decays outside [0, 1] show whether, and how, a class clamps them.
    """
    yield "default"
    for constant in _constants(name, neuron):
        for word in ("each", "outside"):
            setting = f"{word} {constant}"
            try:
                layer = make_layer(name, neuron, setting, STEPS)
            except Unsupported:
                continue
            if all(bool(value.isfinite().all()) for value in layer.state_dict().values()):
                yield setting


def _constants(name: str, neuron: FrameworkNeuron) -> list[str]:
    module = make_layer(name, neuron, "default", STEPS).module
    return list(module.constants) if isinstance(module, OwnNeurons) else []


def make_layer(name: str, neuron: FrameworkNeuron, setting: Setting, steps: int) -> FrameworkLayer:
    """The layer, its first parameters always the same.

    Raises:
        Unsupported: its class does not hold the constant that the setting names for every neuron.
    """
    layer = FrameworkLayer(name, neuron, SHAPE, generator=generator("golden", name), steps=steps)
    word, _, constant = setting.partition(" ")
    if word == "each":
        layer.set_each(constant, layer.each(constant) * _SPREAD)
    elif word == "outside":
        if not constant.endswith("decay"):
            raise Unsupported(f"{constant} has no range")
        layer.set_each(constant, _OUTSIDE)
    return layer


def make_inputs(name: str, neuron: FrameworkNeuron, device: str = "cpu") -> dict[Case, Tensor]:
    """Currents ``[T, B, 4]`` of every case, in units of the neuron's own firing current on a device.

    Returns:
        "slope": one step, the surrogate alone, for no state comes before it and no reset after it. "threshold": an
        impulse of the largest current that does not fire, and of the next number, which does. "dyadic": multiples of a
        sixteenth of a power of two, up to several thresholds. "ordinary": normal random numbers.
        Of the last two, the first sample is too weak to fire.
    """
    # Some classes cannot fire in the step of the impulse, and later membranes seldom meet a threshold exactly.
    for steps in (1, _IMPULSE_STEPS):
        below, above = firing_current(lambda currents: _spikes(name, neuron, currents, device), steps)
        if bool(above.isfinite().all()):
            break
    unit = above.abs().log2().round().exp2() if bool(above.isfinite().all()) else torch.ones(SHAPE)
    rng = generator("golden inputs", name)
    whole = torch.randint(-8, 40, (STEPS, _BATCH, *SHAPE), generator=rng).float() / 16
    normal = torch.randn((STEPS, _BATCH, *SHAPE), generator=rng) + 0.5
    for currents in (whole, normal):
        currents[:, 0] /= 64
    cases = {
        "slope": unit * torch.linspace(-2, 3, 11).view(1, -1, 1),
        "dyadic": unit * whole,
        "ordinary": unit * normal,
    }
    if bool(above.isfinite().all()):
        cases["threshold"] = torch.stack([below, above]) * torch.eye(steps, 1)[..., None]
    return cases


def firing_current(spikes: Callable[[Tensor], Tensor], steps: int) -> tuple[Tensor, Tensor]:
    """The largest impulse of the first step that causes no spike, and the next number, which does; ``[4]`` each.

    Found by halving the interval of float32 numbers; infinite where no impulse up to 1024 fires.

    Args:
        spikes: of currents ``[T, B, 4]``.
        steps: T, within which the neurons may fire.
    """
    low, high = torch.zeros(SHAPE), torch.full(SHAPE, _LARGEST)

    def fires(impulse: Tensor) -> Tensor:
        currents = torch.zeros((steps, 1, *SHAPE))
        currents[0, 0] = impulse
        return spikes(currents).ne(0).any(0)[0]

    if bool(fires(low).any()) or not bool(fires(high).all()):
        return low, torch.full(SHAPE, torch.inf)
    # Positive float32 numbers are ordered like their bits.
    first, last = low.view(torch.int32), high.view(torch.int32)
    while bool((last - first > 1).any()):
        middle = first + (last - first) // 2
        fired = fires(middle.view(torch.float32))
        first, last = torch.where(fired, first, middle), torch.where(fired, middle, last)
    return first.view(torch.float32), last.view(torch.float32)


def _spikes(name: str, neuron: FrameworkNeuron, currents: Tensor, device: str) -> Tensor:
    with torch.no_grad():
        spikes: Tensor = make_layer(name, neuron, "default", len(currents)).to(device)(currents.to(device))
    return spikes.cpu()


def trace(name: str, neuron: FrameworkNeuron, setting: Setting, currents: Tensor, device: str = "cpu") -> Trace:
    """Everything that a layer shows on one input when it runs on a device, by name.

    Returns:
        "spikes" ``[T, B, 4]``; each state; "gradient of currents" and "gradient of PARAMETER" of a weighted sum of the
        spikes; "first value of PARAMETER".
    """
    layer = make_layer(name, neuron, setting, len(currents)).to(device)
    parameters = {key: value for key, value in layer.module.named_parameters() if value.requires_grad}
    shown: Trace = {f"{FIRST}{key}": value.detach().clone() for key, value in parameters.items()}
    given = currents.to(device, copy=True).requires_grad_()
    module = layer.module
    spikes, states = module.traced(given) if isinstance(module, OwnNeurons) else (layer(given), {})
    shown |= {SPIKES: spikes.detach()} | states
    wanted: Mapping[str, Any] = {"currents": given, **parameters}
    found: tuple[Tensor | None, ...] = (None,) * len(wanted)
    if spikes.requires_grad:
        found = torch.autograd.grad(spikes, list(wanted.values()), _upstream(spikes), allow_unused=True)
    for (key, value), gradient in zip(wanted.items(), found, strict=True):
        shown[f"{GRADIENT}{key}"] = torch.zeros_like(value) if gradient is None else gradient.detach()
    return {key: value.cpu().contiguous().clone() for key, value in shown.items()}


def _upstream(spikes: Tensor) -> Tensor:
    """Weights of the spikes' sum, different for neighbours and exact in float32."""
    return (torch.arange(spikes.numel()).view(spikes.shape) % 7 + 1).to(spikes) / 8
