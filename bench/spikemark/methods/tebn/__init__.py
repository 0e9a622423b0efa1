"""TEBN: temporal effective batch normalisation (Duan et al., NeurIPS 2022), and the norms it is compared with."""

from spikemark.methods.tebn.claims import CLAIMS
from spikemark.methods.tebn.neurons import NEURONS
from spikemark.methods.tebn.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
for _norm in ("tdbn", "tebn", "bntt"):
    register("normalization", _norm, f"spikemark.methods.tebn.normalization:{_norm}")
register("network", "tebn-vgg9", "spikemark.methods.tebn.networks:tebn_vgg9")
register("network", "tebn-vgg9-small", "spikemark.methods.tebn.networks:tebn_vgg9_small")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
