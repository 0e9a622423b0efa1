"""A system's network, built for samples of one shape."""

from __future__ import annotations

from spikemark.core.adapter import Adapter
from spikemark.networks.build import build_network
from spikemark.networks.stages import SpikingNetwork
from spikemark.training.system import System


def build_system(
    system: System,
    adapter: Adapter,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    steps: int | None = None,
    meta: bool = False,
) -> SpikingNetwork:
    """The network of a system, see `build_network` for the arguments and errors."""
    return build_network(
        system.network,
        adapter,
        system.resolved_neuron,
        input_shape,
        classes,
        seed,
        normalization=system.normalization,
        options=system.options,
        steps=steps,
        meta=meta,
        name=system.neuron,
    )
