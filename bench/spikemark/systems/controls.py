"""Controls a referee would ask of learned thresholds: is it the threshold, or the norm, the step size, the decay?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikemark.neurons import NEURONS
from spikemark.systems.system import Optimizer, System

_LSNN = "ALIF of LSNN: Bellec et al., NeurIPS 2018 (arXiv 1803.09574), on the LIF of tau = 2"


def _rows() -> dict[str, System]:
    rows: dict[str, System] = {}
    for network in ("mlp", "convnet"):
        rows |= _norm(network) | _step_size(network) | _adaptive(network)
    return rows


def _norm(network: str) -> dict[str, System]:
    """Behind a batch norm a layer's threshold is nearly redundant with the norm's gain: what can the gain do alone?"""
    stl, lt = NEURONS["stl"].source, NEURONS["lt"].source
    return {
        f"{network}-stl-gamma": System("stl", network, f"{stl}; only the norm's gains learn", trains="gamma"),
        f"{network}-stl-norm": System("stl", network, f"{stl}; only the norm learns", trains="norm"),
        f"{network}-lt-sl": System("lt", network, f"{lt}; threshold fixed", trains="weights"),
        f"{network}-lt-gamma": System(
            "lt", network, f"{lt}; threshold and the norm's offsets fixed", trains="weights+gamma"
        ),
        f"{network}-lt-no-gamma": System(
            "lt", network, f"{lt}; the norm's gains and offsets fixed", trains="weights+thresholds"
        ),
    }


def _step_size(network: str) -> dict[str, System]:
    """Thresholds that move slower or faster than weights, or decay with them or not."""
    rows: dict[str, System] = {}
    for neuron in ("stl", "lt"):
        source = NEURONS[neuron].source
        for factor in (0.1, 10):
            rows[f"{network}-{neuron}-threshold-lr-x{factor:g}"] = System(
                neuron,
                network,
                f"{source}; threshold learning rate x {factor:g}",
                optimizer=Optimizer(threshold_learning_rate_factor=factor),
            )
        rows[f"{network}-{neuron}-wd"] = System(
            neuron, network, f"{source}; weight decay on everything", optimizer=Optimizer(weight_decay=1e-4)
        )
        rows[f"{network}-{neuron}-wd-weights"] = System(
            neuron,
            network,
            f"{source}; weight decay on everything but thresholds",
            optimizer=Optimizer(weight_decay=1e-4, threshold_weight_decay=0.0),
        )
    return rows


def _adaptive(network: str) -> dict[str, System]:
    """A threshold that follows the spikes instead of learning.

    LSNN's class defaults are beta 1.6 and tau_a 200 steps, made for hundreds of steps; tau 4 suits a handful (ours).
    """
    return {
        f"{network}-alif": System(
            "lif", network, f"{_LSNN}; tau 4 (ours)", options={"adaptation": {"beta": 1.6, "tau": 4.0}}
        ),
        f"{network}-alif-slow": System(
            "lif", network, f"{_LSNN}; tau 200", options={"adaptation": {"beta": 1.6, "tau": 200.0}}
        ),
    }


CONTROL_ROWS: Mapping[str, System] = MappingProxyType(_rows())
