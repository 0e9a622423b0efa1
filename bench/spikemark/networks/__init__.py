"""Architectures: plain torch layers around the spiking layers of an adapter.

Every network maps ``[T, B, *input_shape]`` to scores ``[T, B, classes]``: mostly, per step, the mean spike of each
class's population of output neurons. Averaged over T this is what losses and predictions use. Which framework computes
the neurons, a network does not know.
"""

from spikemark.networks.build import NETWORKS, build_network, build_system
from spikemark.networks.graded import neurons_of
from spikemark.networks.published import PUBLISHED, Published
from spikemark.networks.stages import MakeNeurons, MakeNorm, PopulationReadout, SpikingNetwork, Stage, over_time

__all__ = [
    "NETWORKS",
    "PUBLISHED",
    "MakeNeurons",
    "MakeNorm",
    "PopulationReadout",
    "Published",
    "SpikingNetwork",
    "Stage",
    "build_network",
    "build_system",
    "neurons_of",
    "over_time",
]
