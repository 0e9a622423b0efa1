"""The paper's VGG-9, and a small twin that a CPU can train (ours).

Sizes are those of the authors' code. Convolutions and fully connected layers have a bias; only convolutions have
neurons.
"""

from functools import partial

from spikemark.networks.layers import from_layers

tebn_vgg9 = partial(
    from_layers,
    layers="(64C3-BN-SN)x2-AP2-(128C3-BN-SN)x2-AP2-(256C3-BN-SN)x3-AP2-DP0.25-FC1024-DP0.25-FC100-VOTE10",
    bias=True,
)
tebn_vgg9_small = partial(
    from_layers,
    layers="(8C3-BN-SN)x2-AP2-(16C3-BN-SN)x2-AP2-(32C3-BN-SN)x3-AP2-DP0.25-FC128-DP0.25-FC100-VOTE10",
    bias=True,
)
