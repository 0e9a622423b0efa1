"""The paper's networks at full size, and small twins that a CPU can train (ours).

Sizes are those of the authors' code; convolutions and fully connected layers have no bias. The CIFAR-10 network has one
dropout only.
"""

from functools import partial

from spikemark.networks.layers import from_layers

plif_mnist = partial(from_layers, layers="(128C3-BN-SN-MP2)x2-DP0.5-FC2048-SN-DP0.5-FC100-SN-VOTE10")
plif_mnist_small = partial(from_layers, layers="(12C3-BN-SN-MP2)x2-DP0.5-FC128-SN-DP0.5-FC100-SN-VOTE10")
plif_cifar10 = partial(from_layers, layers="((256C3-BN-SN)x3-MP2)x2-DP0.5-FC2048-SN-FC100-SN-VOTE10")
plif_cifar10_small = partial(from_layers, layers="((16C3-BN-SN)x3-MP2)x2-DP0.5-FC128-SN-FC100-SN-VOTE10")
plif_n_mnist = plif_mnist
plif_n_mnist_small = plif_mnist_small
plif_cifar10_dvs = partial(from_layers, layers="(128C3-BN-SN-MP2)x4-DP0.5-FC2048-SN-DP0.5-FC100-SN-VOTE10")
plif_cifar10_dvs_small = partial(from_layers, layers="(8C3-BN-SN-MP2)x4-DP0.5-FC128-SN-DP0.5-FC100-SN-VOTE10")
plif_dvs128 = partial(from_layers, layers="(128C3-BN-SN-MP2)x5-DP0.5-FC512-SN-DP0.5-FC110-SN-VOTE10")
plif_dvs128_small = partial(from_layers, layers="(8C3-BN-SN-MP2)x5-DP0.5-FC64-SN-DP0.5-FC110-SN-VOTE10")
