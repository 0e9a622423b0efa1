"""A ReLU in the place of neurons; and a threshold that follows the spikes:

ALIF of LSNN (Bellec et al., NeurIPS 2018, arXiv 1803.09574) on LIF.

LSNN's class defaults are beta 1.6 and tau_a 200 steps, made for hundreds of steps; tau 4 suits a handful (ours).
"""

from __future__ import annotations

import math
from dataclasses import replace

from spikemark.core.neurons import Adaptation, Learnable, NetworkNeuron, NeuronSpec
from spikemark.methods.plif.neurons import NEURONS as PLIF

_SOURCE = "ALIF of LSNN: Bellec et al., NeurIPS 2018 (arXiv 1803.09574), on the LIF of tau = 2"


def _alif(tau: float, note: str) -> NeuronSpec:
    adaptation = Adaptation(decay=Learnable(math.exp(-1 / tau)), strength=Learnable(1.6))
    return replace(PLIF["lif"], adaptation=adaptation, source=f"{_SOURCE}; {note}")


ADAPTIVE = {"alif": _alif(4.0, "tau 4 (ours)"), "alif-slow": _alif(200.0, "tau 200")}
RELU = NetworkNeuron(
    "a ReLU in the place of a neuron, in plain PyTorch; no spikes, one pass", source="dense twin: ours"
)
NEURONS = ADAPTIVE | {"relu": RELU}
