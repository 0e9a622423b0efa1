"""STL-SNN: synapses and thresholds learned together (Sun et al., IEEE TCDS 16(2), 2024, arXiv 2206.06129)."""

from spikemark.methods.stl.claims import CLAIMS
from spikemark.methods.stl.neurons import NEURONS
from spikemark.methods.stl.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
register("network", "joint-readout", "spikemark.methods.stl.joint:joint_readout")
register("network", "joint-vote", "spikemark.methods.stl.joint:joint_vote")
register("network", "stl-mnist", "spikemark.methods.stl.networks:stl_mnist")
register("network", "stl-mnist-small", "spikemark.methods.stl.networks:stl_mnist_small")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
