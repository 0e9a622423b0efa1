"""Controls a referee would ask of learned thresholds: is it the threshold, or the norm, the step size, the decay?

And of energy: what would a dense network cost?
"""

from __future__ import annotations

from spikemark.methods.controls.neurons import ADAPTIVE, RELU
from spikemark.methods.ltmd.neurons import NEURONS as LTMD
from spikemark.methods.plif.neurons import NEURONS as PLIF
from spikemark.methods.stl.neurons import NEURONS as STL
from spikemark.training.bptt import Bptt
from spikemark.training.rule import Optimizer
from spikemark.training.system import System

_STL, _LT = STL["stl"].source, LTMD["lt"].source
_SOURCES = {"stl": _STL, "lt": _LT}


def _norm(network: str) -> dict[str, System]:
    """Behind a batch norm a layer's threshold is nearly redundant with the norm's gain: what can the gain do alone?"""
    return {
        f"{network}-stl-gamma": System(
            "stl", network, Bptt(trains="gamma"), source=f"{_STL}; only the norm's gains learn"
        ),
        f"{network}-stl-norm": System("stl", network, Bptt(trains="norm"), source=f"{_STL}; only the norm learns"),
        f"{network}-lt-sl": System("lt", network, Bptt(trains="weights"), source=f"{_LT}; threshold fixed"),
        f"{network}-lt-gamma": System(
            "lt", network, Bptt(trains="weights+gamma"), source=f"{_LT}; threshold and the norm's offsets fixed"
        ),
        f"{network}-lt-no-gamma": System(
            "lt", network, Bptt(trains="weights+thresholds"), source=f"{_LT}; the norm's gains and offsets fixed"
        ),
    }


def _step_size(network: str) -> dict[str, System]:
    """Thresholds that move slower or faster than weights, or decay with them or not."""
    rows: dict[str, System] = {}
    for neuron, source in _SOURCES.items():
        for factor in (0.1, 10.0):
            optimizer = Optimizer(threshold_learning_rate_factor=factor)
            rows[f"{network}-{neuron}-threshold-lr-x{factor:g}"] = System(
                neuron, network, Bptt(optimizer=optimizer), source=f"{source}; threshold learning rate x {factor:g}"
            )
        for name, optimizer, what in (
            ("wd", Optimizer(weight_decay=1e-4), "everything"),
            ("wd-weights", Optimizer(weight_decay=1e-4, threshold_weight_decay=0.0), "everything but thresholds"),
        ):
            rows[f"{network}-{neuron}-{name}"] = System(
                neuron, network, Bptt(optimizer=optimizer), source=f"{source}; weight decay on {what}"
            )
    return rows


def _adaptive(network: str) -> dict[str, System]:
    """A threshold that follows the spikes instead of learning."""
    return {f"{network}-{name}": System(name, network, source=neuron.source) for name, neuron in ADAPTIVE.items()}


def _twins(network: str) -> dict[str, System]:
    """What a spiking network's energy is compared with: the same layers as a dense network, and with few bits."""
    lif, bits = PLIF["lif"].source, (8, 4)
    of = {"twin_of": network}
    return {
        f"{network}-dense": System("relu", "dense-twin", options=of, source=RELU.source),
        **{
            f"{network}-dense-int{n}": System(
                "relu",
                "dense-twin",
                options=of | {"bits": n},
                source=f"{RELU.source}; weights, activations of {n} bits",
            )
            for n in bits
        },
        **{
            f"{network}-lif-w{n}": System(
                "lif", "few-bits", options=of | {"bits": n}, source=f"{lif}; weights of {n} bits (ours)"
            )
            for n in bits
        },
    }


SYSTEMS = {
    name: system
    for network in ("mlp", "convnet")
    for name, system in (_norm(network) | _step_size(network) | _adaptive(network) | _twins(network)).items()
}
