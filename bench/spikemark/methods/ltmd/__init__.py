"""LTMD: learned thresholds, moderate dropout and lateral interaction (Wang, Cheng and Lim, NeurIPS 2022)."""

from spikemark.methods.ltmd.claims import CLAIMS
from spikemark.methods.ltmd.neurons import NEURONS
from spikemark.methods.ltmd.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
register("layer", "LF", "spikemark.methods.ltmd.layers:lateral_layer")
register("layer", "GF", "spikemark.methods.ltmd.layers:graded_layer")
register("layer", "MD", "spikemark.methods.ltmd.layers:moderate_dropout")
register("network", "ltmd-mnist", "spikemark.methods.ltmd.layers:ltmd_mnist")
register("network", "ltmd-mnist-small", "spikemark.methods.ltmd.layers:ltmd_mnist_small")
register("network", "ltmd-cifar10", "spikemark.methods.ltmd.densenet:densenet")
register("network", "ltmd-cifar10-small", "spikemark.methods.ltmd.densenet:small_densenet")
register("rule", "bptt+consistency", "spikemark.methods.ltmd.options:ConsistentBptt")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
