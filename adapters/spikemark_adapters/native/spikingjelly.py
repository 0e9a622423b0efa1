"""SpikingJelly's own neurons in multi-step mode, reset after every call."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import base, neuron, surrogate
from torch import Tensor

from spikemark.core.adapter import Held, OwnNeurons, held_inside
from spikemark.errors import InputError
from spikemark_adapters.known.spikingjelly import constants_of

# Without Triton, torch warns at the first call of SpikingJelly's operators; there is nothing to be done about it.
logging.getLogger("torch._library.triton").setLevel(logging.ERROR)


class _MultiStep(OwnNeurons):
    """A node, given all steps at once.

    Args:
        node: of SpikingJelly.
        constants: further ones, and those that are held in another way than in most nodes.

    Raises:
        InputError: in a call, if the node is made for another number of steps.
    """

    neuron: Any

    def __init__(self, node: Any, **constants: Held) -> None:
        super().__init__(held_inside("neuron", constants_of(node)) | constants)
        if isinstance(node, base.MemoryModule):
            node.step_mode = "m"
        self.neuron = node

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        made_for = getattr(self.neuron, "T", len(currents))
        if made_for != len(currents):
            raise InputError(f"{type(self.neuron).__name__} is made for {made_for} steps; it was given {len(currents)}")
        try:
            spikes: Tensor = self.neuron(currents)
        finally:
            if isinstance(self.neuron, base.MemoryModule):
                self.neuron.reset()
        return spikes

    def traced(self, currents: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `OwnNeurons.traced`: memories after the last step, and every membrane where the node keeps them."""
        states: dict[str, Tensor] = {}

        def keep(node: Any, given: Any, output: Any) -> None:
            held = {**getattr(node, "_memories", {}), "v_seq": getattr(node, "v_seq", None)}
            states.update({name: value.detach() for name, value in held.items() if isinstance(value, Tensor)})

        stores = hasattr(self.neuron, "store_v_seq")
        if stores:
            self.neuron.store_v_seq = True
        hook = self.neuron.register_forward_hook(keep)
        try:
            spikes = self(currents)
        finally:
            hook.remove()
            if stores:
                self.neuron.store_v_seq = False
        return spikes, states


class _Gated(_MultiStep):
    """`GatedLIFNode`, which takes ``[T, B, C, H, W]`` alone, and whose parameters are logits."""

    def __init__(self, node: Any) -> None:
        names = ["alpha", "beta", "gamma", "tau", "linear_decay", "v_subreset", "conduct"]
        logits = {name: Held(f"neuron.{name}", torch.sigmoid, None) for name in names}
        super().__init__(node, threshold=Held("neuron.v_threshold", torch.sigmoid, None), **logits)

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        steps, batch, channels = currents.shape[:3]
        return super().forward(currents.reshape(steps, batch, channels, -1, 1)).view_as(currents)


@contextmanager
def _drawn_from(generator: torch.Generator | None) -> Iterator[None]:
    """What torch's and numpy's global generators draw inside follows from `generator`; they are restored."""
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        if generator is not None:
            seed = int(torch.randint(2**32, (), generator=generator))
            torch.manual_seed(seed)
            np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def integrate_and_fire(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`IFNode`, which does not leak."""
    return _MultiStep(neuron.IFNode(**_tutorial(options)))


def lif(shape: tuple[int, ...], *, tutorial: bool = True, **options: Any) -> OwnNeurons:
    """`LIFNode`, as the tutorials have it or with the defaults of the class."""
    return _MultiStep(neuron.LIFNode(**(_tutorial(options) if tutorial else options)))


def lif_with(shape: tuple[int, ...], *, gradient: str = "Sigmoid", **options: Any) -> OwnNeurons:
    """`LIFNode` with the surrogate of that name, as it is by default, and with other options."""
    return _MultiStep(neuron.LIFNode(surrogate_function=getattr(surrogate, gradient)(), **options))


def plif(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`ParametricLIFNode`, whose decay learns."""
    return _MultiStep(neuron.ParametricLIFNode(**_tutorial(options)))


def klif(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`KLIFNode`, which learns a gain of its membrane, negative values cut off."""
    return _MultiStep(neuron.KLIFNode(**options), gain=Held("neuron.k", held=None))


def clif(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`ComplementaryLIFNode`, with a second state that slows after spikes."""
    return _MultiStep(neuron.ComplementaryLIFNode(**options))


def gated(
    shape: tuple[int, ...], *, generator: torch.Generator | None = None, steps: int | None = None, **options: Any
) -> OwnNeurons:
    """`GatedLIFNode`, one set of gates per channel; made for `steps`."""
    with _drawn_from(generator):
        return _Gated(neuron.GatedLIFNode(T=_known(steps), inplane=shape[0], **options))


def parallel(
    shape: tuple[int, ...],
    *,
    kind: str = "PSN",
    generator: torch.Generator | None = None,
    steps: int | None = None,
    **options: Any,
) -> OwnNeurons:
    """`PSN` and its relatives, which mix the steps by weights of their own and have no reset."""
    if kind != "SlidingPSN":
        options["T"] = _known(steps)
    with _drawn_from(generator):
        node = getattr(neuron, kind)(**options)
    return _MultiStep(node, threshold=Held("neuron.bias", torch.neg, None), mixing=Held("neuron.weight", held=None))


def _known(steps: int | None) -> int:
    if steps is None:
        raise InputError("this neuron has parameters for every step, so the number of steps must be known")
    return steps


def _tutorial(options: dict[str, Any]) -> dict[str, Any]:
    return {"surrogate_function": surrogate.ATan(), "detach_reset": True, **options}
