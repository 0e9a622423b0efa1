"""Time-based training of spike response neurons (Zhu, Fang, Xie, Huang and Yu, NeurIPS 2023).

Losses say which way each output spike should move in time; the rule moves every weight that it came from.
"""

from spikemark.core.neurons import NetworkNeuron
from spikemark.methods.spike_time.claims import CLAIMS
from spikemark.methods.spike_time.systems import SOURCE, SYSTEMS
from spikemark.registry import register, register_all

register("neuron", "srm", NetworkNeuron("spike response neuron with full reset, in plain PyTorch", source=SOURCE))
for _name in ("mnist", "mnist-small", "fashion", "nmnist", "vgg", "vgg-small"):
    register("network", f"srm-{_name}", f"spikemark.methods.spike_time.network:srm_{_name.replace('-', '_')}")
register("rule", "spike-time", "spikemark.methods.spike_time.options:SpikeTime")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
