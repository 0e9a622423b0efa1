"""Spyx's own neurons, which run in JAX; their decays are parameters of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import spyx.nn
import torch
from flax import nnx
from jax import numpy as jnp
from spyx import axn
from spyx.experimental import PSU_LIF
from torch import Tensor, nn

from spikemark.core.adapter import Held, OwnNeurons
from spikemark_adapters.through_jax import through_jax


class _InJax(OwnNeurons):
    """One of Spyx's neurons.

    Args:
        make: gives it anew, always with the same first values; a module of JAX belongs to the function that makes it.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        beta = getattr(make(), "beta", None)
        super().__init__({} if beta is None else {"decay": Held("beta", lambda beta: beta.clamp(0, 1))})
        if beta is not None:
            self.beta = nn.Parameter(torch.from_numpy(np.array(beta[...], dtype=np.float32)))

        def spikes(currents: Any, *betas: Any) -> Any:
            neuron = make()
            for beta in betas:
                neuron.beta = nnx.Param(beta)
            return spyx.nn.run(neuron, currents, jnp.zeros_like(currents[0]))[0]

        self._spikes = through_jax(spikes)

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        return self._spikes(currents, *self.parameters())


def lif(shape: tuple[int, ...], *, beta: float | None = None, activation: str = "superspike") -> OwnNeurons:
    """`LIF`, whose spikes leave a step late, and which subtracts the threshold after the leak.

    Args:
        shape: of the features of one sample.
        beta: one decay for the layer; by default it draws one for each neuron.
        activation: a function of `spyx.axn`; the first one is the default of the class.
    """
    spike = getattr(axn, activation)()
    return _InJax(lambda: spyx.nn.LIF(shape, beta, activation=spike, rngs=nnx.Rngs(0)))


def integrate_and_fire(shape: tuple[int, ...]) -> OwnNeurons:
    """`IF`."""
    return _InJax(lambda: spyx.nn.IF(shape))


def parallel(shape: tuple[int, ...], *, beta: float) -> OwnNeurons:
    """`PSU_LIF`, without a reset."""
    return _InJax(lambda: PSU_LIF(shape, beta, rngs=nnx.Rngs(0)))
