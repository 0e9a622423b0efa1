"""DIET-SNN: one learned threshold and one learned leak per layer (Rathi and Roy, IEEE TNNLS 34(6), 2023)."""

from spikemark.methods.diet.claims import CLAIMS
from spikemark.methods.diet.neurons import NEURONS
from spikemark.registry import register_all
from spikemark.training.system import System

register_all("neuron", NEURONS)
register_all(
    "system",
    {f"{network}-diet": System("diet", network, source=NEURONS["diet"].source) for network in ("mlp", "convnet")},
)
register_all("claim", {claim.name: claim for claim in CLAIMS})
