"""Data sets and encoders. Knows nothing of networks, noise or training."""

from spikemark.data.cards import CARDS
from spikemark.registry import register, register_all

register_all("dataset", {card.name: card for card in CARDS})
for _encoder in ("direct", "poisson", "latency", "frames"):
    register("encoder", _encoder, f"spikemark.data.encoders:{_encoder}")
