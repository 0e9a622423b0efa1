"""The paper's network for MNIST, and a small twin that a CPU can train (ours).

Sizes are those of the authors' code; convolutions and fully connected layers have no bias.
"""

from functools import partial

from spikemark.networks.layers import from_layers

stl_mnist = partial(from_layers, layers="(128C5-BN-SN-MP2)x2-SD0.5-FC2048-SN-SD0.5-FC100-SN-VOTE10")
stl_mnist_small = partial(from_layers, layers="(12C5-BN-SN-MP2)x2-SD0.5-FC128-SN-SD0.5-FC100-SN-VOTE10")
