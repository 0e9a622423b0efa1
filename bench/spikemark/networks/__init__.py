"""Architectures: plain torch layers around the spiking layers of an adapter.

Every network maps ``[T, B, *input_shape]`` to scores ``[T, B, classes]``: mostly, per step, the mean spike of each
class's population of output neurons. Averaged over T this is what losses and predictions use. Which framework computes
the neurons, a network does not know.
"""

from spikemark.registry import register

register("network", "mlp", "spikemark.networks.plain:mlp")
register("network", "convnet", "spikemark.networks.plain:convnet")
register("network", "layers", "spikemark.networks.layers:from_layers")

for _name in ("none", "joint_bn", "step_bn"):
    register("normalization", _name.replace("_", "-"), f"spikemark.networks.normalization:{_name}")

for _token, _layer in {
    "C": "convolution",
    "FC": "fully_connected",
    "MP": "max_pooling",
    "AP": "average_pooling",
    "DP": "held_dropout",
    "SD": "step_dropout",
    "VOTE": "vote",
}.items():
    register("layer", _token, f"spikemark.networks.layers:{_layer}")
