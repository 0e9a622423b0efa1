"""Controls, ours: what a referee would ask of learned thresholds and of energy; thresholds that follow spikes."""

from spikemark.methods.controls.claims import CLAIMS
from spikemark.methods.controls.neurons import NEURONS
from spikemark.methods.controls.systems import SYSTEMS
from spikemark.registry import register, register_all

register_all("neuron", NEURONS)
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
for _name, _network in {"dense-twin": "dense_twin", "few-bits": "few_bits"}.items():
    register("network", _name, f"spikemark.methods.controls.twins:{_network}")
