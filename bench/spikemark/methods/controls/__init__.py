"""Controls, ours: what a referee would ask of learned thresholds, and thresholds that follow spikes instead."""

from spikemark.methods.controls.claims import CLAIMS
from spikemark.methods.controls.neurons import NEURONS
from spikemark.methods.controls.systems import SYSTEMS
from spikemark.registry import register_all

register_all("neuron", NEURONS)
register_all("system", SYSTEMS)
register_all("claim", {claim.name: claim for claim in CLAIMS})
