"""PLIF, a learned membrane time constant (Fang et al., ICCV 2021, arXiv 2007.05785), and its LIF baselines."""

from spikemark.methods.plif.claims import CLAIMS
from spikemark.methods.plif.neurons import NEURONS
from spikemark.methods.plif.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
for _data in ("mnist", "cifar10", "n-mnist", "cifar10-dvs", "dvs128"):
    for _size in ("", "-small"):
        _name = f"plif-{_data}{_size}"
        register("network", _name, f"spikemark.methods.plif.networks:{_name.replace('-', '_')}")
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
